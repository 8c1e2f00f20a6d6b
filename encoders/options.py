"""What a user may ask for when a model is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from encoders.errors import EncoderError

Runtime: TypeAlias = Literal["auto", "onnx", "torch"]
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
Pooling: TypeAlias = Literal["mean", "cls", "lasttoken"]
Activation: TypeAlias = Literal["log1p_relu", "log1p_log1p_relu"]

RUNTIMES: tuple[Runtime, ...] = ("auto", "onnx", "torch")
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")
POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "lasttoken")
ACTIVATIONS: tuple[Activation, ...] = ("log1p_relu", "log1p_log1p_relu")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is loaded; whatever is ``None`` comes from the model's own files.

    Attributes:
        runtime: ``auto`` is ONNX Runtime where it is installed, else PyTorch.
        device: ``auto`` is a CUDA device where the runtime really has one, else the CPU.
        trust_remote_code: Run Python code that ships with the model. Off unless asked for.
        revision: Branch, tag or commit on the model hub.
        max_tokens: Cut texts earlier than the model would.
        dimension: Keep the first so many components and normalise again (Matryoshka).
        top_k: Keep at most so many tokens of a sparse document.
        prune_ratio: Drop tokens of a sparse document lighter than this share of its heaviest.
        threads: Threads of one operation; ``None`` leaves the choice to the runtime.
        batch_tokens: Padded tokens per batch; ``None`` is the measured default.
        pooling: For a folder without Sentence Transformers files.
        activation: For a sparse folder without Sentence Transformers files.
        query_prompt: Replaces the model's own query prompt.
        document_prompt: Replaces the model's own document prompt.
        statistics: What :meth:`encoders.lexical.LexicalEncoder.state` gave.
    """

    runtime: Runtime = "auto"
    device: Device = "auto"
    trust_remote_code: bool = False
    revision: str | None = None
    max_tokens: int | None = None
    dimension: int | None = None
    top_k: int | None = None
    prune_ratio: float | None = None
    threads: int | None = None
    batch_tokens: int | None = None
    pooling: Pooling | None = None
    activation: Activation | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    statistics: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        self._check_choices()
        for name in ("max_tokens", "dimension", "top_k", "threads", "batch_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"{name} must be at least 1, not {value}"
                raise EncoderError(msg)
        if self.prune_ratio is not None and not 0 <= self.prune_ratio < 1:
            msg = f"prune_ratio must be in [0, 1), not {self.prune_ratio}"
            raise EncoderError(msg)

    def _check_choices(self) -> None:
        allowed: dict[str, tuple[str, ...]] = {
            "runtime": RUNTIMES,
            "device": DEVICES,
            "pooling": POOLINGS,
            "activation": ACTIVATIONS,
        }
        for name, choices in allowed.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                msg = f"{name} must be one of {', '.join(choices)}, not {value!r}"
                raise EncoderError(msg)
