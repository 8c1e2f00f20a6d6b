"""Measures a model on dev and floor sets by exact search over their documents."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from encoders.base import FloatMatrix
from encoders.batching import batched
from training.dev_sets import DevSet
from training.evaluation.metrics import PRIMARY, Evaluated
from training.set_search import search_dense

# Texts sorted by length before they are put into batches: little padding, little memory.
_CHUNK = 2_048


@dataclass
class Measurer:
    """Encodes and scores sets.

    Attributes:
        batch_size: Texts encoded at a time.
        _kept: Vectors of documents that stay as they are, because only queries are trained.
    """

    batch_size: int = 32
    _kept: dict[str, FloatMatrix] = field(default_factory=dict, repr=False)

    def keep_documents(self, model: Any, sets: Iterable[DevSet]) -> None:
        """From now on, documents of these sets have the vectors that this model gives."""
        for dev_set in sets:
            self._kept[dev_set.name] = self._encode(model.encode_document, dev_set.documents())

    def measure(self, model: Any, sets: Iterable[DevSet]) -> dict[str, Evaluated]:
        """All metrics of a ``SentenceTransformer`` on each set."""
        return {dev_set.name: self._measure(model, dev_set) for dev_set in sets}

    def _measure(self, model: Any, dev_set: DevSet) -> Evaluated:
        queries = self._encode(model.encode_query, dev_set.query_texts)
        return search_dense(dev_set, queries, self._documents(model, dev_set))[0]

    def _documents(self, model: Any, dev_set: DevSet) -> FloatMatrix:
        if dev_set.name in self._kept:
            return self._kept[dev_set.name]
        return self._encode(model.encode_document, dev_set.documents())

    def _encode(self, encode: Any, texts: Iterable[str]) -> FloatMatrix:
        parts = [
            encode(
                chunk,
                batch_size=self.batch_size,
                show_progress_bar=False,
                normalize_embeddings=True,
            )
            for chunk in batched(texts, _CHUNK)
        ]
        return np.concatenate(parts).astype(np.float32, copy=False)


def primary(measured: Mapping[str, Evaluated]) -> dict[str, float]:
    """NDCG@10 of each set."""
    return {name: evaluated.aggregate[PRIMARY] for name, evaluated in measured.items()}


def mean(values: Mapping[str, float]) -> float:
    """Mean over sets: each counts alike, whatever its number of queries."""
    return sum(values.values()) / len(values)
