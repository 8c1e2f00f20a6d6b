"""Search request bodies."""

import pytest
from opensearch_samples import TinyDense, TinySparse, index_info

from opensearch.fusion import Fusion
from opensearch.pipelines import fusion_pipeline
from opensearch.plan import QueryEncoders, SearchRequest, plan_search
from opensearch.queries import knn_query
from opensearch.requests import (
    candidates_body,
    documents_body,
    hybrid_body,
    leg_scores_body,
    single_leg_body,
)

MATCH = {"match": {"text": "fox"}}
SHOWN = ["doc_id", "title", "text", "metadata"]


def test_single_leg() -> None:
    assert single_leg_body(SearchRequest("fox", size=5, offset=10), MATCH) == {
        "query": MATCH,
        "size": 5,
        "from": 10,
        "collapse": {"field": "doc_id"},
        "_source": SHOWN,
    }


@pytest.mark.parametrize("method", ["minmax", "rrf"])
@pytest.mark.parametrize(
    "encoders", [QueryEncoders(TinyDense()), QueryEncoders(None, TinySparse())]
)
def test_hybrid_always_brings_the_pipeline_of_its_legs(method, encoders) -> None:
    request = SearchRequest("red fox", size=20, offset=100, fusion=Fusion(method=method, depth=50))
    plan = plan_search(request, index_info(), encoders)
    body = hybrid_body(request, plan)
    assert body["search_pipeline"] == fusion_pipeline(request.fusion, list(plan.clauses))
    assert body["query"]["hybrid"] == {
        "queries": list(plan.clauses.values()),
        "pagination_depth": 240,
    }
    assert (body["size"], body["from"]) == (20, 100)
    assert body["collapse"] == {"field": "doc_id"}


@pytest.mark.parametrize(
    ("wanted", "source", "highlighted"),
    [
        pytest.param({}, SHOWN, False, id="plain"),
        pytest.param({"tokens": True}, [*SHOWN, "sparse"], False, id="tokens"),
        pytest.param({"highlight": True}, SHOWN, True, id="highlight"),
        pytest.param({"ids_only": True}, False, False, id="ids only"),
    ],
)
def test_what_is_shown(wanted, source, highlighted) -> None:
    body = single_leg_body(SearchRequest("fox", **wanted), MATCH)
    assert body["_source"] == source
    assert ("highlight" in body) is highlighted


def test_vectors_are_never_sent_back() -> None:
    request = SearchRequest("fox", tokens=True, highlight=True)
    for body in (
        single_leg_body(request, MATCH),
        candidates_body(request, MATCH),
        documents_body(request, ["d#0"], MATCH),
    ):
        assert body["_source"] is False or "dense" not in body["_source"]


def test_candidates_are_ids_and_scores() -> None:
    body = candidates_body(SearchRequest("fox", fusion=Fusion(depth=40)), MATCH)
    assert body == {
        "query": MATCH,
        "size": 40,
        "_source": False,
        "docvalue_fields": ["doc_id"],
    }


def test_leg_scores_of_words() -> None:
    assert leg_scores_body("bm25", MATCH, ["a#0", "b#0"]) == {
        "query": {"bool": {"must": [MATCH], "filter": [{"ids": {"values": ["a#0", "b#0"]}}]}},
        "size": 2,
        "_source": False,
    }


def test_leg_scores_of_vectors_ask_for_exactly_these_neighbours() -> None:
    clause = knn_query([0.5, 0.5], 100, [MATCH], ef_search=50)
    body = leg_scores_body("dense", clause, ["a#0"])
    only = {"ids": {"values": ["a#0"]}}
    assert body["query"]["knn"]["dense"] == {
        "vector": [0.5, 0.5],
        "k": 1,
        "filter": only,
        "method_parameters": {"ef_search": 50},
    }
    assert clause["knn"]["dense"]["k"] == 100


@pytest.mark.parametrize(
    ("clause", "extra"), [(None, {}), (MATCH, {"should": [MATCH]})], ids=["plain", "highlighted"]
)
def test_documents_by_id(clause, extra) -> None:
    body = documents_body(SearchRequest("fox"), ["a#0", "b#1"], clause)
    only = {"ids": {"values": ["a#0", "b#1"]}}
    assert body == {
        "query": {"bool": {"filter": [only], **extra}},
        "size": 2,
        "_source": SHOWN,
        "docvalue_fields": ["doc_id"],
    }
