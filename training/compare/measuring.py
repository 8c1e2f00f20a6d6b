"""Searches a set with a system, exactly, and scores what it returns."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encoders.base import SparseVector
from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from training.compare.encoding import SystemEncoder
from training.compare.systems import System
from training.dev_sets import DevSet
from training.evaluation.metrics import Evaluated
from training.evaluation.runs import Run
from training.exact_search import dense_run, sparse_run
from training.sparse.measures import expected_flops, measure_run
from training.static.bigram_baseline import bigram_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sparsity:
    """What token weights cost.

    Attributes:
        query_dims: Active entries of a query, on average.
        document_dims: Active entries of a document, on average.
        flops: Expected products of a query with a document (Paria et al., 2020).
    """

    query_dims: float
    document_dims: float
    flops: float


@dataclass(frozen=True)
class Measured:
    """One system on one set.

    Attributes:
        evaluated: All metrics, on average and by query.
        run: What it returned, 100 documents a query.
        sparsity: Of token weights; None for others.
    """

    evaluated: Evaluated
    run: Run
    sparsity: Sparsity | None = None


def measure_system(
    system: System, sets: Sequence[DevSet], options: LoadOptions, *, cache: Path | None
) -> dict[str, Measured]:
    """Measure a system on each set, by the set's name.

    Args:
        system: What ranks.
        sets: Judged queries and their documents.
        options: How its model is loaded.
        cache: Folder of kept vectors; None keeps nothing.

    Raises:
        EncoderError: The model cannot be loaded.
        EvaluationError: A set is faulty, or vectors hold no finite numbers.
    """
    encoder = SystemEncoder(system, options, cache)
    return {dev_set.name: _measure(system, encoder, dev_set) for dev_set in sets}


def _measure(system: System, encoder: SystemEncoder, dev_set: DevSet) -> Measured:
    if system.kind == "bm25":
        return _scored(dev_set, bigram_run(dev_set))
    if system.kind == "lexical":
        found, run = measure_run(LexicalEncoder.fit(dev_set.documents()), dev_set)
        sparsity = Sparsity(found.query_dims, found.document_dims, found.flops)
        return _scored(dev_set, run, sparsity)
    if system.kind == "dense":
        queries = encoder.dense(dev_set, "queries")
        documents = encoder.dense(dev_set, "documents")
        run = dense_run(dev_set.query_ids, queries, dev_set.doc_ids, documents)
        return _scored(dev_set, run)
    return _measure_sparse(encoder, dev_set)


def _measure_sparse(encoder: SystemEncoder, dev_set: DevSet) -> Measured:
    queries = encoder.sparse(dev_set, "queries")
    documents = encoder.sparse(dev_set, "documents")
    width = encoder.width
    run = sparse_run(dev_set.query_ids, queries, dev_set.doc_ids, documents, width)
    flops = expected_flops(queries, documents, width)
    return _scored(dev_set, run, Sparsity(_mean_length(queries), _mean_length(documents), flops))


def _scored(dev_set: DevSet, run: Run, sparsity: Sparsity | None = None) -> Measured:
    return Measured(dev_set.evaluate(run), run, sparsity)


def _mean_length(vectors: Sequence[SparseVector]) -> float:
    return float(np.mean([len(vector) for vector in vectors])) if vectors else 0.0
