"""What an exporter wrote, and how it is run again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from encoders.base import FloatMatrix
from encoders.export.parity import Parity
from encoders.model import Model
from encoders.runner import Runner
from encoders.tokenization import Batch
from encoders.torch_runner import TorchRunner


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether the runtime of ML Commons took a graph.

    Attributes:
        runtime: Which runtime.
        passed: ``False`` only where the check was left out on the user's word.
        load_seconds: Time it took to load and optimise the graph.
    """

    runtime: str
    passed: bool
    load_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Artefact:
    """What an exporter wrote into a folder.

    Attributes:
        files: Names of the files, the graph first.
        parity: How close it comes to PyTorch.
        open: Loads it from its folder, wherever that has been moved.
        opset: Version of the operator set (ONNX).
        ir_version: Version of the file format (ONNX).
        gate: What the old runtime said (ML Commons).
    """

    files: tuple[str, ...]
    parity: Parity
    open: Callable[[Path], Runner]
    opset: int | None = None
    ir_version: int | None = None
    gate: Gate | None = None


@dataclass(frozen=True)
class CallRunner:
    """A runner around any function of a batch.

    Attributes:
        call: Token ids to one row per text; an axis of one token is dropped.
        description: Runtime and device, for people.
    """

    call: Callable[[Batch], Any]
    description: str
    accelerated: bool = field(default=False)

    def run(self, batch: Batch) -> FloatMatrix:
        """One float32 row per row of the batch."""
        found = np.asarray(self.call(batch), dtype=np.float32)
        return found.reshape(len(batch.ids), -1)


def run_all(runner: Runner, batches: Sequence[Batch]) -> list[FloatMatrix]:
    """The rows of each batch."""
    return [runner.run(batch) for batch in batches]


def original_rows(
    model: Model, batches: Sequence[Batch], *, trust_remote_code: bool = False
) -> list[FloatMatrix]:
    """What PyTorch answers; its weights are let go before the export's are loaded."""
    graph = model.load_graph(trust_remote_code=trust_remote_code)
    return run_all(TorchRunner.load(graph, "cpu"), batches)
