"""What is measured of a sparse encoder: retrieval, sparsity, and what training on synonyms asks."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from encoders.base import SparseEncoder
from training.data.records import TrainingRecord
from training.dev_sets import DevSet
from training.evaluation.metrics import PRIMARY
from training.set_search import search_with_sparse


@dataclass(frozen=True, slots=True)
class Measured:
    """One set, measured.

    Attributes:
        name: The set.
        metrics: Metric -> mean over queries.
        query_dims: Active entries of a query, on average.
        document_dims: ... of a document.
        max_document_dims: ... of the longest document.
        flops: Expected products of a query with a document: ``Σ_j p_query(j) · p_document(j)``.
        by_query: NDCG@10 of each query, in the order of the judgements.
    """

    name: str
    metrics: dict[str, float]
    query_dims: float
    document_dims: float
    max_document_dims: int
    flops: float
    by_query: tuple[float, ...] = field(repr=False)

    @property
    def ndcg(self) -> float:
        """NDCG@10."""
        return self.metrics[PRIMARY]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values, without those of single queries."""
        return {name: value for name, value in asdict(self).items() if name != "by_query"}


@dataclass(frozen=True, slots=True)
class SynonymScores:
    """What seed recipes for synonyms are measured by. They saturate early: not for selection.

    Attributes:
        source_preservation: Share of an anchor's own pieces among its heaviest tokens.
        synonym_activation: Share of anchors with a piece of the synonym, not their own, there.
        anchors: How many were measured.
    """

    source_preservation: float
    synonym_activation: float
    anchors: int

    @property
    def combined(self) -> float:
        """Both in per cent, added: 200 at best."""
        return 100 * (self.source_preservation + self.synonym_activation)

    def as_dict(self) -> dict[str, float]:
        """JSON-ready values."""
        return {**asdict(self), "combined": self.combined}


def measure(encoder: SparseEncoder, dev_set: DevSet) -> Measured:
    """Search a set exactly and count what it costs."""
    evaluated, _, sparsity = search_with_sparse(encoder, dev_set)
    values = tuple(evaluated.values(PRIMARY))
    return Measured(dev_set.name, dict(evaluated.aggregate), **asdict(sparsity), by_query=values)


def synonym_scores(
    encoder: SparseEncoder, triplets: Iterable[TrainingRecord], top_tokens: int
) -> SynonymScores:
    """Whether anchors keep their own pieces and reach their synonyms'.

    Args:
        encoder: Anchors are encoded as documents: the side that expands.
        triplets: ``query`` is the anchor, the first ``pos`` its synonym.
        top_tokens: An anchor's heaviest tokens that count.
    """
    kept = list(triplets)
    anchors = encoder.encode_documents([record.query for record in kept])
    pieces = _pieces(encoder, [record.query for record in kept])
    others = _pieces(encoder, [record.pos[0] for record in kept])
    preserved: list[float] = []
    activated: list[float] = []
    for anchor, own, synonym in zip(anchors, pieces, others, strict=True):
        order = np.argsort(-anchor.weights, kind="stable")[:top_tokens]
        top = set(anchor.ids[order].tolist())
        if own:
            preserved.append(len(own & top) / len(own))
        if synonym - own:
            activated.append(float(bool((synonym - own) & top)))
    return SynonymScores(_mean(preserved), _mean(activated), len(kept))


def _pieces(encoder: SparseEncoder, texts: Sequence[str]) -> list[set[int]]:
    return [set(vector.ids.tolist()) for vector in encoder.encode_queries(texts)]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
