"""How the legs of a hybrid query become one ranking, here and on the server.

The same ``Fusion`` either becomes a search pipeline or is computed by the client, where the legs
live in different indices.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from opensearch.errors import SettingsError

Leg = Literal["bm25", "dense", "sparse"]
Method = Literal["minmax", "rrf"]
LEGS: tuple[Leg, ...] = ("bm25", "dense", "sparse")
METHODS: tuple[Method, ...] = ("minmax", "rrf")

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
        method: ``minmax`` (scores of each leg scaled to 0..1, weighted mean) or ``rrf``
            (reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009).
        weights: Weight per leg; only their ratios matter.
        bounds: Bounds per leg for ``minmax``; a leg without any starts at 0.
        rank_constant: The k of 1 / (k + rank).
        depth: Candidates taken from each leg.
    """

    method: Method = "minmax"
    weights: Mapping[Leg, float] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    bounds: Mapping[Leg, Bounds] = field(default_factory=dict)
    rank_constant: int = 60
    depth: int = DEFAULT_DEPTH

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            msg = f"unknown fusion {self.method!r}; allowed: {', '.join(METHODS)}"
            raise SettingsError(msg)
        unknown = set(self.weights) - set(LEGS)
        if unknown or not all(0 <= weight < math.inf for weight in self.weights.values()):
            msg = f"weights are non-negative, for {', '.join(LEGS)}; got {dict(self.weights)}"
            raise SettingsError(msg)
        if not 1 <= self.rank_constant <= 10_000 or not 1 <= self.depth <= 10_000:
            msg = "rank constant and depth must lie between 1 and 10000"
            raise SettingsError(msg)

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
    fused: dict[str, float] = {}
    for leg, weight in zip(legs, fusion.normalised_weights(legs), strict=True):
        for identifier, value in _scaled(rankings[leg][: fusion.depth], fusion, leg):
            fused[identifier] = fused.get(identifier, 0.0) + weight * value
    return sorted(fused.items(), key=lambda item: -item[1])


def _scaled(ranking: Ranking, fusion: Fusion, leg: Leg) -> list[tuple[str, float]]:
    if fusion.method == "rrf":
        return _reciprocal_ranks(ranking, fusion.rank_constant)
    return _min_max(ranking, fusion.bounds_of(leg))


# The server gives the lowest hit of a leg this score rather than 0, so that it counts as a hit.
_LOWEST = 0.001


def _min_max(ranking: Ranking, bounds: Bounds) -> list[tuple[str, float]]:
    if not ranking:
        return []
    scores = [score for _, score in ranking]
    low = min(scores) if bounds.low is None else bounds.low
    high = max(scores) if bounds.high is None else bounds.high
    if low >= high:
        return [(identifier, 1.0) for identifier, _ in ranking]
    clipped = ((identifier, min(max(score, low), high)) for identifier, score in ranking)
    return [(i, (score - low) / (high - low) or _LOWEST) for i, score in clipped]


def _reciprocal_ranks(ranking: Ranking, constant: int) -> list[tuple[str, float]]:
    return [(i, 1.0 / (constant + rank)) for rank, (i, _) in enumerate(ranking, start=1)]
