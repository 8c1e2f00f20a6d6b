"""What is trained: a table of token vectors, and the sparse head on top of it.

The dense model is the mean of token vectors times token weights; the weights are folded into the
vectors' lengths in the end. The sparse model is :mod:`encoders.prior` on a static backbone; here
it is computed from counts and for the words of the batch's queries only, which gives the same
weights as the exported graph (a test compares the two).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from encoders.base import FloatMatrix
from training.static.token_rows import TokenRows

Tensor: TypeAlias = Any
Module: TypeAlias = Any


@dataclass(frozen=True)
class SparseStart:
    """What a sparse head starts from.

    Attributes:
        content: 1 for a token that bears content, ``[V]``.
        asked: How often a query asks for a token that its document holds, ``[V]``.
        threshold: Where expansion starts.
        gamma: Weight of the expansion.
        alpha: Steepness of the expansion.
    """

    content: npt.NDArray[np.float32]
    asked: npt.NDArray[np.float32]
    threshold: float
    gamma: float
    alpha: float


def dense_network(vectors: FloatMatrix, weights: npt.NDArray[np.float32]) -> Module:
    """A trainable table: ``pooled(ids, starts)`` gives a unit vector for each text.

    Args:
        vectors: Of each token, ``[V, d]``.
        weights: Logarithm of each token's weight, ``[V]``.
    """
    import torch
    from torch.nn import functional

    class DenseNetwork(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
        def __init__(self) -> None:
            super().__init__()
            self.vectors = torch.nn.Parameter(torch.from_numpy(vectors.copy()))
            self.log_weights = torch.nn.Parameter(torch.from_numpy(weights.copy()))

        def pooled(self, ids: Tensor, starts: Tensor) -> Tensor:
            found = functional.embedding_bag(
                ids,
                self.vectors,
                starts,
                mode="sum",
                per_sample_weights=self.log_weights[ids].exp(),
            )
            return functional.normalize(found, dim=1)

        def table(self) -> FloatMatrix:
            with torch.no_grad():
                folded: FloatMatrix = (self.vectors * self.log_weights.exp()[:, None]).numpy()
            return folded

    return DenseNetwork()


def sparse_network(
    vectors: FloatMatrix, weights: npt.NDArray[np.float32], start: SparseStart
) -> Module:
    """The dense network with a sparse head.

    Args:
        vectors: Of each token, ``[V, d]``.
        weights: Logarithm of each token's weight in the mean, ``[V]``.
        start: The head's first values.
    """
    import torch
    from torch.nn import functional

    base = type(dense_network(vectors, weights))

    class SparseNetwork(base):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            size, width = vectors.shape
            self.words = torch.nn.Parameter(functional.normalize(self.vectors.detach(), dim=1))
            self.projection = torch.nn.Linear(width, width)
            with torch.no_grad():
                self.projection.weight.copy_(torch.eye(width))
                self.projection.bias.zero_()
            self.thresholds = torch.nn.Parameter(torch.full((size,), start.threshold))
            self.gamma = torch.nn.Parameter(torch.tensor([start.gamma]))
            self.own = torch.nn.Parameter(torch.zeros(size))
            self.query_gain = torch.nn.Parameter(torch.zeros(size))
            self.register_buffer("content", torch.from_numpy(start.content.copy()))
            self.register_buffer("asked", torch.from_numpy(start.asked.copy()))

        def query_weights(self, idf: Tensor) -> Tensor:
            return idf * self.query_gain.exp() * self.content

        def worth(self, weights: Tensor, idf: Tensor) -> Tensor:
            return weights * self.query_weights(idf) * self.asked

        def projected(self, pooled: Tensor) -> Tensor:
            return functional.normalize(self.projection(pooled), dim=1)

        def expansion(self, projected: Tensor, columns: Tensor) -> Tensor:
            words = functional.normalize(self.words[columns], dim=1)
            above = start.alpha * (projected @ words.T) - self.thresholds[columns]
            return self.gamma * log1p_relu(above) * self.content[columns]

        def whole(self, pooled: Tensor, saturated: Tensor) -> Tensor:
            """Weights of all tokens, uncapped: ``[B, V]``, from dense saturated counts."""
            lexical = saturated * self.own.exp() * self.content
            words = functional.normalize(self.words, dim=1)
            matches = self.projected(pooled) @ words.T
            above = (start.alpha * matches.relu() - self.thresholds).relu().log1p()
            return lexical + self.gamma * above * self.content

    return SparseNetwork()


def log1p_relu(values: Tensor) -> Tensor:
    """``log1p(relu(x))`` whose gradient also reaches values below zero, faintly (softplus)."""
    from torch.nn import functional

    soft = functional.softplus(values)
    return (
        (values.relu() + (soft - soft.detach())).log1p()
        if values.requires_grad
        else (values.relu().log1p())
    )


def least_worth(worth: Tensor, top_k: int) -> Tensor:
    """The smallest worth an entry must have to stay: 0 for rows with no more than ``top_k``.

    Args:
        worth: Weight times query weight, ``[B, V]``, none below 0.
        top_k: Entries a row keeps.

    Returns:
        ``[B, 1]``.
    """
    least = worth.new_zeros((len(worth), 1))
    # Most rows are short; sorting a whole vocabulary for them would take most of the time.
    full = ((worth > 0).sum(1) > top_k).nonzero().flatten()
    if len(full):
        least[full] = worth[full].topk(top_k, dim=1).values[:, -1:]
    return least


def bags(rows: TokenRows, drop: float, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Rows as flat ids and starts, some tokens left out (never all of a row)."""
    import torch

    lengths = np.diff(rows.bounds)
    ids = rows.ids
    if drop > 0 and len(ids):
        keep = random.random(len(ids)) >= drop
        keep[rows.bounds[:-1][lengths > 0]] = True
        row_numbers = np.repeat(np.arange(len(rows)), lengths)[keep]
        ids, lengths = ids[keep], np.bincount(row_numbers, minlength=len(rows))
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    return torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(starts)
