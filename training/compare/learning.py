"""How a run learnt: train loss against dev metric, and whether it fitted too closely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from training.compare.systems import System

Points: TypeAlias = tuple[tuple[int, float], ...]
# A dev metric that falls by less than this share of its best value has not fallen.
MIN_FALL = 0.01
_WINDOW = 5


@dataclass(frozen=True)
class Learning:
    """The curves of a training.

    Attributes:
        label: Whose.
        loss: Step and train loss.
        dev: Step and dev metric, the untrained model's at step 0 where it was measured.
        kept: The step whose weights were kept.
    """

    label: str
    loss: Points
    dev: Points
    kept: int | None = None

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and value of the best dev metric, the first of equals."""
        return max(self.dev, key=lambda point: point[1]) if self.dev else None

    @property
    def fault(self) -> str | None:
        """Over-fitting in words: train loss fell on while the dev metric fell; None otherwise."""
        best = self.best
        if best is None or self.dev[-1][0] <= best[0]:
            return None
        loss = self._loss_since(best[0])
        last = self.dev[-1]
        if last[1] > best[1] * (1 - MIN_FALL) or loss is None or loss[1] >= loss[0]:
            return None
        kept = f" The weights of step {self.kept} were kept." if self.kept is not None else ""
        return (
            f"over-fitting after step {best[0]}: until step {last[0]} the train loss fell from "
            f"{loss[0]:.4g} to {loss[1]:.4g} while the dev metric fell from {best[1]:.4f} to "
            f"{last[1]:.4f}.{kept} More data, harder negatives, a lower learning rate, fewer steps "
            "or a smaller adapter help."
        )

    def as_dict(self) -> dict[str, Any]:
        """The curves as JSON-ready values."""
        return {
            "label": self.label,
            "loss": [list(point) for point in self.loss],
            "dev": [list(point) for point in self.dev],
            "best_step": self.best[0] if self.best else None,
            "kept_step": self.kept,
            "warning": self.fault,
        }

    def _loss_since(self, step: int) -> tuple[float, float] | None:
        """Mean train loss around a step and at the end, over a few lines of the log each."""
        before = [value for at, value in self.loss if at <= step][-_WINDOW:]
        after = [value for at, value in self.loss if at > step]
        if not after:
            return None
        # A step that is best before anything was logged is compared with the first losses.
        first = before or after[:_WINDOW]
        last = after[-_WINDOW:]
        return sum(first) / len(first), sum(last) / len(last)


def read_learning(system: System) -> Learning | None:
    """The curves of the run a system came from; None where there is no log."""
    if system.log is None:
        return None
    log = system.log.read_log()
    learning = Learning(system.label, _points(log, "loss"), _dev(log), system.best_step)
    return learning if learning.loss or learning.dev else None


def _dev(log: Sequence[Mapping[str, Any]]) -> Points:
    """Dense and static runs log it as ``dev``, sparse ones as ``metric``."""
    return _points(log, "dev") or _points(log, "metric")


def _points(log: Sequence[Mapping[str, Any]], key: str) -> Points:
    return tuple(
        (int(entry["step"]), float(entry[key]))
        for entry in log
        if isinstance(entry.get(key), (int, float)) and "step" in entry
    )
