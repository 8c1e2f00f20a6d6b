"""Query clauses by the id of a model in the cluster: pure functions from texts to JSON.

OpenSearch encodes the query itself, so whoever sends these needs no encoder. They match the fields
of :mod:`opensearch.mappings` and give the scores that local encoders' vectors and weights give.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from opensearch.errors import SettingsError
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD
from opensearch.queries import Clause, bm25_query, filtered, hybrid_query

# What OpenSearch brings along for the query side of inference-free models.
ANALYZERS = ("bert-uncased", "mbert-uncased")
SEISMIC_TOKENS = 16


@dataclass(frozen=True, slots=True)
class QueryModels:
    """Ids of the models that encode queries; an absent one leaves its leg to a local encoder.

    Attributes:
        dense: For the field ``dense``.
        sparse: For the sparse field.
        analyzer: Instead of a sparse model: an analyzer of inference-free queries.
    """

    dense: str | None = None
    sparse: str | None = None
    analyzer: str | None = None

    def __post_init__(self) -> None:
        if self.sparse is not None and self.analyzer is not None:
            msg = "a sparse query is encoded by a model or by an analyzer, not by both"
            raise SettingsError(msg)

    @property
    def encodes_sparse(self) -> bool:
        """Whether the cluster encodes sparse queries."""
        return self.sparse is not None or self.analyzer is not None


def neural_query(
    text: str,
    model_id: str | None,
    k: int,
    filters: Sequence[Clause] = (),
    ef_search: int | None = None,
) -> Clause:
    """Nearest neighbours of a text.

    Args:
        text: The query.
        model_id: A dense model; ``None`` where a search pipeline names it.
        k: Candidates.
        filters: Applied while searching.
        ef_search: HNSW candidates looked at; the server's default if not given.
    """
    body: Clause = {"query_text": text, "k": k}
    if model_id is not None:
        body["model_id"] = model_id
    if filters:
        body["filter"] = {"bool": {"filter": [*filters]}}
    if ef_search is not None:
        body["method_parameters"] = {"ef_search": ef_search}
    return {"neural": {DENSE_FIELD: body}}


def neural_sparse_query(text: str, models: QueryModels) -> Clause:
    """Dot product of a text's token weights over ``rank_features``."""
    return {"neural_sparse": {SPARSE_FIELD: _sparse_body(text, models)}}


def seismic_model_query(
    text: str, models: QueryModels, k: int, filters: Sequence[Clause] = ()
) -> Clause:
    """The same over a SEISMIC field; OpenSearch asks the model for token ids by itself."""
    parameters: Clause = {"k": k, "top_n": SEISMIC_TOKENS, "heap_factor": 1.0}
    if filters:
        parameters["filter"] = {"bool": {"filter": [*filters]}}
    body = {**_sparse_body(text, models), "method_parameters": parameters}
    return {"neural_sparse": {TOKENS_FIELD: body}}


def hybrid_model_query(
    text: str,
    models: QueryModels,
    fields: Sequence[str],
    depth: int = 100,
    filters: Sequence[Clause] = (),
) -> Clause:
    """BM25 and every leg that the cluster can encode, in the order of ``opensearch.fusion.LEGS``.

    Args:
        text: The query.
        models: Models or analyzer of the legs.
        fields: Text fields of BM25.
        depth: Candidates of each leg.
        filters: Clauses that every leg must satisfy.
    """
    clauses = [filtered(bm25_query(text, fields), filters)]
    if models.dense is not None:
        clauses.append(neural_query(text, models.dense, depth, filters))
    if models.encodes_sparse:
        clauses.append(filtered(neural_sparse_query(text, models), filters))
    return hybrid_query(clauses, depth)


def _sparse_body(text: str, models: QueryModels) -> Clause:
    body: Clause = {"query_text": text}
    if models.analyzer is not None:
        return {**body, "analyzer": models.analyzer}
    return {**body, "model_id": models.sparse} if models.sparse is not None else body
