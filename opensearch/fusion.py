"""How the legs of a hybrid query become one ranking, here and on the server.

The same ``Fusion`` either becomes a search pipeline or is computed by the client, where the legs
live in different indices.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from opensearch.errors import SettingsError

Leg = Literal["bm25", "dense", "sparse"]
Method = Literal["minmax", "l2", "zscore", "rrf"]
Combination = Literal["arithmetic", "geometric", "harmonic"]
LEGS: tuple[Leg, ...] = ("bm25", "dense", "sparse")
METHODS: tuple[Method, ...] = ("minmax", "l2", "zscore", "rrf")
COMBINATIONS: tuple[Combination, ...] = ("arithmetic", "geometric", "harmonic")

# Chosen on development sets: docs/fusion.md has the table, benchmarks/fusion.py makes it.
DEFAULT_WEIGHTS: Mapping[Leg, float] = MappingProxyType(
    {"bm25": 0.45, "dense": 0.45, "sparse": 0.1}
)
DEFAULT_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Bounds:
    """The scores of a leg that count as 0 and as 1; ``None``: the lowest or highest candidate's.

    A word-matching leg starts at 0, and ends where a full match of the query's words would (see
    ``opensearch.match_bounds``). The dense leg is measured from the similarity of two unrelated
    passages to that of identical ones. So a leg without a good answer to a query does not get its
    best candidate stretched to 1.
    """

    low: float | None = 0.0
    high: float | None = None


def dense_bounds(floor: float | None) -> Bounds:
    """Bounds of the dense leg's OpenSearch score, 1 + cosine.

    Args:
        floor: Cosine of unrelated texts of the corpus; ``None`` if it is not known.
    """
    return Bounds(None, None) if floor is None else Bounds(1.0 + max(floor, 0.0), 2.0)


@dataclass(frozen=True, slots=True)
class Fusion:
    """A fusion method and its parameters.

    Attributes:
        method: ``minmax`` (scores of each leg scaled to 0..1), ``l2`` (divided by the length of
            the leg's scores), ``zscore`` (distance from the leg's mean in standard deviations) or
            ``rrf`` (reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009).
        weights: Weight per leg; only their ratios matter.
        combination: The weighted mean of the scaled scores. A leg that did not find a document
            counts as 0 in the arithmetic mean, and not at all in the other two.
        bounds: Bounds per leg for ``minmax``; a leg without any starts at 0.
        rank_constant: The k of 1 / (k + rank).
        depth: Candidates taken from each leg.
    """

    method: Method = "minmax"
    weights: Mapping[Leg, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    bounds: Mapping[Leg, Bounds] = field(default_factory=dict)
    rank_constant: int = 60
    depth: int = DEFAULT_DEPTH
    combination: Combination = "arithmetic"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            msg = f"unknown fusion {self.method!r}; allowed: {', '.join(METHODS)}"
            raise SettingsError(msg)
        self._check_combination()
        unknown = set(self.weights) - set(LEGS)
        if unknown or not all(0 <= weight < math.inf for weight in self.weights.values()):
            msg = f"weights are non-negative, for {', '.join(LEGS)}; got {dict(self.weights)}"
            raise SettingsError(msg)
        if not 1 <= self.rank_constant <= 10_000 or not 1 <= self.depth <= 10_000:
            msg = "rank constant and depth must lie between 1 and 10000"
            raise SettingsError(msg)

    def _check_combination(self) -> None:
        if self.combination not in COMBINATIONS:
            msg = f"unknown combination {self.combination!r}; allowed: {', '.join(COMBINATIONS)}"
            raise SettingsError(msg)
        if self.combination != "arithmetic" and self.method in ("zscore", "rrf"):
            msg = f"{self.method} combines by the arithmetic mean only, not {self.combination}"
            raise SettingsError(msg)

    def as_dict(self) -> dict[str, Any]:
        """The fusion as JSON-ready values."""
        bounds = {leg: [bound.low, bound.high] for leg, bound in self.bounds.items()}
        return {
            "method": self.method,
            "combination": self.combination,
            "weights": dict(self.weights),
            "bounds": bounds,
            "rank_constant": self.rank_constant,
            "depth": self.depth,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Fusion":
        """The fusion that :meth:`as_dict` gave.

        Raises:
            SettingsError: Keys or values are not those of a fusion.
        """
        try:
            bounds = {leg: Bounds(*ends) for leg, ends in values["bounds"].items()}
            return cls(**{**values, "bounds": bounds})
        except (KeyError, TypeError, AttributeError) as error:
            msg = f"this is no fusion: {dict(values)} ({error!r})"
            raise SettingsError(msg) from error

    def normalised_weights(self, legs: Sequence[Leg]) -> list[float]:
        """Weights of the given legs, in order, summing to exactly 1 as OpenSearch demands.

        Raises:
            SettingsError: All of these legs have weight zero.
        """
        raw = [float(self.weights.get(leg, 0.0)) for leg in legs]
        total = sum(raw)
        if total <= 0:
            msg = f"the legs {', '.join(legs)} have no weight; give at least one a positive weight"
            raise SettingsError(msg)
        shares = [round(weight / total, 6) for weight in raw]
        heaviest = shares.index(max(shares))  # takes what rounding left over; never below zero
        shares[heaviest] = round(1.0 - (sum(shares) - shares[heaviest]), 6)
        return shares

    def weighs_equally(self, legs: Sequence[Leg]) -> bool:
        """Whether all of these legs have the same weight."""
        return len({self.weights.get(leg, 0.0) for leg in legs}) <= 1

    def bounds_of(self, leg: Leg) -> Bounds:
        """The bounds of one leg."""
        return self.bounds.get(leg, Bounds())


def parse_weights(text: str) -> dict[Leg, float]:
    """Read ``bm25=0.45,dense=0.45,sparse=0.1``.

    Raises:
        SettingsError: A leg is unknown or a weight is not a number.
    """
    weights: dict[Leg, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        leg = next((leg for leg in LEGS if leg == name.strip()), None)
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if leg is None or not 0 <= number < math.inf:
            msg = f"cannot read the weight {part!r}; write bm25=0.45,dense=0.45,sparse=0.1"
            raise SettingsError(msg)
        weights[leg] = number
    return weights


Ranking = Sequence[tuple[str, float]]


def fuse(rankings: Mapping[Leg, Ranking], fusion: Fusion) -> list[tuple[str, float]]:
    """Fuse rankings in the client, with the server's formulas.

    Args:
        rankings: Per leg, ``(id, score)`` best first.
        fusion: Method, weights and bounds.

    Returns:
        ``(id, score)`` best first; ties keep the order of the first leg that saw them.
    """
    legs = [leg for leg in LEGS if leg in rankings]
    weights = fusion.normalised_weights(legs)
    if fusion.method == "rrf" and fusion.weighs_equally(legs):
        weights = [1.0] * len(legs)  # the server's plain sum, which knows no weights
    found: dict[str, list[tuple[float, float]]] = {}
    for leg, weight in zip(legs, weights, strict=True):
        ranking = rankings[leg][: fusion.depth]
        scores = scaled([score for _, score in ranking], fusion, leg)
        for (identifier, _), score in zip(ranking, scores, strict=True):
            found.setdefault(identifier, []).append((weight, score))
    mean = _MEANS[fusion.combination]
    return sorted(((i, mean(pairs)) for i, pairs in found.items()), key=lambda item: -item[1])


# The server gives a hit this score rather than 0 or less, so that it counts as a hit.
_LOWEST = 0.001


def scaled(scores: Sequence[float], fusion: Fusion, leg: Leg) -> list[float]:
    """The scores of one leg's candidates, best first, made comparable with those of other legs."""
    if not scores:
        return []
    if fusion.method == "rrf":
        return [1.0 / (fusion.rank_constant + rank) for rank in range(1, len(scores) + 1)]
    if fusion.method == "l2":
        return _by_length(scores)
    if fusion.method == "zscore":
        return _by_deviation(scores)
    return _min_max(scores, fusion.bounds_of(leg))


def _min_max(scores: Sequence[float], bounds: Bounds) -> list[float]:
    low = min(scores) if bounds.low is None else bounds.low
    high = max(scores) if bounds.high is None else bounds.high
    if low >= high:
        return [1.0 for _ in scores]
    clipped = (min(max(score, low), high) for score in scores)
    return [(score - low) / (high - low) or _LOWEST for score in clipped]


def _by_length(scores: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(score * score for score in scores))
    return [score / length if length else _LOWEST for score in scores]


def _by_deviation(scores: Sequence[float]) -> list[float]:
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0
    if deviation == 0:
        return [*scores]  # the server leaves equal scores as they are, however large
    mean = statistics.fmean(scores)
    return [max((score - mean) / deviation, _LOWEST) for score in scores]


def _arithmetic(pairs: Sequence[tuple[float, float]]) -> float:
    # All weights sum to 1, so legs that did not find the document need not be added.
    return sum(weight * score for weight, score in pairs)


def _geometric(pairs: Sequence[tuple[float, float]]) -> float:
    total = sum(weight for weight, _ in pairs)
    if not total:
        return 0.0
    return math.exp(sum(weight * math.log(score) for weight, score in pairs) / total)


def _harmonic(pairs: Sequence[tuple[float, float]]) -> float:
    total = sum(weight for weight, _ in pairs)
    return total / sum(weight / score for weight, score in pairs) if total else 0.0


_MEANS: Mapping[Combination, Callable[[Sequence[tuple[float, float]]], float]] = {
    "arithmetic": _arithmetic,
    "geometric": _geometric,
    "harmonic": _harmonic,
}
