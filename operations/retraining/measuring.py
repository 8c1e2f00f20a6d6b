"""Measures an encoder on judged sets by exact search, and what it costs."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from encoders.base import DenseEncoder, SparseEncoder
from encoders.lexical import NAME as LEXICAL
from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse
from operations.retraining.evaluation import Cost
from operations.retraining.job import Leg
from training.dev_sets import DevSet
from training.evaluation.latency import LatencySummary
from training.evaluation.metrics import Evaluated
from training.set_search import search_with_dense, search_with_sparse

_WARM_UP = 5
# float32 components; an entry of a posting list takes a document number and a quantised weight.
_COMPONENT_BYTES, _ENTRY_BYTES = 4, 6


@dataclass(frozen=True)
class Model:
    """An encoder by name.

    Attributes:
        leg: Which leg it is for.
        name: What ``load_dense`` or ``load_sparse`` takes.
        options: How it is loaded.
    """

    leg: Leg
    name: str
    options: LoadOptions

    def encoder(self, corpus: Iterable[str]) -> Any:
        """Load it; a lexical one learns how frequent words are from the corpus.

        Raises:
            EncoderError: It cannot be loaded.
        """
        if self.leg == "dense":
            return load_dense(self.name, self.options)
        if self.name == LEXICAL:
            return LexicalEncoder.fit(corpus)
        return load_sparse(self.name, self.options)

    @property
    def adapts(self) -> bool:
        """Whether each corpus makes another encoder of it."""
        return self.name == LEXICAL


@dataclass(frozen=True)
class Measured:
    """What a model reached and costs.

    Attributes:
        sets: Metrics on each set, in their order.
        cost: What it costs, the first set's queries and documents being typical.
    """

    sets: Sequence[Evaluated]
    cost: Cost


def measure_model(model: Model, sets: Sequence[DevSet], latency_queries: int) -> Measured:
    """Measure a model on every set.

    Args:
        model: The model.
        sets: At least one.
        latency_queries: Queries of the first set that are timed.

    Raises:
        EncoderError: It cannot be loaded.
        EvaluationError: Its vectors are no finite numbers.
    """
    encoder, found, entries = None, [], []
    times: list[float] = []
    for dev_set in sets:
        if encoder is None or model.adapts:
            encoder = model.encoder(dev_set.documents())
        evaluated, length = evaluate_encoder(encoder, model.leg, dev_set)
        found.append(evaluated)
        entries.append(length)
        times = times or query_times(encoder, dev_set.query_texts[:latency_queries])
    width = encoder.identity.dimension if encoder else 0
    return Measured(found, _cost(model.leg, LatencySummary.from_samples(times).p50, entries, width))


def evaluate_encoder(encoder: Any, leg: Leg, dev_set: DevSet) -> tuple[Evaluated, float]:
    """All metrics of an encoder on a set, and the mean number of entries of a document."""
    if leg == "sparse":
        evaluated, _, sparsity = search_with_sparse(encoder, dev_set)
        return evaluated, sparsity.document_dims
    return search_with_dense(encoder, dev_set)[0], float(encoder.identity.dimension)


def query_times(encoder: DenseEncoder | SparseEncoder, texts: Sequence[str]) -> list[float]:
    """Milliseconds for encoding each query alone, after a few that do not count."""
    for text in texts[:_WARM_UP]:
        encoder.encode_queries([text])
    found = []
    for text in texts:
        started = time.perf_counter()
        encoder.encode_queries([text])
        found.append(1000 * (time.perf_counter() - started))
    return found


def with_options(options: LoadOptions, stored: Any) -> LoadOptions:
    """Options completed by those that an index remembers."""
    return replace(options, **dict(stored))


def _cost(leg: Leg, query_ms: float, entries: Sequence[float], width: int) -> Cost:
    if leg == "dense":
        return Cost(round(query_ms, 4), None, float(_COMPONENT_BYTES * width))
    mean = max(entries, default=0.0)
    return Cost(round(query_ms, 4), round(mean, 2), round(_ENTRY_BYTES * mean, 1))
