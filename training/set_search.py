"""A judged set, searched exactly: what is found, how good that is, and what token weights cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.base import DenseEncoder, FloatMatrix, SparseEncoder, SparseVector
from encoders.batching import batched
from training.dev_sets import DevSet
from training.evaluation.metrics import Evaluated
from training.evaluation.runs import Run
from training.exact_search import dense_run, sparse_run

_CHUNK = 2_048


@dataclass(frozen=True, slots=True)
class Sparsity:
    """What token weights cost.

    Attributes:
        query_dims: Active entries of a query, on average.
        document_dims: ... of a document.
        max_document_dims: ... of the longest document.
        flops: Expected products of a query with a document: ``Σ_j p_query(j) · p_document(j)``
            (Paria et al., 2020).
    """

    query_dims: float
    document_dims: float
    max_document_dims: int
    flops: float


def search_with_dense(encoder: DenseEncoder, dev_set: DevSet) -> tuple[Evaluated, Run]:
    """Encode a set and search it."""
    queries = encoder.encode_queries(dev_set.query_texts)
    parts = [encoder.encode_documents(chunk) for chunk in batched(dev_set.documents(), _CHUNK)]
    return search_dense(dev_set, queries, np.concatenate(parts))


def search_with_sparse(encoder: SparseEncoder, dev_set: DevSet) -> tuple[Evaluated, Run, Sparsity]:
    """Encode a set and search it."""
    queries = encoder.encode_queries(dev_set.query_texts)
    documents: list[SparseVector] = []
    for chunk in batched(dev_set.documents(), _CHUNK):
        documents += encoder.encode_documents(chunk)
    return search_sparse(dev_set, queries, documents, encoder.identity.dimension)


def search_dense(
    dev_set: DevSet, queries: FloatMatrix, documents: FloatMatrix
) -> tuple[Evaluated, Run]:
    """Search a set with its vectors, ``[Q, d]`` and ``[N, d]``.

    Raises:
        EvaluationError: Vectors are missing, or hold no finite numbers.
    """
    run = dense_run(dev_set.query_ids, queries, dev_set.doc_ids, documents)
    return dev_set.evaluate(run), run


def search_sparse(
    dev_set: DevSet, queries: Sequence[SparseVector], documents: Sequence[SparseVector], width: int
) -> tuple[Evaluated, Run, Sparsity]:
    """The same with token weights over a vocabulary of ``width`` entries.

    Raises:
        EvaluationError: Vectors are missing, or hold no finite numbers.
    """
    run = sparse_run(dev_set.query_ids, queries, dev_set.doc_ids, documents, width)
    sparsity = Sparsity(
        query_dims=_mean_length(queries),
        document_dims=_mean_length(documents),
        max_document_dims=max(map(len, documents), default=0),
        flops=float(_shares(queries, width) @ _shares(documents, width)),
    )
    return dev_set.evaluate(run), run, sparsity


def _shares(vectors: Sequence[SparseVector], width: int) -> Any:
    counts = np.zeros(width)
    for vector in vectors:
        counts[vector.ids] += 1
    return counts / max(1, len(vectors))


def _mean_length(vectors: Sequence[SparseVector]) -> float:
    return float(np.mean([len(vector) for vector in vectors])) if vectors else 0.0
