"""Choose a fusion by cross-validation, and say how much of its gain is real."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from opensearch.fusion import Bounds, Fusion, Leg, fuse
from opensearch.search import best_chunks
from training.errors import EvaluationError
from training.evaluation.metrics import PRIMARY, evaluate_run
from training.evaluation.significance import Comparison, Pair, compare
from training.tuning.pools import Pool
from training.tuning.scoring import ndcg_by_weights
from training.tuning.space import Family, Space, Weights

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
FOLDS = 5
MIN_QUERIES = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """A fusion that was chosen, and what it is worth.

    Attributes:
        family: Normalisation, combination, depth.
        weights: Weight of each leg.
        fusion: The same as it is stored: without the bounds of any one query.
        fitted: NDCG@10 on the queries it was chosen on: too good by nature.
        held_out_values: NDCG@10 by cross-validation: each query scored by a choice made without it.
        gain: Held-out values against the present fusion, query by query.
    """

    family: Family
    weights: Weights
    fusion: Fusion
    fitted: float
    held_out_values: tuple[float, ...]
    gain: Comparison

    @property
    def held_out(self) -> float:
        """Mean of the cross-validated values."""
        return float(np.mean(self.held_out_values))


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search over fusions found.

    Attributes:
        queries: Number of dev queries.
        variants: Number of fusions tried.
        legs: Legs that took part.
        present: NDCG@10 of the fusion in use.
        leg_values: NDCG@10 of each leg alone, query by query.
        best: The best fusion for searches through Tandem.
        static: The best among those that a search pipeline can hold.
        table: Best held-in value of each family, best first.
    """

    queries: int
    variants: int
    legs: tuple[Leg, ...]
    present: float
    leg_values: dict[Leg, tuple[float, ...]]
    best: Choice
    static: Choice
    table: tuple[tuple[Family, Weights, float], ...]

    @property
    def leg_scores(self) -> dict[Leg, float]:
        """Mean NDCG@10 of each leg alone."""
        return {leg: float(np.mean(values)) for leg, values in self.leg_values.items()}


@dataclass(frozen=True, slots=True)
class _Grid:
    """NDCG@10 of every variant on every query: ``values`` is ``[queries, variants]``."""

    variants: list[tuple[Family, Weights]]
    values: Floats


def tune(
    pools: Sequence[Pool],
    space: Space,
    present: Fusion,
    *,
    seed: int = 13,
    progress: Callable[[int, int], None] | None = None,
) -> Tuned:
    """Try every family with every weighting.

    Args:
        pools: Candidates of the dev queries.
        space: What is tried.
        present: The fusion in use, to be beaten.
        seed: Of the folds.
        progress: Called with the number of queries done and their number.

    Raises:
        EvaluationError: Too few queries to tell a gain from chance.
    """
    if len(pools) < MIN_QUERIES:
        msg = (
            f"{len(pools)} judged queries are too few to tune on; give at least {MIN_QUERIES} "
            "(100 and more make the result worth something)"
        )
        raise EvaluationError(msg)
    grid = _grid(pools, space, progress)
    folds = _folds(len(pools), seed)
    now = np.array(_evaluated(pools, present))
    every = np.arange(len(grid.variants))
    static = np.array([i for i, (family, _) in enumerate(grid.variants) if family.static])
    chooser = _Chooser(pools, space.legs, grid, folds, now, present)
    return Tuned(
        queries=len(pools),
        variants=len(grid.variants),
        legs=space.legs,
        present=float(now.mean()),
        leg_values={leg: tuple(_leg_values(pools, leg)) for leg in space.legs},
        best=chooser.choose(every),
        static=chooser.choose(static),
        table=_table(grid, len(space.weights)),
    )


def _grid(
    pools: Sequence[Pool], space: Space, progress: Callable[[int, int], None] | None
) -> _Grid:
    matrix = np.array(space.weights, dtype=float)
    rows = []
    for done, pool in enumerate(pools, start=1):
        found = [ndcg_by_weights(pool, f, space.legs, matrix) for f in space.families]
        rows.append(np.concatenate(found))
        if progress is not None:
            progress(done, len(pools))
    variants = [(family, shares) for family in space.families for shares in space.weights]
    return _Grid(variants, np.stack(rows))


def _folds(queries: int, seed: int) -> list[Integers]:
    order = np.random.default_rng(seed).permutation(queries)
    return [np.sort(part) for part in np.array_split(order, min(FOLDS, queries))]


@dataclass(frozen=True, slots=True)
class _Chooser:
    pools: Sequence[Pool]
    legs: Sequence[Leg]
    grid: _Grid
    folds: list[Integers]
    now: Floats
    present: Fusion

    def choose(self, allowed: Integers) -> Choice:
        """The best of the allowed variants, with its cross-validated worth."""
        family, weights = self.grid.variants[self._best(allowed, np.arange(len(self.pools)))]
        held_out = np.zeros(len(self.pools))
        for fold in self.folds:
            rest = np.setdiff1d(np.arange(len(self.pools)), fold)
            chosen = self.grid.variants[self._best(allowed, rest)]
            pools = [self.pools[i] for i in fold]
            held_out[fold] = _evaluated(pools, self._fusion(*chosen), chosen[0])
        fusion = self._fusion(family, weights)
        pair = Pair("tuned", "present", PRIMARY, held_out.tolist(), self.now.tolist())
        return Choice(
            family=family,
            weights=weights,
            fusion=fusion,
            fitted=float(np.mean(_evaluated(self.pools, fusion, family))),
            held_out_values=tuple(held_out.tolist()),
            gain=compare(pair),
        )

    def _best(self, allowed: Integers, queries: Integers) -> int:
        """Among variants that are equal to the third digit, the first: nearer to the defaults."""
        means = self.grid.values[np.ix_(queries, allowed)].mean(0)
        return int(allowed[int(np.flatnonzero(means >= means.max() - 5e-4)[0])])

    def _fusion(self, family: Family, weights: Weights) -> Fusion:
        named = dict(zip(self.legs, weights, strict=True))
        return replace(family.of(replace(self.present, bounds=self._floor())), weights=named)

    def _floor(self) -> dict[Leg, Bounds]:
        """The bounds of the dense leg: the one that is the index's rather than the query's."""
        planned = self.pools[0].candidates.fusion.bounds
        return {"dense": planned["dense"]} if "dense" in planned else {}


def _evaluated(pools: Sequence[Pool], fusion: Fusion, family: Family | None = None) -> list[float]:
    """NDCG@10 per query by the project's one fusion and the reference implementation."""
    run: dict[str, dict[str, float]] = {}
    for pool in pools:
        planned = pool.candidates.fusion
        bounds = family.bounds(planned.bounds) if family else {**planned.bounds, **fusion.bounds}
        rankings = {leg: r for leg, r in pool.candidates.rankings.items() if r}
        fused = fuse(rankings, replace(fusion, bounds=bounds)) if rankings else []
        best = best_chunks(fused, pool.candidates.documents)
        run[pool.query_id] = {pool.candidates.documents[chunk]: s for chunk, s in best if s > 0}
    return evaluate_run(run, {pool.query_id: pool.judged for pool in pools}).values(PRIMARY)


def _leg_values(pools: Sequence[Pool], leg: Leg) -> list[float]:
    run = {}
    for pool in pools:
        best = best_chunks(pool.candidates.rankings.get(leg, ()), pool.candidates.documents)
        run[pool.query_id] = {pool.candidates.documents[chunk]: score for chunk, score in best}
    return evaluate_run(run, {pool.query_id: pool.judged for pool in pools}).values(PRIMARY)


def _table(grid: _Grid, weightings: int) -> tuple[tuple[Family, Weights, float], ...]:
    means = grid.values.mean(0).reshape(-1, weightings)
    rows = []
    for number, row in enumerate(means):
        best = int(row.argmax())
        family, weights = grid.variants[number * weightings + best]
        rows.append((family, weights, float(row[best])))
    return tuple(sorted(rows, key=lambda entry: -entry[2]))
