"""Two samples of a feature: are they one distribution, and if not, how far apart are they?

A test alone calls any difference significant once the samples are large enough; a distance alone
is noisy while they are small. Both must speak.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BINS = 10
_LEAST_EXPECTED = 5.0
# Half an observation in empty cells, so that logarithms stay finite.
_ADDED = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TwoSample:
    """Outcome for one feature.

    Attributes:
        test: Name of the test.
        p: Its p value.
        distance: How far apart the distributions are, by ``measure``.
        measure: ``KS distance`` (0..1), ``JS distance`` (0..1) or ``Cohen's h`` (0..pi).
        psi: Population stability index.
    """

    test: str
    p: float
    distance: float
    measure: str
    psi: float


def compare_numbers(reference: Sequence[float], window: Sequence[float]) -> TwoSample:
    """Kolmogorov-Smirnov test; its statistic is the distance.

    With ties, as of whole numbers, its p value errs on the safe side.
    """
    from scipy import stats

    first, second = np.asarray(reference, np.float64), np.asarray(window, np.float64)
    outcome = stats.ks_2samp(first, second, method="asymp")
    counts = _binned(first, second)
    return TwoSample(
        "Kolmogorov-Smirnov",
        float(outcome.pvalue),
        float(outcome.statistic),
        "KS distance",
        stability_index(*counts),
    )


def compare_categories(reference: Mapping[str, int], window: Mapping[str, int]) -> TwoSample:
    """Chi-square test, rare categories pooled; Jensen-Shannon distance (base 2)."""
    from scipy import stats

    names = sorted({*reference, *window})
    table = np.asarray([[side.get(name, 0) for name in names] for side in (reference, window)])
    pooled = _pooled(table.astype(np.float64))
    p = float(stats.chi2_contingency(pooled).pvalue) if pooled.shape[1] > 1 else 1.0
    first, second = table.astype(np.float64)
    return TwoSample(
        "chi-square", p, js_distance(first, second), "JS distance", stability_index(first, second)
    )


def compare_rates(reference: tuple[int, int], window: tuple[int, int]) -> TwoSample:
    """Fisher's exact test; Cohen's h, the distance of the arcsines of two rates.

    Args:
        reference: Cases, and queries.
        window: The same.
    """
    from scipy import stats

    table = [[cases, total - cases] for cases, total in (reference, window)]
    first, second = (np.asarray(row, np.float64) for row in table)
    angles = [2 * math.asin(math.sqrt(cases / total)) for cases, total in (reference, window)]
    return TwoSample(
        "Fisher exact",
        float(stats.fisher_exact(table).pvalue),
        abs(angles[1] - angles[0]),
        "Cohen's h",
        stability_index(first, second),
    )


def stability_index(reference: Floats, window: Floats) -> float:
    """Population stability index, ``sum (w - r) ln(w / r)`` over the shares of the bins."""
    first, second = _shares(reference + _ADDED), _shares(window + _ADDED)
    return float(np.sum((second - first) * np.log(second / first)))


def js_distance(reference: Floats, window: Floats) -> float:
    """Square root of the Jensen-Shannon divergence in bits: 0 (equal) to 1 (nothing in common).

    Endres and Schindelin, "A new metric for probability distributions", 2003.
    """
    first, second = _shares(reference), _shares(window)
    middle = (first + second) / 2
    divergence = (_relative_entropy(first, middle) + _relative_entropy(second, middle)) / 2
    return math.sqrt(max(0.0, divergence))


def _relative_entropy(first: Floats, second: Floats) -> float:
    there = first > 0
    return float(np.sum(first[there] * np.log2(first[there] / second[there])))


def _shares(counts: Floats) -> Floats:
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _binned(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Counts by the deciles of the reference."""
    inner = np.unique(np.quantile(first, np.linspace(0, 1, _BINS + 1)[1:-1]))
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    return tuple(np.histogram(side, edges)[0].astype(np.float64) for side in (first, second))  # type: ignore[return-value]


def _pooled(table: Floats) -> Floats:
    """Columns whose expected count is too small for the test, put together."""
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    rare = expected.min(axis=0) < _LEAST_EXPECTED
    if not rare.any():
        return table
    together = table[:, rare].sum(axis=1, keepdims=True)
    kept = table[:, ~rare]
    return np.concatenate([kept, together], axis=1) if together.all() else kept
