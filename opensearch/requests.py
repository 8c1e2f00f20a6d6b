"""Search request bodies: pure functions from a plan to JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from opensearch.fusion import Leg
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD
from opensearch.pipelines import fusion_pipeline
from opensearch.plan import Plan, SearchRequest
from opensearch.queries import Clause, filtered, hybrid_query

Body = dict[str, Any]

_HIGHLIGHT = {
    "fields": {"text": {}, "title": {"number_of_fragments": 0}},
    "require_field_match": False,
    "pre_tags": ["<em>"],
    "post_tags": ["</em>"],
    "fragment_size": 160,
    "number_of_fragments": 2,
    "max_analyzer_offset": 999_999,  # one longer passage would fail the whole search
}


def single_leg_body(request: SearchRequest, clause: Clause) -> Body:
    """A page of one leg, one hit per document."""
    return {
        "query": clause,
        "size": request.size,
        "from": request.offset,
        "collapse": {"field": "doc_id"},
        **_shown(request),
    }


def hybrid_body(request: SearchRequest, plan: Plan) -> Body:
    """A page of all legs, fused by OpenSearch; the pipeline travels with the request.

    OpenSearch cuts a page out of the fused ranking only after collapsing, so the page is asked for
    as a whole.
    """
    legs = list(plan.clauses)
    return {
        "query": hybrid_query(list(plan.clauses.values()), request.depth),
        "size": request.size,
        "from": request.offset,
        "search_pipeline": fusion_pipeline(plan.fusion, legs),
        "collapse": {"field": "doc_id"},
        **_shown(request),
    }


def candidates_body(request: SearchRequest, clause: Clause) -> Body:
    """The candidates of one leg, ids and scores only, for fusion in the client."""
    return {
        "query": clause,
        "size": request.depth,
        "_source": False,
        "docvalue_fields": ["doc_id"],
    }


def leg_scores_body(leg: Leg, clause: Clause, chunk_ids: Sequence[str]) -> Body:
    """The score one leg gives to particular chunks, whether or not it ranked them high."""
    only = {"ids": {"values": [*chunk_ids]}}
    clause = _restricted_knn(clause, only, len(chunk_ids)) if leg == "dense" else clause
    return {"query": filtered(clause, [only]), "size": len(chunk_ids), "_source": False}


def _restricted_knn(clause: Clause, only: Clause, k: int) -> Clause:
    ((query, fields),) = clause.items()  # knn by vector, or neural by model
    return {query: {DENSE_FIELD: {**fields[DENSE_FIELD], "k": k, "filter": only}}}


def documents_body(request: SearchRequest, chunk_ids: Sequence[str], clause: Clause | None) -> Body:
    """The stored fields of given chunks; a clause lets them be highlighted."""
    only = {"ids": {"values": [*chunk_ids]}}
    query = {"bool": {"filter": [only], **({"should": [clause]} if clause else {})}}
    shown = {**_shown(request), "docvalue_fields": ["doc_id"]}
    return {"query": query, "size": len(chunk_ids), **shown}


def _shown(request: SearchRequest) -> Mapping[str, Any]:
    if request.ids_only:
        return {"_source": False}  # collapsing already returns the document id of each hit
    fields = ["doc_id", "title", "text", "metadata"]
    if request.tokens:
        fields.append(SPARSE_FIELD)
    shown: Body = {"_source": fields}
    return {**shown, "highlight": _HIGHLIGHT} if request.highlight else shown
