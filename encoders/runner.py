"""What runs a network: token ids in, one row per text out."""

from typing import Protocol

from encoders.base import FloatMatrix
from encoders.tokenization import Batch


class Runner(Protocol):
    """A loaded network, pooling and normalisation (or sparse activation) included."""

    @property
    def description(self) -> str:
        """Runtime and device, for people: ``onnx on CPUExecutionProvider``."""
        ...

    @property
    def accelerated(self) -> bool:
        """Whether it runs on a GPU, where large batches pay."""
        ...

    def run(self, batch: Batch) -> FloatMatrix:
        """One float32 row per row of the batch."""
        ...
