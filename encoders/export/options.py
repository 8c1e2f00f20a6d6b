"""What a user may ask of an export."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from encoders.errors import EncoderError

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
Target: TypeAlias = Literal["runtime", "ml-commons", "torchscript", "openvino"]

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
TARGETS: tuple[Target, ...] = ("runtime", "ml-commons", "torchscript", "openvino")

# Largest 1 - cosine of a row, by precision: rounding errors of float32 and float16; what eight
# bits cost a sound model. Whether that matters is for the retrieval metric to say.
TOLERANCES = MappingProxyType({"fp32": 1e-4, "fp16": 1e-3, "int8": 0.15})


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How a model is exported.

    Attributes:
        precision: Of the weights.
        tolerance: Largest 1 - cosine between a row of the export and one of PyTorch; ``None`` is
            the precision's own.
        texts: Texts to compare on, besides the fixed ones.
        gate: Whether an ML Commons file must be loaded by the cluster's old ONNX Runtime.
    """

    precision: Precision = "fp32"
    tolerance: float | None = None
    texts: tuple[str, ...] = ()
    gate: bool = True

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            allowed = ", ".join(PRECISIONS)
            msg = f"precision must be one of {allowed}, not {self.precision!r}"
            raise EncoderError(msg)
        if self.tolerance is not None and not 0 < self.tolerance <= 1:
            msg = f"tolerance is 1 - cosine: it must be above 0 and at most 1, not {self.tolerance}"
            raise EncoderError(msg)

    @property
    def allowed_loss(self) -> float:
        """Largest 1 - cosine that is written."""
        return TOLERANCES[self.precision] if self.tolerance is None else self.tolerance


DEFAULT_OPTIONS = ExportOptions()
