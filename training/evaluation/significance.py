"""Paired comparison of two systems over the same queries: is a difference more than noise?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from training.errors import EvaluationError
from training.evaluation.metrics import LABELS

Verdict = Literal["better", "worse", "within noise", "no difference"]

ALPHA = 0.05
RESAMPLES = 10_000
SEED = 13

# Resamples drawn at a time: bounds memory at about 8 bytes x this x queries.
_BLOCK = 1_000
# Two sums over the same values in another order may differ by this much, and are still equal.
_EPSILON = 1e-12

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two systems' values of one metric, query by query in the same order."""

    system: str
    baseline: str
    metric: str
    system_values: Sequence[float]
    baseline_values: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.system_values) != len(self.baseline_values) or not self.system_values:
            msg = (
                f"{self.system} has {len(self.system_values)} values of {self.metric}, "
                f"{self.baseline} has {len(self.baseline_values)}; a paired test needs one each "
                "for the same queries, and at least one query"
            )
            raise EvaluationError(msg)

    def differences(self) -> Floats:
        """System minus baseline for every query."""
        return np.asarray(self.system_values, np.float64) - np.asarray(
            self.baseline_values, np.float64
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a paired comparison found.

    Attributes:
        system: The system that is compared.
        baseline: What it is compared with.
        metric: On which metric.
        n: Number of queries.
        system_mean: The system's mean.
        baseline_mean: The baseline's mean.
        difference: System minus baseline.
        ci_low: Lower end of the 95 % bootstrap interval of the difference.
        ci_high: Upper end.
        p_t: Two-sided p of the paired t-test.
        p_randomisation: Two-sided p of the paired randomisation test.
        p_holm: That p, corrected for all comparisons of the same report.
        wins: Queries on which the system is ahead.
        ties: Queries on which both are equal.
        losses: Queries on which the baseline is ahead.
    """

    system: str
    baseline: str
    metric: str
    n: int
    system_mean: float
    baseline_mean: float
    difference: float
    ci_low: float
    ci_high: float
    p_t: float
    p_randomisation: float
    p_holm: float
    wins: int
    ties: int
    losses: int

    @property
    def relative(self) -> float | None:
        """The difference as a share of the baseline's mean; None where that is 0."""
        return self.difference / self.baseline_mean if self.baseline_mean else None

    def significant(self, alpha: float = ALPHA) -> bool:
        """Whether the corrected randomisation test rejects "no difference" at this level."""
        return self.p_holm < alpha

    def verdict(self, alpha: float = ALPHA) -> Verdict:
        """The finding in one or two words; a gain that may be chance is "within noise"."""
        if self.wins == 0 and self.losses == 0:
            return "no difference"
        if not self.significant(alpha):
            return "within noise"
        return "better" if self.difference > 0 else "worse"

    def sentence(self) -> str:
        """The finding in one plain sentence, with the numbers it rests on."""
        verdict = self.verdict()
        label = LABELS.get(self.metric, self.metric)
        if verdict == "no difference":
            return f"{self.system} and {self.baseline} are equal in {label} on every query."
        relation = {
            "better": f"is better than {self.baseline}",
            "worse": f"is worse than {self.baseline}",
            "within noise": f"differs from {self.baseline} within noise",
        }[verdict]
        return (
            f"{self.system} {relation}: {label} {self.system_mean:.3f} against "
            f"{self.baseline_mean:.3f} ({self.evidence()})."
        )

    def evidence(self) -> str:
        """The size of the difference and its corrected p, for the end of a sentence."""
        size = f"{self.difference:+.3f}".replace("-", "−")
        return (
            f"{size if self.relative is None else percent(self.relative)}, {format_p(self.p_holm)}"
        )

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON-ready values."""
        return {
            "system": self.system,
            "baseline": self.baseline,
            "metric": self.metric,
            "n": self.n,
            "difference": round(self.difference, 6),
            "relative": None if self.relative is None else round(self.relative, 6),
            "ci95": [round(self.ci_low, 6), round(self.ci_high, 6)],
            "p_t": float(f"{self.p_t:.4g}"),
            "p_randomisation": float(f"{self.p_randomisation:.4g}"),
            "p_holm": float(f"{self.p_holm:.4g}"),
            "wins": self.wins,
            "ties": self.ties,
            "losses": self.losses,
            "verdict": self.verdict(),
        }


def compare(pair: Pair, *, seed: int = SEED, resamples: int = RESAMPLES) -> Comparison:
    """Compare two systems on one metric, without a correction for further comparisons."""
    return compare_all([pair], seed=seed, resamples=resamples)[0]


def compare_all(
    pairs: Sequence[Pair], *, seed: int = SEED, resamples: int = RESAMPLES
) -> list[Comparison]:
    """Compare several pairs over the same queries, corrected together after Holm.

    All pairs share one set of resamples, so a pair's uncorrected numbers do not depend on which
    others are tested with it.

    Args:
        pairs: All with the same number of queries.
        seed: Of the resampling; the same seed gives the same numbers.
        resamples: Bootstrap samples, and random sign assignments.

    Raises:
        EvaluationError: Pairs over different numbers of queries.
    """
    if not pairs:
        return []
    if len({len(pair.system_values) for pair in pairs}) > 1:
        msg = "all pairs of one report must be over the same queries"
        raise EvaluationError(msg)
    differences = np.stack([pair.differences() for pair in pairs], axis=1)
    low, high = bootstrap_intervals(differences, seed=seed, resamples=resamples)
    p_random = randomisation_p(differences, seed=seed, resamples=resamples)
    found = [
        _comparison(pair, float(low[i]), float(high[i]), float(p_random[i]))
        for i, pair in enumerate(pairs)
    ]
    corrected = holm([comparison.p_randomisation for comparison in found])
    return [replace(c, p_holm=p) for c, p in zip(found, corrected, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for being many (Holm, "A simple sequentially rejective test", 1979).

    The i-th smallest of m (from 0) is multiplied by ``m - i``; a corrected value is never below
    a smaller one's, nor above 1.
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for i, index in enumerate(sorted(range(len(p_values)), key=lambda k: p_values[k])):
        highest = max(highest, min(1.0, (len(p_values) - i) * p_values[index]))
        corrected[index] = highest
    return corrected


def paired_t_p(differences: Floats) -> float:
    """Two-sided p of the paired t-test of a mean difference of 0.

    1 for a single query (nothing can be told); where every difference is the same, 1 if it is 0
    and 0 otherwise.
    """
    from scipy import stats

    n = differences.size
    if n < 2:
        return 1.0
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))
    if spread < _EPSILON:
        return 1.0 if abs(mean) < _EPSILON else 0.0
    return float(2.0 * stats.t.sf(abs(mean) / (spread / math.sqrt(n)), df=n - 1))


def randomisation_p(differences: Floats, *, seed: int, resamples: int) -> Floats:
    """Two-sided p of the paired randomisation test (Smucker et al., CIKM 2007).

    If two systems are alike, each query's difference might as well have the other sign: p is the
    share of random sign assignments whose mean is at least as far from 0 as the one observed,
    which counts as one of them.

    Args:
        differences: ``[queries, comparisons]``.
        seed: Of the random signs.
        resamples: How many sign assignments.

    Returns:
        ``[comparisons]``.
    """
    rng = np.random.default_rng([seed, 1])
    n = differences.shape[0]
    observed = np.abs(differences.mean(axis=0))
    as_far = np.zeros(differences.shape[1], dtype=np.int64)
    for size in _blocks(resamples):
        bits = np.unpackbits(np.frombuffer(rng.bytes(size * ((n + 7) // 8)), np.uint8))
        signs = bits.reshape(size, -1)[:, :n].astype(np.float64) * 2.0 - 1.0
        as_far += np.sum(np.abs(signs @ differences) / n >= observed - _EPSILON, axis=0)
    return np.asarray((as_far + 1) / (resamples + 1), dtype=np.float64)


def bootstrap_intervals(differences: Floats, *, seed: int, resamples: int) -> tuple[Floats, Floats]:
    """95 % percentile bootstrap intervals of mean differences (Efron and Tibshirani, 1993).

    Args:
        differences: ``[queries, comparisons]``.
        seed: Of the resampling of queries.
        resamples: How many samples of queries with replacement.

    Returns:
        Lower and upper ends, each ``[comparisons]``.
    """
    rng = np.random.default_rng([seed, 2])
    n = differences.shape[0]
    means = []
    for size in _blocks(resamples):
        drawn = rng.integers(0, n, size=(size, n), dtype=np.int64)
        drawn += np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        means.append(counts.astype(np.float64) @ differences / n)
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5], axis=0)
    return low, high


def percent(share: float) -> str:
    """A signed share in percent, with a true minus: ``+4.2 %``, ``−0.3 %``."""
    return f"{100 * share:+.1f} %".replace("-", "−")


def format_p(p: float) -> str:
    """A p value as written in prose: ``p = .012``, ``p < .001``."""
    if p < 0.001:
        return "p < .001"
    # A digit more where rounding would hide on which side of the level it lies.
    digits = 4 if round(p, 3) == ALPHA else 3
    return f"p = {p:.{digits}f}".replace("= 0.", "= .")


def _blocks(resamples: int) -> list[int]:
    full, rest = divmod(resamples, _BLOCK)
    return [_BLOCK] * full + ([rest] if rest else [])


def _comparison(pair: Pair, low: float, high: float, p_random: float) -> Comparison:
    differences = pair.differences()
    return Comparison(
        system=pair.system,
        baseline=pair.baseline,
        metric=pair.metric,
        n=differences.size,
        system_mean=float(np.mean(pair.system_values)),
        baseline_mean=float(np.mean(pair.baseline_values)),
        difference=float(differences.mean()),
        ci_low=low,
        ci_high=high,
        p_t=paired_t_p(differences),
        p_randomisation=p_random,
        p_holm=p_random,
        wins=int(np.sum(differences > _EPSILON)),
        ties=int(np.sum(np.abs(differences) <= _EPSILON)),
        losses=int(np.sum(differences < -_EPSILON)),
    )
