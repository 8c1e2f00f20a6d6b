"""Rows of vocabulary weights to sparse vectors, pruned by ratio and by number."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.base import FloatMatrix, SparseVector


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is left out of a sparse vector.

    Attributes:
        top_k: Keep at most so many of the heaviest tokens.
        ratio: Drop tokens lighter than ``ratio`` times the heaviest.
    """

    top_k: int | None = None
    ratio: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        return {"top_k": self.top_k, "ratio": self.ratio}


NO_PRUNING = Pruning()


def prune(
    ids: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
    pruning: Pruning,
    *,
    factors: npt.NDArray[np.float32] | None = None,
) -> SparseVector:
    """Drop what weighs nothing and what ``pruning`` says.

    Args:
        ids: Ascending vocabulary ids, ``[n]``.
        weights: Their weights, ``[n]``.
        pruning: What to leave out; among equal weights the lower id stays.
        factors: The number that stay are chosen by weight times factor, ``[n]``.
    """
    keep = weights > 0
    if pruning.ratio is not None and weights.size:
        keep &= weights >= pruning.ratio * weights.max()
    worth = weights if factors is None else weights * factors
    ids, weights, worth = ids[keep], weights[keep], worth[keep]
    if pruning.top_k is not None and weights.size > pruning.top_k:
        heaviest = np.sort(np.argsort(-worth, kind="stable")[: pruning.top_k])
        ids, weights = ids[heaviest], weights[heaviest]
    return SparseVector(ids, weights)


def sparse_rows(
    matrix: FloatMatrix,
    pruning: Pruning = NO_PRUNING,
    *,
    factors: npt.NDArray[np.float32] | None = None,
) -> Iterator[SparseVector]:
    """Each row of a ``[rows, vocabulary]`` matrix as a sparse vector.

    Args:
        matrix: Weights.
        pruning: What to leave out of a row.
        factors: The number that stay are chosen by weight times factor, ``[vocabulary]``.
    """
    for row in matrix:
        ids = np.flatnonzero(row > 0)
        chosen = None if factors is None else factors[ids]
        weights = row[ids].astype(np.float32)
        yield prune(ids.astype(np.int32), weights, pruning, factors=chosen)
