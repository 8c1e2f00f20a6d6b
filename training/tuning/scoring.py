"""NDCG@10 of every weighting of one family, for one query, in a few matrix operations.

The figures that are reported come from `training.evaluation.metrics`; these only choose, and a test
holds both to the same values.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from opensearch.fusion import Combination, Leg, scaled
from training.tuning.pools import Pool
from training.tuning.space import Family

Floats = npt.NDArray[np.float64]
CUTOFF = 10


def ndcg_by_weights(pool: Pool, family: Family, legs: Sequence[Leg], weights: Floats) -> Floats:
    """NDCG@10 of one query under each weighting.

    Args:
        pool: The query's candidates.
        family: How they are fused.
        legs: The legs that ``weights`` speaks of.
        weights: ``[weightings, legs]``.

    Returns:
        ``[weightings]``.
    """
    chunks, scores = _matrix(pool, family, legs)
    if not chunks:
        return np.zeros(len(weights))
    # A leg that cannot serve a query is no sub-query of it: it has no part in the mean.
    served = np.array([leg in pool.candidates.rankings for leg in legs], dtype=float)
    fused = combine(scores, weights * served, family.combination)
    documents = [pool.candidates.documents[chunk] for chunk in chunks]
    return _ndcg(fused, documents, pool.judged)


def _matrix(pool: Pool, family: Family, legs: Sequence[Leg]) -> tuple[list[str], Floats]:
    """Chunks, and their scaled scores ``[chunks, legs]`` with NaN where a leg did not find one."""
    fusion = family.of(pool.candidates.fusion)
    rows: dict[str, int] = {}
    cells: list[tuple[int, int, float]] = []
    for column, leg in enumerate(legs):
        ranking = pool.candidates.rankings.get(leg, ())[: family.depth]
        values = scaled([score for _, score in ranking], fusion, leg)
        for (chunk, _), value in zip(ranking, values, strict=True):
            cells.append((rows.setdefault(chunk, len(rows)), column, value))
    scores = np.full((len(rows), len(legs)), np.nan)
    for row, column, value in cells:
        scores[row, column] = value
    return list(rows), scores


def combine(scores: Floats, weights: Floats, combination: Combination) -> Floats:
    """Weighted means of scaled scores.

    Args:
        scores: ``[chunks, legs]``, NaN where a leg did not find a chunk.
        weights: ``[weightings, legs]``.
        combination: Which mean.

    Returns:
        ``[chunks, weightings]``; 0 where no leg with weight found the chunk.
    """
    found = ~np.isnan(scores)
    if combination == "arithmetic":
        total = np.maximum(weights.sum(1), 1e-12)
        return np.asarray(np.where(found, scores, 0.0) @ weights.T / total)
    present = found.astype(float) @ weights.T
    safe = np.where(found, scores, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        if combination == "geometric":
            mean = np.exp(np.log(safe) @ weights.T / present)
        else:
            mean = present / (np.where(found, 1.0 / safe, 0.0) @ weights.T)
    return np.where(present > 0, mean, 0.0)


def _ndcg(fused: Floats, documents: Sequence[str], judged: Mapping[str, int]) -> Floats:
    """``[chunks, weightings]`` to NDCG@10, each document counted once by its best chunk."""
    numbers: dict[str, int] = {}
    owner = np.array([numbers.setdefault(doc, len(numbers)) for doc in documents])
    # Ranks of chunks first, so that ties fall as they do in `opensearch.fusion.fuse`.
    ranks = np.empty(fused.shape, dtype=np.int64)
    order = np.argsort(-fused, axis=0, kind="stable")
    np.put_along_axis(ranks, order, np.arange(len(fused))[:, None], axis=0)
    ranks[fused <= 0] = len(fused)
    first = np.full((len(numbers), fused.shape[1]), len(fused))
    np.minimum.at(first, owner, ranks)
    grades = np.array([max(judged.get(doc, 0), 0) for doc in numbers], dtype=float)
    order = np.argsort(first, axis=0, kind="stable")[:CUTOFF]
    found = np.take_along_axis(first, order, axis=0) < len(fused)
    gains = np.where(found, grades[order], 0.0)
    ideal = sorted((grade for grade in judged.values() if grade > 0), reverse=True)[:CUTOFF]
    discounts = _discounts()
    return np.asarray(
        (gains * discounts[: len(order), None]).sum(0)
        / float(np.dot(ideal, discounts[: len(ideal)]))
    )


@lru_cache(maxsize=1)
def _discounts() -> Floats:
    return 1.0 / np.log2(np.arange(2, CUTOFF + 2))
