"""Measures a network on sets, by exact search, without writing it first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from encoders.base import FloatMatrix, SparseVector
from encoders.lexical import CorpusStatistics
from encoders.pruning import NO_PRUNING, sparse_rows
from training.dev_sets import DevSet
from training.evaluation.metrics import Evaluated
from training.exact_search import dense_run, sparse_run
from training.static.networks import bags, least_worth
from training.static.preparation import Prepared
from training.static.token_rows import TokenRows, tokenized
from training.static.weighting import bm25_weights, statistics_of

Module: TypeAlias = Any
_ROWS = 256
_NO_DROP = np.random.default_rng(0)


@dataclass(frozen=True)
class MeasuredSet:
    """A dev set as token ids.

    Attributes:
        dev_set: Ids and judgements.
        queries: Its queries.
        documents: Its documents.
        statistics: How frequent tokens are in them.
    """

    dev_set: DevSet
    queries: TokenRows
    documents: TokenRows
    statistics: CorpusStatistics

    @classmethod
    def of(cls, dev_set: DevSet, prepared: Prepared, max_tokens: int) -> "MeasuredSet":
        """Tokenize a set once; it is measured many times."""
        tokenizer = prepared.tokenizer
        documents = TokenRows.of(tokenized(tokenizer, dev_set.documents(), max_tokens))
        return cls(
            dev_set,
            TokenRows.of(tokenized(tokenizer, dev_set.query_texts, max_tokens)),
            documents,
            statistics_of(documents, prepared.content),
        )


def measure_dense(network: Module, sets: Sequence[MeasuredSet]) -> dict[str, Evaluated]:
    """All metrics of the dense network on each set."""
    found = {}
    for entry in sets:
        queries, documents = pooled(network, entry.queries), pooled(network, entry.documents)
        dev_set = entry.dev_set
        run = dense_run(dev_set.query_ids, queries, dev_set.doc_ids, documents)
        found[dev_set.name] = dev_set.evaluate(run)
    return found


def measure_sparse(
    network: Module, sets: Sequence[MeasuredSet], top_k: int
) -> dict[str, Evaluated]:
    """All metrics of the sparse network on each set, documents capped.

    Each set is weighted by the frequencies of its own corpus, as an index of it would be.
    """
    found = {}
    for entry in sets:
        dev_set = entry.dev_set
        documents = list(document_vectors(network, entry.documents, entry.statistics, top_k))
        queries = list(query_vectors(network, entry.queries, entry.statistics))
        width = len(network.content)
        run = sparse_run(dev_set.query_ids, queries, dev_set.doc_ids, documents, width)
        found[dev_set.name] = dev_set.evaluate(run)
    return found


def pooled(network: Module, rows: TokenRows) -> FloatMatrix:
    """A unit vector for each text, ``[texts, d]``."""
    import torch

    with torch.no_grad():
        found: FloatMatrix = network.pooled(*bags(rows, 0.0, _NO_DROP)).numpy()
    return found


def document_vectors(
    network: Module, rows: TokenRows, statistics: CorpusStatistics, top_k: int
) -> Iterator[SparseVector]:
    """What the exported model gives for documents."""
    import torch

    content = network.content.numpy()
    counts = rows.counts(len(content)).multiply(content[None, :]).tocsr()
    counts.eliminate_zeros()
    weights = bm25_weights(counts, statistics.average_length)
    vectors = torch.from_numpy(pooled(network, rows))
    with torch.no_grad():
        idf = torch.from_numpy(statistics.idf())
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            saturated = torch.from_numpy(weights[part].toarray())
            found = network.whole(vectors[part], saturated)
            worth = network.worth(found, idf)
            stays = (worth > 0) & (worth >= least_worth(worth, top_k))
            kept = torch.where(stays, found, torch.zeros(()))
            yield from sparse_rows(kept.numpy(), NO_PRUNING)


def query_vectors(
    network: Module, rows: TokenRows, statistics: CorpusStatistics
) -> Iterator[SparseVector]:
    """Weight of each token that is there, however often."""
    import torch

    with torch.no_grad():
        weights = network.query_weights(torch.from_numpy(statistics.idf())).numpy()
    for number in range(len(rows)):
        ids = np.unique(rows.row(number)).astype(np.int32)
        ids = ids[weights[ids] > 0]
        yield SparseVector(ids, weights[ids].astype(np.float32))


def mean_length(vectors: Sequence[SparseVector]) -> float:
    """Entries of a vector, on average."""
    return sum(map(len, vectors)) / max(1, len(vectors))


def mean_ndcg(measured: Mapping[str, Evaluated]) -> float:
    """Mean NDCG@10 over sets, each counting alike."""
    from training.evaluation.metrics import PRIMARY

    return sum(entry.aggregate[PRIMARY] for entry in measured.values()) / max(1, len(measured))
