"""The folder of an exported model: ``model.onnx``, ``tokenizer.json``, ``encoder.json``.

``encoder.json`` holds the settings and the identity of the source, so that the folder loads
without PyTorch and its vectors go with those of the source.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoders.errors import EncoderError
from encoders.export.options import Precision
from encoders.layout import read_json
from encoders.settings import ModelSettings

DESCRIPTION = "encoder.json"
GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
QUERY_WEIGHTS = "idf.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ExportDescription:
    """What ``encoder.json`` says.

    Attributes:
        model: Name of the model it was exported from.
        graph_fingerprint: Of the source files; the same for PyTorch and ONNX, unless the weights
            were quantised.
        tokenizer_digest: Of the source's tokenizer.
        settings: How texts become vectors.
        parity: How close the export came to the original.
        precision: Of the weights: ``fp32``, ``fp16`` or ``int8``.
        documents: Fingerprint of the encoder whose documents its queries search, if not its own.
    """

    model: str
    graph_fingerprint: str
    tokenizer_digest: str
    settings: ModelSettings
    parity: dict[str, Any]
    precision: Precision = "fp32"
    documents: str | None = None


def is_export(folder: Path) -> bool:
    """Whether a folder is an exported model."""
    return (folder / DESCRIPTION).is_file() and (folder / GRAPH).is_file()


def write_description(folder: Path, description: ExportDescription) -> None:
    """Write ``encoder.json``."""
    value = {
        "format": FORMAT_VERSION,
        "model": description.model,
        "graph_fingerprint": description.graph_fingerprint,
        "tokenizer_digest": description.tokenizer_digest,
        "settings": description.settings.as_dict(),
        "parity": description.parity,
        "precision": description.precision,
        **({"documents": description.documents} if description.documents else {}),
    }
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")


def read_description(folder: Path) -> ExportDescription:
    """Read ``encoder.json``.

    Raises:
        EncoderError: It is broken, or of another version.
    """
    value = read_json(folder / DESCRIPTION, default={})
    try:
        if value["format"] != FORMAT_VERSION:
            msg = f"format {value['format']} instead of {FORMAT_VERSION}"
            raise ValueError(msg)
        return ExportDescription(
            model=value["model"],
            graph_fingerprint=value["graph_fingerprint"],
            tokenizer_digest=value["tokenizer_digest"],
            settings=ModelSettings.from_dict(value["settings"]),
            parity=value["parity"],
            precision=value.get("precision", "fp32"),  # absent before there was a choice
            documents=value.get("documents"),
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{folder / DESCRIPTION} cannot be read: {error!r}. Export the model again."
        raise EncoderError(msg) from error
