"""Exact search over all documents: what a dev metric and a baseline are measured with."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.base import FloatMatrix, SparseVector
from training.errors import EvaluationError
from training.evaluation.runs import Run

DEPTH = 100
# Scores held at a time: 64 MiB of float32.
_BLOCK_CELLS = 2**24


def dense_run(
    query_ids: Sequence[str],
    queries: FloatMatrix,
    doc_ids: Sequence[str],
    documents: FloatMatrix,
    k: int = DEPTH,
) -> Run:
    """The ``k`` documents with the largest inner product for each query.

    Equal scores keep the order of the documents, so the same vectors always give the same run.

    Args:
        query_ids: ``Q`` ids.
        queries: ``[Q, d]``.
        doc_ids: ``N`` ids.
        documents: ``[N, d]``.
        k: Documents kept for each query.

    Raises:
        EvaluationError: Ids and vectors do not match, or a vector holds no finite number.
    """
    _check(query_ids, queries.shape[0], "queries")
    _check(doc_ids, documents.shape[0], "documents")
    transposed = documents.T
    return _run(query_ids, doc_ids, k, lambda rows: queries[rows] @ transposed)


def sparse_run(
    query_ids: Sequence[str],
    queries: Sequence[SparseVector],
    doc_ids: Sequence[str],
    documents: Sequence[SparseVector],
    width: int,
    k: int = DEPTH,
) -> Run:
    """The same for sparse vectors; a document that shares no entry with a query is left out.

    Args:
        query_ids: ``Q`` ids.
        queries: ``Q`` vectors.
        doc_ids: ``N`` ids.
        documents: ``N`` vectors.
        width: Size of the vocabulary.
        k: Documents kept for each query.

    Raises:
        EvaluationError: Ids and vectors do not match, or a weight is no finite number.
    """
    _check(query_ids, len(queries), "queries")
    _check(doc_ids, len(documents), "documents")
    matrix = sparse_matrix(queries, width)
    transposed = sparse_matrix(documents, width).T.tocsr()
    run = _run(query_ids, doc_ids, k, lambda rows: (matrix[rows] @ transposed).toarray())
    return {q: {d: score for d, score in hits.items() if score > 0} for q, hits in run.items()}


def sparse_matrix(vectors: Sequence[SparseVector], width: int) -> Any:
    """Vectors as the rows of a ``[len(vectors), width]`` scipy CSR matrix of float32."""
    from scipy.sparse import csr_matrix

    starts = np.cumsum([0, *(len(vector) for vector in vectors)])
    if not vectors:
        return csr_matrix((0, width), dtype=np.float32)
    ids = np.concatenate([vector.ids for vector in vectors])
    weights = np.concatenate([vector.weights for vector in vectors])
    return csr_matrix((weights, ids, starts), shape=(len(vectors), width))


def top(scores: FloatMatrix, k: int) -> npt.NDArray[np.int64]:
    """Columns of the ``k`` largest scores of each row, largest first, equal ones in order.

    Args:
        scores: ``[rows, columns]``.
        k: How many; all columns where there are fewer.

    Returns:
        ``[rows, min(k, columns)]``.
    """
    columns = scores.shape[1]
    if k >= columns:
        return np.asarray(np.argsort(-scores, axis=1, kind="stable"), dtype=np.int64)
    # Ties at the border: whatever is above the k-th score is in, equals by their order.
    border = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    found = np.empty((len(scores), k), dtype=np.int64)
    for row, (values, least) in enumerate(zip(scores, border, strict=True)):
        candidates = np.flatnonzero(values >= least)
        order = np.argsort(-values[candidates], kind="stable")[:k]
        found[row] = candidates[order]
    return found


def _run(query_ids: Sequence[str], doc_ids: Sequence[str], k: int, scores_of: Any) -> Run:
    run: Run = {}
    for rows in _blocks(len(query_ids), len(doc_ids)):
        scores = np.asarray(scores_of(rows), dtype=np.float32)
        if not np.isfinite(scores).all():
            msg = (
                "vectors hold values that are no finite numbers; the model that made them is broken"
            )
            raise EvaluationError(msg)
        for query_id, row, columns in zip(query_ids[rows], scores, top(scores, k), strict=True):
            run[query_id] = {doc_ids[c]: float(row[c]) for c in columns.tolist()}
    return run


def _blocks(queries: int, documents: int) -> Iterator[slice]:
    size = max(1, _BLOCK_CELLS // max(1, documents))
    for start in range(0, queries, size):
        yield slice(start, start + size)


def _check(ids: Sequence[str], count: int, what: str) -> None:
    if len(ids) != count:
        msg = f"{len(ids)} ids for {count} vectors of {what}; there must be one each"
        raise EvaluationError(msg)
