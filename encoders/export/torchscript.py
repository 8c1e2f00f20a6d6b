"""Exports a model as TorchScript, the form ML Commons knew first.

A dictionary goes in and a dictionary comes out, as DJL hands them over: its ``input1.input_ids``
is the entry ``input_ids`` of the first argument. A sparse model answers ``{"output": [B, V]}``, a
dense one ``{"sentence_embedding": [B, D]}``.
"""

import warnings
from pathlib import Path
from typing import Any, TypeAlias

from encoders.errors import EncoderError
from encoders.export.artefact import Artefact, CallRunner, run_all
from encoders.export.folder import TOKENIZER
from encoders.export.node_tokenizer import node_tokenizer
from encoders.export.options import ExportOptions
from encoders.export.parity import (
    compare,
    comparison_batches,
    require_parity,
    single_token_batch,
)
from encoders.model import Model
from encoders.tokenization import Batch
from encoders.torch_runner import TorchRunner

Module: TypeAlias = Any

SCRIPT = "model.pt"
OUTPUTS = {"dense": "sentence_embedding", "sparse": "output"}


def write_torchscript(
    model: Model, folder: Path, options: ExportOptions, *, trust_remote_code: bool = False
) -> Artefact:
    """Trace a model into an existing folder: ``model.pt`` and ``tokenizer.json``.

    Raises:
        ParityError: The traced graph differs from the original.
        EncoderError: The network cannot be traced, or another precision than fp32 was asked for.
    """
    if options.precision != "fp32":
        msg = f"TorchScript is exported with --precision fp32 only, not {options.precision}"
        raise EncoderError(msg)
    output = OUTPUTS[model.settings.graph.kind]
    graph = model.load_graph(trust_remote_code=trust_remote_code)
    batches = [
        single_token_batch(model.tokenizer),
        *comparison_batches(model.tokenizer, options.texts),
    ]
    expected = run_all(TorchRunner.load(graph, "cpu"), batches)
    _trace(graph, folder / SCRIPT, output)
    del graph
    parity = compare(expected, map(open_script(folder / SCRIPT, output).run, batches))
    require_parity(parity, options.allowed_loss)
    (folder / TOKENIZER).write_text(node_tokenizer(model.tokenizer), encoding="utf-8")
    return Artefact(
        files=(SCRIPT, TOKENIZER),
        parity=parity,
        open=lambda place: open_script(place / SCRIPT, output),
    )


def open_script(path: Path, output: str) -> CallRunner:
    """Run a traced graph on the CPU."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its maker calls TorchScript old; ML Commons needs it
        script = torch.jit.load(str(path), map_location="cpu").eval()

    def call(batch: Batch) -> Any:
        ids, mask = torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)
        with torch.inference_mode():
            return script({"input_ids": ids, "attention_mask": mask})[output].numpy()

    return CallRunner(call, "torchscript on cpu")


def _trace(graph: Module, path: Path, output: str) -> None:
    import torch

    example = {
        "input_ids": torch.ones((3, 8), dtype=torch.int64),
        "attention_mask": torch.ones((3, 8), dtype=torch.int64),
    }
    example["attention_mask"][1, 5:] = 0
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            # check_trace would run it once more on the same input; parity is checked on others.
            traced = torch.jit.trace(
                _named(graph, output), example, strict=False, check_trace=False
            )
            torch.jit.save(traced, str(path))
    except (RuntimeError, TypeError) as error:
        msg = f"The model cannot be traced ({error}). Use --target ml-commons, which takes ONNX."
        raise EncoderError(msg) from error


def _named(graph: Module, output: str) -> Module:
    import torch

    class Named(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
        def __init__(self) -> None:
            super().__init__()
            self.vectors = graph

        def forward(self, features: dict[str, Any]) -> dict[str, Any]:
            return {output: self.vectors(features["input_ids"], features["attention_mask"])}

    return Named().eval()
