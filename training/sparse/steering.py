"""Weights that change during a run: the ramp of the regulariser, and its steering to a target."""

import math
from dataclasses import dataclass

# How far steering may take a weight from what the configuration says.
_BOUNDS = (0.01, 100.0)


@dataclass
class Steering:
    """Raises a weight while documents are too long and lowers it while they are short enough.

    Attributes:
        target: Active entries a document should have; ``None`` leaves the weight alone.
        speed: Largest change of the weight's logarithm in one step.
        factor: What the weight is multiplied with.
    """

    target: float | None
    speed: float
    factor: float = 1.0

    def update(self, active: float) -> None:
        """Take notice of a batch's mean of active entries."""
        if self.target is None:
            return
        error = max(-1.0, min(1.0, (active - self.target) / self.target))
        moved = self.factor * math.exp(self.speed * error)
        self.factor = max(_BOUNDS[0], min(_BOUNDS[1], moved))


def ramp(step: int, steps: int, share: float) -> float:
    """Quadratic rise from 0 to 1 over the first ``share`` of the steps."""
    rising = share * steps
    return 1.0 if rising <= 0 or step >= rising else (step / rising) ** 2


def rate_factor(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Learning rate of a step as a share of the highest, from 0 to 1."""
    rising = warmup * steps
    if step < rising:
        return (step + 1) / (rising + 1)
    progress = (step - rising) / max(1.0, steps - rising)
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    return 1 - progress if schedule == "linear" else 1.0
