"""What stops a run, with its reason."""

import math
from collections.abc import Sequence

from training.errors import TrainingError
from training.sparse.config import GateSettings
from training.sparse.measures import Measured


class CollapsedError(TrainingError):
    """The encoder has become useless: all entries dead, or nearly all alive."""


class NotFiniteError(TrainingError):
    """The loss is no finite number."""


def check_loss(loss: float, step: int) -> None:
    """Refuse a loss that is no finite number.

    Raises:
        NotFiniteError: The message says what usually helps.
    """
    if math.isfinite(loss):
        return
    msg = (
        f"step {step}: the loss is {loss}. The last checkpoint is whole. Lower the learning rates, "
        "or set training.precision = 'fp32', and resume."
    )
    raise NotFiniteError(msg)


def check_sparsity(measured: Sequence[Measured], width: int, gates: GateSettings) -> None:
    """Refuse an encoder that collapsed.

    Raises:
        CollapsedError: Documents have too few or too many active entries.
    """
    for entry in measured:
        if entry.document_dims < gates.min_active:
            msg = (
                f"{entry.name}: documents have {entry.document_dims:.1f} active entries on "
                f"average, fewer than {gates.min_active:g}: the encoder collapsed. Lower "
                "sparsity.documents or lengthen sparsity.ramp."
            )
            raise CollapsedError(msg)
        if entry.document_dims > gates.max_active_share * width:
            msg = (
                f"{entry.name}: documents have {entry.document_dims:.0f} of {width} entries "
                f"active, more than {gates.max_active_share:.0%}: nothing is sparse. Raise "
                "sparsity.documents, or set sparsity.target."
            )
            raise CollapsedError(msg)
