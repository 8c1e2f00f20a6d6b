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
from encoders.export.parity import check_parity
from encoders.model import Model
from encoders.onnx_runner import INPUTS, OnnxRunner
from encoders.torch_runner import TorchRunner

logger = logging.getLogger(__name__)

# Part of the cache's path: raise it when the graphs or the exporter's settings change.
EXPORT_VERSION = 1
OPSET = 20
_OUTPUTS = {"dense": "sentence_embedding", "sparse": "sparse_embedding"}
# Protocol buffers end at 2 GiB; larger weights lie in a file beside the graph.
_EXTERNAL_DATA_BYTES = 1_500_000_000


def cached_export(model: Model, *, trust_remote_code: bool = False) -> Path:
    """The exported folder of a model, made on the first call and kept in the user's cache."""
    target = cache_folder() / "onnx" / f"v{EXPORT_VERSION}" / model.graph_fingerprint
    if not target.is_dir():
        logger.warning("Exporting %s to ONNX (once; kept in %s)", model.name, target)

    def build(folder: Path) -> None:
        export_model(model, folder, trust_remote_code=trust_remote_code)

    return build_once(target, build)


def export_model(model: Model, folder: Path, *, trust_remote_code: bool = False) -> None:
    """Export a model into a folder that loads without PyTorch.

    Args:
        model: A model read from its source files.
        folder: An existing folder; it gets graph, tokenizer and description.
        trust_remote_code: Whether code that ships with the model may run.

    Raises:
        ParityError: The exported graph differs from the original; no description is written.
        EncoderError: The model is itself an export, or cannot be loaded.
    """
    graph = model.load_graph(trust_remote_code=trust_remote_code)
    path = folder / GRAPH
    write_graph(graph, path, output=_OUTPUTS[model.settings.graph.kind])
    parity = check_parity(
        TorchRunner.load(graph, "cpu"),
        OnnxRunner.load(path, "cpu"),
        vocabulary=model.tokenizer.vocabulary_size,
        max_tokens=model.settings.text.max_tokens,
    )
    (folder / TOKENIZER).write_text(model.tokenizer.portable(), encoding="utf-8")
    _write_query_weights(model, folder)
    write_description(
        folder,
        ExportDescription(
            model=model.name,
            graph_fingerprint=model.graph_fingerprint,
            tokenizer_digest=model.tokenizer_digest,
            settings=model.settings,
            parity=asdict(parity),
        ),
    )


def write_graph(graph: Any, path: Path, *, output: str, opset: int = OPSET) -> None:
    """Export a module that takes ids and mask, with free batch size and length.

    Args:
        graph: A ``torch.nn.Module`` on the CPU.
        path: The ``.onnx`` file to write.
        output: Name of its output. Not ``embedding``: ONNX Runtime finds that name twice.
        opset: Version of the operator set.

    Raises:
        EncoderError: The exporter cannot follow this network.
    """
    import torch

    dimensions = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", min=2)}
    size = sum(p.numel() * p.element_size() for p in graph.parameters())
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
                external_data=size > _EXTERNAL_DATA_BYTES,
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
