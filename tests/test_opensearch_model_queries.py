"""Queries by model id: bodies, and the plan that uses them."""

from typing import Any

import pytest
from opensearch_samples import TinyDense, TinySparse, index_info

from opensearch.errors import SettingsError
from opensearch.model_queries import (
    QueryModels,
    hybrid_model_query,
    neural_query,
    neural_sparse_query,
)
from opensearch.plan import QueryEncoders, SearchRequest, plan_search
from opensearch.requests import hybrid_body, leg_scores_body

MODELS = QueryModels("d1", "s1")
LANGUAGE = {"term": {"metadata.lang": "en"}}


def test_bodies_name_model_field_and_filter() -> None:
    assert neural_query("fox", "d1", 20, [LANGUAGE], 200) == {
        "neural": {
            "dense": {
                "query_text": "fox",
                "k": 20,
                "model_id": "d1",
                "filter": {"bool": {"filter": [LANGUAGE]}},
                "method_parameters": {"ef_search": 200},
            }
        }
    }
    assert neural_query("fox", None, 20) == {"neural": {"dense": {"query_text": "fox", "k": 20}}}
    by_analyzer = neural_sparse_query("fox", QueryModels(analyzer="bert-uncased"))
    assert by_analyzer == {
        "neural_sparse": {"sparse": {"query_text": "fox", "analyzer": "bert-uncased"}}
    }


def test_a_sparse_query_is_encoded_once() -> None:
    with pytest.raises(SettingsError, match="not by both"):
        QueryModels(sparse="s", analyzer="bert-uncased")


def test_hybrid_holds_the_legs_that_have_a_model() -> None:
    whole = hybrid_model_query("fox", MODELS, ["text"], 50, [LANGUAGE])["hybrid"]
    assert [next(iter(clause)) for clause in whole["queries"]] == ["bool", "neural", "bool"]
    assert whole["pagination_depth"] == 50
    one = hybrid_model_query("fox", QueryModels("d1"), ["text"])["hybrid"]["queries"]
    assert len(one) == 2


def plan(models: QueryModels, **changes: Any) -> Any:
    request = SearchRequest("red fox", filters=[LANGUAGE])
    return request, plan_search(request, index_info(**changes), QueryEncoders(models=models))


def test_a_plan_by_models_differs_in_the_clauses_only() -> None:
    request, by_model = plan(MODELS)
    encoders = QueryEncoders(TinyDense(), TinySparse())
    by_client = plan_search(request, index_info(), encoders)
    assert by_model.clauses["bm25"] == by_client.clauses["bm25"]
    one, other = by_model.clauses["dense"]["neural"], by_client.clauses["dense"]["knn"]
    assert {k: v for k, v in one["dense"].items() if k not in ("query_text", "model_id")} == {
        k: v for k, v in other["dense"].items() if k != "vector"
    }
    bodies = [hybrid_body(request, p) for p in (by_model, by_client)]
    assert bodies[0]["search_pipeline"] == bodies[1]["search_pipeline"]


def test_a_leg_without_a_model_is_left_out_with_the_reason() -> None:
    _, found = plan(QueryModels("d1"))
    assert list(found.clauses) == ["bm25", "dense"]
    assert found.left_out["sparse"] == "no model of the cluster was named for it"
    _, bare = plan(QueryModels(sparse="s1"), dense=None)
    assert bare.left_out["dense"] == "the index has no dense field"


def test_seismic_fields_are_asked_by_model_too() -> None:
    _, found = plan(MODELS, sparse_field="seismic")
    (clause,) = found.clauses["sparse"]["bool"]["must"]
    assert clause["neural_sparse"]["tokens"]["model_id"] == "s1"
    assert clause["neural_sparse"]["tokens"]["method_parameters"]["filter"]


def test_leg_scores_restrict_a_neural_query_to_the_page() -> None:
    body = leg_scores_body("dense", neural_query("fox", "d1", 100), ["a#0", "b#0"])
    (inner,) = body["query"]["bool"]["must"]
    assert inner["neural"]["dense"]["k"] == 2
    assert inner["neural"]["dense"]["filter"] == {"ids": {"values": ["a#0", "b#0"]}}
