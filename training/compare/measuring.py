"""Searches a set with a system, exactly, and scores what it returns."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from training.compare.encoding import SystemEncoder
from training.compare.systems import System
from training.dev_sets import DevSet
from training.evaluation.metrics import Evaluated
from training.evaluation.runs import Run
from training.set_search import Sparsity, search_dense, search_sparse, search_with_sparse
from training.static.bigram_baseline import bigram_run

logger = logging.getLogger(__name__)


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
        run = bigram_run(dev_set)
        return Measured(dev_set.evaluate(run), run)
    if system.kind == "lexical":
        return Measured(*search_with_sparse(LexicalEncoder.fit(dev_set.documents()), dev_set))
    if system.kind == "dense":
        vectors = encoder.dense(dev_set, "queries"), encoder.dense(dev_set, "documents")
        return Measured(*search_dense(dev_set, *vectors))
    weights = encoder.sparse(dev_set, "queries"), encoder.sparse(dev_set, "documents")
    return Measured(*search_sparse(dev_set, *weights, encoder.width))
