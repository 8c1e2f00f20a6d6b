"""Which numbers a device should compute in."""

import logging
from dataclasses import dataclass
from typing import Literal

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Precision:
    """Whether to compute in bfloat16 where that is safe (autocast), and why.

    Attributes:
        bf16: Weights stay float32 in either case.
        note: For people.
    """

    bf16: bool
    note: str


def choose_precision(wanted: Literal["auto", "bf16", "fp32"]) -> Precision:
    """The precision for this machine.

    bfloat16 is used only where the processor computes in it: elsewhere it is emulated, which is
    several times slower than float32.
    """
    if wanted == "fp32":
        return Precision(bf16=False, note="float32, as asked")
    has, device = computes_in_bf16()
    if has:
        return Precision(bf16=True, note=f"bfloat16 on {device}")
    note = f"float32: {device} does not compute in bfloat16"
    if wanted == "bf16":
        note += " (bf16 was asked for; emulating it would be slower)"
        logger.warning(note)
    return Precision(bf16=False, note=note)


def computes_in_bf16() -> tuple[bool, str]:
    """Whether the device has bfloat16 arithmetic, and the device's name."""
    import torch

    if torch.cuda.is_available():
        native = torch.cuda.get_device_capability()[0] >= 8
        return native, torch.cuda.get_device_name()
    # Said by the library that does the arithmetic; AVX-512 without BF16 counts as emulation.
    checks = (
        getattr(torch.cpu, "_is_avx512_bf16_supported", None),
        getattr(torch.cpu, "_is_amx_tile_supported", None),
    )
    native = any(bool(check()) for check in checks if check is not None)
    return native, f"this processor ({torch.backends.cpu.get_cpu_capability()})"
