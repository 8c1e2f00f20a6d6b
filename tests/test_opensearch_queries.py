"""Query clauses of every leg."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch.queries import (
    MAX_TOKENS,
    bm25_query,
    clip_tokens,
    filtered,
    first_words,
    hybrid_query,
    knn_query,
    seismic_query,
    sparse_query,
)

LANG = {"term": {"metadata.lang": "ko"}}
VECTOR = np.array([0.5, -0.25], np.float32)


def test_bm25_over_title_and_text_as_one() -> None:
    assert bm25_query("red fox", ["title", "text"]) == {
        "combined_fields": {"query": "red fox", "fields": ["title", "text"]}
    }


def test_bm25_with_values_that_must_match_as_written() -> None:
    assert bm25_query("fox E-4012", ["title", "text"], ["E-4012"]) == {
        "bool": {
            "should": [
                {"combined_fields": {"query": "fox E-4012", "fields": ["title", "text"]}},
                {"term": {"exact": {"value": "E-4012", "boost": 2.0}}},
                {"term": {"exact_title": {"value": "E-4012", "boost": 4.0}}},
            ]
        }
    }


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("wire transfer?", "wire transfer", id="short"),
        pytest.param("word " * 400, ("word " * 300)[:-1], id="words"),
        pytest.param("가" * 400, "가" * 300, id="syllables"),
        pytest.param("가b" * 400, "가b" * 150, id="mixed"),
        pytest.param("😀" * 400, "😀" * 300, id="symbols"),
        pytest.param("a,b." * 400, ("a,b." * 150)[:-1], id="punctuation is no word"),
        pytest.param("x" * 9000, "x" * 8000, id="letters"),
        pytest.param("?!", "?!", id="nothing but punctuation"),
        pytest.param("", "", id="empty"),
    ],
)
def test_an_endless_query_is_cut(text, kept) -> None:
    assert first_words(text) == kept
    assert bm25_query(text, ["title", "text"])["combined_fields"]["query"] == kept
    assert bm25_query(text, ["passage"]) == {"match": {"passage": {"query": kept}}}


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        pytest.param({}, {}, id="plain"),
        pytest.param(
            {"filters": [LANG]}, {"filter": {"bool": {"filter": [LANG]}}}, id="filter inside"
        ),
        pytest.param(
            {"ef_search": 200}, {"method_parameters": {"ef_search": 200}}, id="search width"
        ),
    ],
)
def test_knn(arguments, body) -> None:
    query = knn_query(VECTOR, 10, **arguments)
    assert query == {"knn": {"dense": {"vector": [0.5, -0.25], "k": 10, **body}}}
    assert json.loads(json.dumps(query)) == query


def test_sparse() -> None:
    assert sparse_query({"fox": 1.5}) == {
        "neural_sparse": {"sparse": {"query_tokens": {"fox": 1.5}}}
    }


@pytest.mark.parametrize(
    ("filters", "extra"),
    [([], {}), ([LANG], {"filter": {"bool": {"filter": [LANG]}}})],
    ids=["plain", "filter inside"],
)
def test_seismic(filters, extra) -> None:
    assert seismic_query({7: 1.5, 9: 0.0}, 10, filters) == {
        "neural_sparse": {
            "tokens": {
                "query_tokens": {"7": 1.5},
                "method_parameters": {"k": 10, "top_n": 16, "heap_factor": 1.0, **extra},
            }
        }
    }


@pytest.mark.parametrize(
    ("weights", "clipped"),
    [
        pytest.param({"a": 1.0, "b": 0.0, "c": -2.0}, {"a": 1.0}, id="positive only"),
        pytest.param({"a": 65.0, "b": 64.0}, {"a": 64.0, "b": 64.0}, id="at most 64"),
        pytest.param({"a": float("nan")}, {}, id="not a number"),
        pytest.param({}, {}, id="none"),
    ],
)
def test_clip_tokens(weights, clipped) -> None:
    assert clip_tokens(weights) == clipped


def test_clip_tokens_keeps_the_heaviest() -> None:
    clipped = clip_tokens({f"t{i}": 1 + i / 1000 for i in range(3000)})
    assert len(clipped) == MAX_TOKENS
    assert next(iter(clipped)) == "t2999"
    assert min(clipped.values()) == pytest.approx(1 + (3000 - MAX_TOKENS) / 1000)


@given(st.dictionaries(st.text(), st.floats(), max_size=1100))
def test_clip_tokens_gives_what_opensearch_takes(weights) -> None:
    clipped = clip_tokens(weights)
    assert len(clipped) <= MAX_TOKENS
    assert all(0 < weight <= 64 for weight in clipped.values())


def test_filters_go_around_words_but_inside_vectors() -> None:
    match, knn = {"match": {"text": "fox"}}, knn_query(VECTOR, 10, [LANG])
    assert filtered(match, [LANG]) == {"bool": {"must": [match], "filter": [LANG]}}
    assert filtered(match, []) == match
    assert filtered(knn, [LANG]) == knn


def test_hybrid_names_its_depth() -> None:
    clauses = [{"match_all": {}}, {"match_none": {}}]
    assert hybrid_query(clauses, 50) == {"hybrid": {"queries": clauses, "pagination_depth": 50}}
