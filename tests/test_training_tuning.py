"""Tuning: the space, the fast scores against the reference, and the choice."""

import random

import numpy as np
import pytest

from opensearch.fusion import Bounds, Fusion, fuse
from opensearch.hits import Candidates
from opensearch.search import best_chunks
from training.errors import EvaluationError
from training.evaluation.metrics import PRIMARY, evaluate_run
from training.tuning.pools import Pool, legs_of
from training.tuning.scoring import combine, ndcg_by_weights
from training.tuning.search import tune
from training.tuning.space import LEAST_BM25, Family, Space, families, weight_grid

LEGS = ("bm25", "dense", "sparse")
FAMILIES = tuple(families(depths=[5, 8]))


def pool_of(seed: int, *, good: str | None = None, legs: tuple[str, ...] = LEGS) -> Pool:
    """A query whose legs rank at random, but for one that has the relevant document first."""
    draw = random.Random(seed)
    chunks = [f"d{n}#{part}" for n in range(12) for part in range(2)]
    rankings = {}
    for leg in legs:
        found = draw.sample(chunks, 10)
        if leg == good:
            found = ["d0#1", *(chunk for chunk in found if chunk != "d0#1")]
        scores = sorted((round(draw.uniform(0.5, 9), 3) for _ in found), reverse=True)
        rankings[leg] = list(zip(found, scores, strict=True))
    bounds = {"dense": Bounds(0.2, 10.0), "bm25": Bounds(0.0, 12.5)}
    documents = {chunk: chunk.partition("#")[0] for chunk in chunks}
    judged = {"d0": 2, "d1": 1, "d2": 0} if good is None else {"d0": 1}
    return Pool(f"q{seed}", Candidates(rankings, documents, Fusion(bounds=bounds)), judged)


def reference(pool: Pool, family: Family, weights: tuple[float, ...]) -> float:
    """The same figure the slow way: the project's fusion, ir_measures."""
    named = dict(zip(LEGS, weights, strict=True))
    planned = pool.candidates.fusion
    fusion = family.of(Fusion(weights=named, bounds=planned.bounds))
    best = best_chunks(fuse(pool.candidates.rankings, fusion), pool.candidates.documents)
    run = {pool.query_id: {pool.candidates.documents[c]: s for c, s in best if s > 0}}
    return evaluate_run(run, {pool.query_id: pool.judged}).values(PRIMARY)[0]


@pytest.mark.parametrize("family", FAMILIES, ids=Family.label)
def test_fast_scores_are_the_reference_scores(family: Family) -> None:
    grid = weight_grid(3, steps=4)
    for seed in range(6):
        pool = pool_of(seed)
        fast = ndcg_by_weights(pool, family, LEGS, np.array(grid))
        slow = [reference(pool, family, weights) for weights in grid]
        assert fast == pytest.approx(slow, abs=1e-9)


def test_a_leg_that_cannot_serve_a_query_has_no_part_in_its_mean() -> None:
    pool = pool_of(3, legs=("bm25", "dense"))
    both = ndcg_by_weights(pool, Family(), LEGS, np.array([[0.3, 0.3, 0.4]]))
    two = ndcg_by_weights(pool, Family(), ("bm25", "dense"), np.array([[0.5, 0.5]]))
    assert both == pytest.approx(two)


def test_nothing_found_scores_nothing() -> None:
    empty = Pool("q", Candidates({"bm25": []}, {}, Fusion()), {"d": 1})
    assert ndcg_by_weights(empty, Family(), LEGS, np.ones((3, 3))).tolist() == [0, 0, 0]


def test_means_by_hand() -> None:
    scores = np.array([[0.5, 0.2], [np.nan, 0.8]])
    weights = np.array([[0.75, 0.25], [1.0, 0.0]])
    assert combine(scores, weights, "arithmetic") == pytest.approx(
        np.array([[0.425, 0.5], [0.2, 0.0]])
    )
    assert combine(scores, weights, "geometric") == pytest.approx(
        np.array([[0.5**0.75 * 0.2**0.25, 0.5], [0.8, 0.0]])
    )
    assert combine(scores, weights, "harmonic") == pytest.approx(
        np.array([[1 / (0.75 / 0.5 + 0.25 / 0.2), 0.5], [0.8, 0.0]])
    )


def test_weightings_cover_the_simplex_and_never_silence_bm25() -> None:
    grid = weight_grid(3, steps=10)
    assert len(grid) == len(set(grid)) == 66
    assert all(sum(weights) == pytest.approx(1, abs=1e-3) for weights in grid)
    assert min(weights[0] for weights in grid) == LEAST_BM25
    assert grid[0] == (1.0, 0.0, 0.0)
    assert weight_grid(2, steps=2) == [(1.0, 0.0), (0.5, 0.5), (0.02, 0.98)]


def test_families_are_distinct_and_the_projects_own_comes_first() -> None:
    every = list(families())
    assert every[0] == Family()
    assert len(set(every)) == len(every)
    assert not [family for family in families(z_score=False) if family.method == "zscore"]
    assert [family for family in every if not family.static] == [
        family for family in every if family.ends == "query" and family.method == "minmax"
    ]


def test_a_pipeline_holds_no_bound_of_a_query() -> None:
    planned = {"dense": Bounds(1.1, 2.0), "bm25": Bounds(0.0, 7.7)}
    assert Family(ends="fixed").bounds(planned) == {
        "bm25": Bounds(),
        "dense": Bounds(1.1, 2.0),
        "sparse": Bounds(),
    }
    assert Family(ends="query").bounds(planned) == planned
    assert set(Family(ends="candidates").bounds(planned).values()) == {Bounds(None, None)}


def space(legs: tuple[str, ...] = LEGS) -> Space:
    return Space(legs, FAMILIES, tuple(weight_grid(len(legs), steps=4)))


def test_the_leg_that_is_right_gets_the_weight_and_the_gain_is_no_chance() -> None:
    pools = [pool_of(seed, good="dense") for seed in range(60)]
    tuned = tune(pools, space(), Fusion())
    assert tuned.best.fusion.weights["dense"] > 0.5
    assert tuned.best.gain.verdict() == "better"
    assert tuned.best.held_out > tuned.present + 0.1
    assert tuned.leg_scores["dense"] == 1.0
    assert tuned.static.family.static
    assert tuned.variants == len(FAMILIES) * 15


def test_a_gain_on_noise_is_called_noise() -> None:
    tuned = tune([pool_of(seed) for seed in range(60)], space(), Fusion())
    assert tuned.best.fitted > tuned.present  # fitted to noise it looks like a gain
    assert tuned.best.gain.verdict() == "within noise"


def test_the_same_seed_gives_the_same_choice() -> None:
    pools = [pool_of(seed) for seed in range(30)]
    first, second = tune(pools, space(), Fusion()), tune(pools, space(), Fusion())
    assert first == second
    assert Fusion.from_dict(first.best.fusion.as_dict()) == first.best.fusion


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(EvaluationError, match="at least 20"):
        tune([pool_of(seed) for seed in range(19)], space(), Fusion())


def test_one_leg_is_nothing_to_tune() -> None:
    with pytest.raises(EvaluationError, match="only bm25"):
        legs_of([pool_of(1, legs=("bm25",))])
    assert legs_of([pool_of(1, legs=("sparse", "bm25"))]) == ["bm25", "sparse"]
