"""The ways to fuse that are tried: normalisation, combination, weights, constants, depths."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from opensearch.fusion import Bounds, Combination, Fusion, Leg, Method

Ends = Literal["query", "fixed", "candidates"]
"""Where min-max starts and ends: at what this query can reach at most, at fixed scores as far as
there are any, or at the lowest and the highest candidate."""

STEPS = 10
# BM25 answers every query. Without any weight, a query that no other leg understands would have no
# ranking at all.
LEAST_BM25 = 0.02
DEPTHS = (50, 100, 200)
RANK_CONSTANTS = (5, 20, 60, 150)
OPEN = Bounds(None, None)
Weights = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Everything about a fusion but its weights.

    Attributes:
        method: How scores are scaled.
        combination: Which mean.
        ends: For ``minmax``: where a leg's scale starts and ends.
        rank_constant: For ``rrf``.
        depth: Candidates of each leg.
    """

    method: Method = "minmax"
    combination: Combination = "arithmetic"
    ends: Ends = "query"
    rank_constant: int = 60
    depth: int = 100

    @property
    def static(self) -> bool:
        """Whether a search pipeline can hold it: nothing in it depends on the query."""
        return self.method != "minmax" or self.ends != "query"

    def of(self, planned: Fusion) -> Fusion:
        """This family's form of the fusion that was planned for a query, weights kept.

        Args:
            planned: Carries the bounds of the query.
        """
        return replace(
            planned,
            method=self.method,
            combination=self.combination,
            bounds=self.bounds(planned.bounds),
            rank_constant=self.rank_constant,
            depth=self.depth,
        )

    def bounds(self, planned: Mapping[Leg, Bounds]) -> dict[Leg, Bounds]:
        """The bounds of the legs."""
        if self.method != "minmax":
            return {}
        if self.ends == "candidates":
            return {"bm25": OPEN, "dense": OPEN, "sparse": OPEN}
        if self.ends == "fixed":
            return {leg: planned.get(leg, OPEN) if leg == "dense" else Bounds() for leg in LEGS}
        return dict(planned)

    def label(self) -> str:
        """The family in a few words."""
        if self.method == "rrf":
            return f"rrf {self.rank_constant}, depth {self.depth}"
        ends = f" ({self.ends})" if self.method == "minmax" else ""
        return f"{self.method}{ends}, {self.combination}, depth {self.depth}"


LEGS: tuple[Leg, ...] = ("bm25", "dense", "sparse")


def families(*, depths: Sequence[int] = DEPTHS, z_score: bool = True) -> Iterator[Family]:
    """Every family that is tried, the project's own first.

    Args:
        depths: Candidates of each leg.
        z_score: Whether the cluster knows it.
    """
    means: tuple[Combination, ...] = ("arithmetic", "geometric", "harmonic")
    every_end: tuple[Ends, ...] = ("query", "fixed", "candidates")
    for depth in sorted(depths, key=lambda depth: abs(depth - Fusion().depth)):
        for ends, mean in itertools.product(every_end, means):
            yield Family("minmax", mean, ends, depth=depth)
        for mean in means:
            yield Family("l2", mean, depth=depth)
        if z_score:
            yield Family("zscore", depth=depth)
        for constant in RANK_CONSTANTS:
            yield Family("rrf", rank_constant=constant, depth=depth)


def weight_grid(legs: int, steps: int = STEPS) -> list[Weights]:
    """Every way to share ``steps`` equal parts among the legs, of which BM25 is the first."""
    shares = (
        share
        for share in itertools.product(range(steps, -1, -1), repeat=legs)
        if sum(share) == steps
    )
    return [_with_bm25([part / steps for part in share]) for share in shares]


def _with_bm25(weights: Sequence[float]) -> Weights:
    if weights[0] >= LEAST_BM25:
        return tuple(weights)
    return (LEAST_BM25, *(round(weight * (1 - LEAST_BM25), 4) for weight in weights[1:]))


@dataclass(frozen=True, slots=True)
class Space:
    """Everything that is tried: every family with every weighting.

    Attributes:
        legs: The legs that take part.
        families: Ways to scale and combine, the preferred first.
        weights: Weight of each leg, per weighting.
    """

    legs: tuple[Leg, ...]
    families: tuple[Family, ...]
    weights: tuple[Weights, ...]
