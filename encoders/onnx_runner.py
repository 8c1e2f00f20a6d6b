"""Runs an exported graph in ONNX Runtime."""

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from encoders.base import FloatMatrix
from encoders.errors import EncoderError, MissingExtraError
from encoders.options import Device
from encoders.tokenization import Batch

logger = logging.getLogger(__name__)

INPUTS = ("input_ids", "attention_mask")
_PACKAGE = "onnxruntime"
_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"


def onnxruntime_installed() -> bool:
    """Whether ONNX Runtime can be imported."""
    return importlib.util.find_spec(_PACKAGE) is not None


def has_cuda_provider() -> bool:
    """Whether the installed ONNX Runtime is the one for CUDA devices."""
    return _CUDA in _onnxruntime().get_available_providers()


@dataclass(frozen=True)
class OnnxRunner:
    """An ONNX Runtime session.

    Attributes:
        session: The ``onnxruntime.InferenceSession``.
    """

    session: Any

    @classmethod
    def load(cls, path: Path, device: Device = "auto", threads: int | None = None) -> "OnnxRunner":
        """Open a ``model.onnx``.

        Raises:
            EncoderError: A CUDA device was asked for and not obtained, or the file is broken.
        """
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        # A memory plan is kept for each shape it meets; batches come in hundreds of shapes.
        options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = threads
        wants_cuda = device == "cuda" or (device == "auto" and has_cuda_provider())
        if wants_cuda and hasattr(runtime, "preload_dlls"):
            runtime.preload_dlls()
        providers = [_CUDA, _CPU] if wants_cuda else [_CPU]
        if device == "cuda" and not has_cuda_provider():
            raise _no_cuda(runtime.get_available_providers())
        try:
            session = runtime.InferenceSession(str(path), options, providers=providers)
        except _session_errors() as error:
            msg = f"ONNX Runtime cannot open {path}: {error}"
            raise EncoderError(msg) from error
        return cls._checked(session, device, wants_cuda=wants_cuda)

    @classmethod
    def _checked(cls, session: Any, device: Device, *, wants_cuda: bool) -> "OnnxRunner":
        """ONNX Runtime falls back to the CPU without an error: that is noticed here."""
        obtained = session.get_providers()
        if wants_cuda and obtained[0] != _CUDA:
            if device == "cuda":
                raise _no_cuda(obtained)
            logger.warning("ONNX Runtime could not use the CUDA device and runs on the CPU.")
        return cls(session)

    @property
    def description(self) -> str:
        """Runtime and the provider it really has."""
        return f"onnx on {self.session.get_providers()[0]}"

    @property
    def accelerated(self) -> bool:
        """Whether it runs on a GPU."""
        return bool(self.session.get_providers()[0] != _CPU)

    def run(self, batch: Batch) -> FloatMatrix:
        """One float32 row per row of the batch."""
        feed = dict(zip(INPUTS, (batch.ids, batch.mask), strict=True))
        return np.asarray(self.session.run(None, feed)[0], dtype=np.float32)


def _no_cuda(obtained: list[str]) -> EncoderError:
    msg = (
        f"A CUDA device was asked for, but ONNX Runtime offers only {', '.join(obtained)}. Install "
        "'tandem-search[gpu]' instead of [cpu] (never both), or use --device cpu or --runtime torch"
    )
    return EncoderError(msg)


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(_PACKAGE, "cpu") from error
    return onnxruntime


def _session_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions; they share no base class but ``Exception``."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile")
    return tuple(getattr(state, name) for name in (*names, "NotImplemented", "RuntimeException"))
