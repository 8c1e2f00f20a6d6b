"""What a training step computes of a batch, before any loss looks at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used


@dataclass(frozen=True)
class Documents:
    """Representations of texts by the document side.

    Attributes:
        weights: Weight of each vocabulary entry, ``[N, V]``.
        scored: The same values, for scoring: entries a query of the batch asks for have a gradient
            even where their weight is 0, so that they can rise, ``[N, V]``.
        regularised: What sparsity is asked of: the expansion alone where the lexical part is
            given, else all weights, ``[N, V']``.
        own: Whether an entry is a piece of the text itself, ``[N, V]``.
        lexical: BM25's part of the weights, without learned gain, ``[N, V]``; a teacher may use it.
    """

    weights: Tensor
    scored: Tensor
    regularised: Tensor
    own: Tensor
    lexical: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """A batch, represented.

    Attributes:
        queries: ``[Q, V]``.
        documents: ``N`` texts: the positives of all queries, then negatives.
        targets: The column of each query's positive, ``[Q]``.
        allowed: Whether a document may count as negative (or is the positive), ``[Q, N]``.
        query_weights: What the sparsity of queries is asked of, ``[Q, V]``; ``None`` where queries
            need no network.
        teacher: A teacher's scores, ``[Q, N]``.
        anchors: Query texts represented by the document side, where a term needs them.
        negatives: The column of each query's first hard negative, ``[Q]``.
        idf: Inverse document frequency of each column of ``regularised``, where it is known.
        extras: Whatever a term wants to log.
    """

    queries: Tensor
    documents: Documents
    targets: Tensor
    allowed: Tensor
    query_weights: Tensor | None = None
    teacher: Tensor | None = None
    anchors: Documents | None = None
    negatives: Tensor | None = None
    idf: Tensor | None = None
    extras: Mapping[str, float] = field(default_factory=dict)
