"""Exports a whole graph to ONNX and refuses to write one that differs from the original."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from encoders.cache import build_once, cache_folder
from encoders.errors import EncoderError
from encoders.export.folder import (
    GRAPH,
    QUERY_WEIGHTS,
    TOKENIZER,
    ExportDescription,
    write_description,
)
from encoders.export.onnx_edit import INLINE_BYTES, finish_graph
from encoders.export.options import Precision
from encoders.export.parity import Parity, check_parity
from encoders.export.precision import exported_fingerprint
from encoders.model import Model
from encoders.onnx_runner import INPUTS, OnnxRunner
from encoders.torch_runner import TorchRunner

logger = logging.getLogger(__name__)

# Part of the cache's path: raise it when the graphs or the exporter's settings change.
EXPORT_VERSION = 2
# The newest that the runtime of ML Commons knows, too: one graph serves every target.
OPSET = 18
OUTPUTS = {"dense": "sentence_embedding", "sparse": "sparse_embedding"}


def cached_export(model: Model, *, trust_remote_code: bool = False) -> Path:
    """The exported folder of a model, made on the first call and kept in the user's cache."""
    target = cache_folder() / "onnx" / f"v{EXPORT_VERSION}" / model.graph_fingerprint
    if not target.is_dir():
        logger.warning("Exporting %s to ONNX (once; kept in %s)", model.name, target)

    def build(folder: Path) -> None:
        export_model(model, folder, trust_remote_code=trust_remote_code)

    return build_once(target, build)


def export_model(model: Model, folder: Path, *, trust_remote_code: bool = False) -> Parity:
    """Export a model in float32 into a folder that loads without PyTorch.

    Args:
        model: A model read from its source files.
        folder: An existing folder; it gets graph, tokenizer and description.
        trust_remote_code: Whether code that ships with the model may run.

    Returns:
        How close the export is to the original.

    Raises:
        ParityError: The exported graph differs from the original; no description is written.
        EncoderError: The model is itself an export, or cannot be loaded.
    """
    graph = model.load_graph(trust_remote_code=trust_remote_code)
    path = folder / GRAPH
    write_graph(graph, path, output=OUTPUTS[model.settings.graph.kind])
    finish_graph(path)
    parity = check_parity(
        TorchRunner.load(graph, "cpu"),
        OnnxRunner.load(path, "cpu"),
        vocabulary=model.tokenizer.vocabulary_size,
        max_tokens=model.settings.text.max_tokens,
    )
    describe_export(model, folder, parity)
    return parity


def describe_export(
    model: Model, folder: Path, parity: Parity, precision: Precision = "fp32"
) -> None:
    """Write what stands beside a graph: tokenizer, description, weights of queries."""
    (folder / TOKENIZER).write_text(model.tokenizer.portable(), encoding="utf-8")
    _write_query_weights(model, folder)
    write_description(
        folder,
        ExportDescription(
            model=model.name,
            graph_fingerprint=exported_fingerprint(model, precision, parity),
            tokenizer_digest=model.tokenizer_digest,
            settings=model.settings,
            parity=asdict(parity),
            precision=precision,
            documents=model.documents,
        ),
    )


def write_graph(
    graph: Any,
    path: Path,
    *,
    output: str,
    opset: int = OPSET,
) -> None:
    """Export a module that takes ids and mask, with free batch size and length.

    Args:
        graph: A ``torch.nn.Module`` on the CPU whose ``forward`` takes ``input_ids`` and
            ``attention_mask``, both ``[B, L]`` int64.
        path: The ``.onnx`` file to write.
        output: Name of its output. Not ``embedding``: ONNX Runtime finds that name twice.
        opset: Version of the operator set.

    Raises:
        EncoderError: The exporter cannot follow this network.
    """
    import torch

    dimensions = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", min=2)}
    size = sum(tensor.nbytes for tensor in graph.state_dict().values())
    try:
        with _quiet():
            torch.onnx.export(
                graph,
                _example(),
                str(path),
                dynamo=True,
                verbose=False,
                opset_version=opset,
                input_names=list(INPUTS),
                output_names=[output],
                dynamic_shapes=dict.fromkeys(INPUTS, dimensions),
                external_data=size > INLINE_BYTES,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        msg = f"The model cannot be exported to ONNX ({error}). Use --runtime torch for it."
        raise EncoderError(msg) from error


def _example() -> tuple[Any, Any]:
    import torch

    mask = np.ones((3, 8), dtype=np.int64)
    mask[1, 5:] = 0
    return torch.ones((3, 8), dtype=torch.int64), torch.from_numpy(mask)


def _write_query_weights(model: Model, folder: Path) -> None:
    if model.query_weights is None:
        return
    ids = np.flatnonzero(model.query_weights).tolist()
    names = model.tokenizer.tokens(ids)
    table = dict(zip(names, model.query_weights[ids].tolist(), strict=True))
    (folder / QUERY_WEIGHTS).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own internals; what it produces is checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [entry.level for entry in loggers]
    for entry in loggers:
        entry.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for entry, level in zip(loggers, levels, strict=True):
            entry.setLevel(level)
