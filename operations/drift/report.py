"""Have the queries changed since the model was evaluated?"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean, median
from typing import Any

from operations.drift.query_features import NEW_WORDS, SCRIPT, UNKNOWN_WORDS, ZERO_RESULTS
from operations.drift.snapshot import Snapshot
from operations.drift.two_samples import (
    TwoSample,
    compare_categories,
    compare_numbers,
    compare_rates,
)
from operations.feedback.errors import FeedbackError
from training.evaluation.significance import holm

# More new words are drift; fewer mean that the log repeats itself.
_ONLY_MORE = frozenset({NEW_WORDS, UNKNOWN_WORDS})
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """When a difference is drift: significant, and large enough to matter.

    Attributes:
        alpha: Chance of any false alarm in a report, all features together (Holm).
        ks_distance: Least Kolmogorov-Smirnov distance of a numeric feature.
        js_distance: Least Jensen-Shannon distance of the scripts.
        cohens_h: Least difference of the zero-result rates.
        min_queries: Fewer on either side say nothing about a feature.
    """

    alpha: float = 0.05
    ks_distance: float = 0.1
    js_distance: float = 0.1
    cohens_h: float = 0.1
    min_queries: int = 50

    def threshold(self, measure: str) -> float:
        """Least distance by a measure."""
        return {
            "KS distance": self.ks_distance,
            "JS distance": self.js_distance,
            "Cohen's h": self.cohens_h,
        }[measure]


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature, compared.

    Attributes:
        name: The feature.
        reference: Its summary in the reference: mean, or share.
        window: The same in the window.
        queries: Queries in the reference and in the window.
        outcome: The test.
        p_holm: Its p value, corrected for all features.
        threshold: Least distance that matters.
        drifted: Whether it has changed.
    """

    name: str
    reference: Mapping[str, float]
    window: Mapping[str, float]
    queries: tuple[int, int]
    outcome: TwoSample
    p_holm: float
    threshold: float
    drifted: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        values = asdict(self)
        outcome = {k: _rounded(v) for k, v in values.pop("outcome").items()}
        sides = {name: {k: _rounded(v) for k, v in values[name].items()} for name in _SIDES}
        return {**values, **sides, **outcome, "queries": list(self.queries)}


_SIDES = ("reference", "window")


@dataclass(frozen=True)
class DriftReport:
    """A window against a reference.

    Attributes:
        reference: Source and size of the reference.
        window: The same of the window.
        features: What was compared.
        left_out: Features that could not be compared, with the reason.
        options: What counts as drift.
    """

    reference: Snapshot
    window: Snapshot
    features: tuple[FeatureDrift, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    options: DriftOptions = field(default_factory=DriftOptions)

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that have changed."""
        return tuple(feature.name for feature in self.features if feature.drifted)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        sides = {"reference": self.reference, "window": self.window}
        return {
            "drift": bool(self.drifted),
            "drifted": list(self.drifted),
            **{
                name: {"source": s.source, "queries": s.queries, "created": s.created}
                for name, s in sides.items()
            },
            "distinct": self.reference.distinct,
            "features": [feature.as_dict() for feature in self.features],
            "left_out": dict(self.left_out),
            "options": asdict(self.options),
        }


def drift_report(
    window: Snapshot, reference: Snapshot, options: DriftOptions | None = None
) -> DriftReport:
    """Compare a window with a reference, feature by feature.

    Args:
        window: Taken with ``take_window``.
        reference: Taken with ``take_reference``.
        options: What counts as drift.

    Raises:
        FeedbackError: No feature can be compared.
    """
    options = options or DriftOptions()
    compared: list[FeatureDrift] = []
    left_out: dict[str, str] = {}
    for name, compare in _comparisons(reference, window).items():
        sizes = _sizes(name, reference), _sizes(name, window)
        if min(sizes) < options.min_queries:
            left_out[name] = (
                f"known of {sizes[0]} queries in the reference and {sizes[1]} in the window; "
                f"{options.min_queries} needed on each side"
            )
            continue
        compared.append(_feature(name, reference, window, compare()))
    if not compared:
        msg = (
            f"too few queries to compare: {reference.queries} in {reference.source}, "
            f"{window.queries} in {window.source}; at least {options.min_queries} are needed on "
            "each side. Take a longer time"
        )
        raise FeedbackError(msg)
    return DriftReport(reference, window, _decided(compared, options), left_out, options)


def _comparisons(reference: Snapshot, window: Snapshot) -> dict[str, Callable[[], TwoSample]]:
    def numbers(name: str) -> Callable[[], TwoSample]:
        return lambda: compare_numbers(reference.numbers[name], window.numbers[name])

    names = list(dict.fromkeys([*reference.numbers, *window.numbers]))
    return {
        **{name: numbers(name) for name in names},
        SCRIPT: lambda: compare_categories(reference.scripts, window.scripts),
        ZERO_RESULTS: lambda: compare_rates(reference.nothing_found, window.nothing_found),
    }


def _sizes(name: str, side: Snapshot) -> int:
    if name == SCRIPT:
        return side.queries
    if name == ZERO_RESULTS:
        return side.nothing_found[1]
    return len(side.numbers.get(name, ()))


def _feature(name: str, reference: Snapshot, window: Snapshot, outcome: TwoSample) -> FeatureDrift:
    return FeatureDrift(
        name=name,
        reference=_summary(name, reference),
        window=_summary(name, window),
        queries=(_sizes(name, reference), _sizes(name, window)),
        outcome=outcome,
        p_holm=outcome.p,
        threshold=0.0,
        drifted=False,
    )


def _summary(name: str, side: Snapshot) -> dict[str, float]:
    if name == SCRIPT:
        return {script: count / side.queries for script, count in sorted(side.scripts.items())}
    if name == ZERO_RESULTS:
        return {"share": side.nothing_found[0] / side.nothing_found[1]}
    return {"mean": fmean(side.numbers[name]), "median": median(side.numbers[name])}


def _decided(features: list[FeatureDrift], options: DriftOptions) -> tuple[FeatureDrift, ...]:
    corrected = holm([feature.outcome.p for feature in features])
    decided = []
    for feature, p in zip(features, corrected, strict=True):
        threshold = options.threshold(feature.outcome.measure)
        drifted = p < options.alpha and feature.outcome.distance >= threshold
        if feature.name in _ONLY_MORE:
            drifted = drifted and feature.window["mean"] > feature.reference["mean"]
        decided.append(replace(feature, p_holm=p, threshold=threshold, drifted=drifted))
    return tuple(decided)


def _rounded(value: Any) -> Any:
    return round(value, _DIGITS) if isinstance(value, float) else value
