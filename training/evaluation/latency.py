"""Latency of queries in milliseconds, summed up."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from training.errors import EvaluationError


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Percentiles, mean and maximum of latency samples, in milliseconds.

    Percentiles are interpolated linearly between the two nearest samples. With fewer than 100
    samples p99 lies between the two slowest: read it as "about the slowest".
    """

    p50: float
    p90: float
    p95: float
    p99: float
    mean: float
    max: float

    @classmethod
    def from_samples(cls, samples_ms: Sequence[float]) -> "LatencySummary":
        """Sum up samples in milliseconds.

        Raises:
            EvaluationError: There are none, or one is negative or no number.
        """
        samples = np.asarray(samples_ms, dtype=np.float64)
        if samples.size == 0:
            msg = "no latency sample to sum up; at least one query must have been run"
            raise EvaluationError(msg)
        if not np.all(np.isfinite(samples)) or samples.min() < 0:
            msg = "latency samples must be finite and not negative (milliseconds)"
            raise EvaluationError(msg)
        p50, p90, p95, p99 = (float(p) for p in np.percentile(samples, [50, 90, 95, 99]))
        return cls(p50, p90, p95, p99, float(samples.mean()), float(samples.max()))

    def as_dict(self) -> dict[str, float]:
        """The summary as JSON-ready values, to the microsecond."""
        return {name: round(value, 3) for name, value in asdict(self).items()}
