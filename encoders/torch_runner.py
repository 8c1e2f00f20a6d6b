"""Runs a whole graph in PyTorch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.base import FloatMatrix
from encoders.errors import EncoderError
from encoders.options import Device
from encoders.tokenization import Batch


@dataclass(frozen=True)
class TorchRunner:
    """A PyTorch module on one device.

    Attributes:
        graph: The whole graph, a ``torch.nn.Module``.
        device: ``cpu`` or ``cuda``.
    """

    graph: Any
    device: str

    @classmethod
    def load(cls, graph: Any, device: Device, threads: int | None = None) -> "TorchRunner":
        """Move a graph to a device.

        Raises:
            EncoderError: A CUDA device was asked for and there is none.
        """
        import torch

        available = torch.cuda.is_available()
        if device == "cuda" and not available:
            msg = "A CUDA device was asked for, but PyTorch finds none. Use --device cpu."
            raise EncoderError(msg)
        if threads is not None:
            torch.set_num_threads(threads)
        place = "cuda" if available and device != "cpu" else "cpu"
        return cls(graph.to(place), place)

    @property
    def description(self) -> str:
        """Runtime and device."""
        return f"torch on {self.device}"

    @property
    def accelerated(self) -> bool:
        """Whether it runs on a GPU."""
        return self.device != "cpu"

    def run(self, batch: Batch) -> FloatMatrix:
        """One float32 row per row of the batch."""
        import torch

        with torch.inference_mode():
            ids = torch.from_numpy(batch.ids).to(self.device)
            mask = torch.from_numpy(batch.mask).to(self.device)
            rows = self.graph(ids, mask).float().cpu().numpy()
        return np.asarray(rows, dtype=np.float32)
