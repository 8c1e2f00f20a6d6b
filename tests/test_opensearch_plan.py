"""What is sent for a query, decided before it is sent."""

import pytest
from opensearch_samples import TinyDense, TinySparse, index_info

from opensearch.errors import SettingsError
from opensearch.fusion import Fusion
from opensearch.plan import QueryEncoders, SearchRequest, plan_search

BOTH = QueryEncoders(TinyDense(), TinySparse())
LANG = {"term": {"metadata.lang": "en"}}


@pytest.mark.parametrize(
    ("mode", "legs"),
    [
        ("bm25", ["bm25"]),
        ("dense", ["dense"]),
        ("sparse", ["sparse"]),
        ("hybrid", ["bm25", "dense", "sparse"]),
    ],
)
def test_modes(mode, legs) -> None:
    plan = plan_search(SearchRequest("red fox", mode=mode), index_info(), BOTH)
    assert list(plan.clauses) == legs
    assert not plan.left_out


@pytest.mark.parametrize(
    ("text", "encoders", "left_out"),
    [
        pytest.param(
            "red fox",
            QueryEncoders(),
            {"dense": "no dense field", "sparse": "no sparse field"},
            id="no field",
        ),
        pytest.param(
            "대출 금리",
            BOTH,
            {
                "dense": "tiny-dense does not know the language",
                "sparse": "tiny-sparse does not know the language",
            },
            id="unknown language",
        ),
    ],
)
def test_legs_that_cannot_serve_are_left_out_with_a_reason(text, encoders, left_out) -> None:
    plan = plan_search(SearchRequest(text), index_info(), encoders)
    assert list(plan.clauses) == ["bm25"]
    assert set(plan.left_out) == set(left_out)
    for leg, words in left_out.items():
        assert words in plan.left_out[leg]


class Weightless(TinySparse):
    def encode_queries(self, texts):
        return [self._vector("") for _ in texts]


def test_a_query_without_any_token_has_no_sparse_leg() -> None:
    encoders = QueryEncoders(TinyDense(), Weightless())
    plan = plan_search(SearchRequest("of the"), index_info(), encoders)
    assert list(plan.clauses) == ["bm25", "dense"]
    assert "no token" in plan.left_out["sparse"]
    alone = plan_search(SearchRequest("of the", mode="sparse"), index_info(), encoders)
    assert not alone.clauses
    assert "no token" in alone.left_out["sparse"]


def test_filters_reach_every_leg() -> None:
    plan = plan_search(SearchRequest("red fox", filters=[LANG]), index_info(), BOTH)
    assert plan.clauses["bm25"]["bool"]["filter"] == [LANG]
    assert plan.clauses["dense"]["knn"]["dense"]["filter"] == {"bool": {"filter": [LANG]}}
    assert plan.clauses["sparse"]["bool"]["filter"] == [LANG]


def test_filters_reach_the_companion_index() -> None:
    plan = plan_search(
        SearchRequest("red fox", filters=[LANG]), index_info(sparse_field="seismic"), BOTH
    )
    outer = plan.clauses["sparse"]["bool"]
    assert outer["filter"] == [LANG]
    parameters = outer["must"][0]["neural_sparse"]["tokens"]["method_parameters"]
    assert parameters["filter"] == {"bool": {"filter": [LANG]}}


@pytest.mark.parametrize("level", ["fine", "coarse"])
def test_a_two_level_index_is_searched_on_one_level(level) -> None:
    info = index_info(notes={"levels": ["coarse", "fine"]})
    plan = plan_search(SearchRequest("red fox", level=level, mode="bm25"), info, BOTH)
    assert plan.clauses["bm25"]["bool"]["filter"] == [{"term": {"level": level}}]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("red fox", ["title.latin", "text.latin"]),
        ("대출 금리", ["title", "text"]),
        ("комиссия", ["title", "text"]),
        ("12345", ["title", "text"]),
    ],
    ids=["second script", "main script", "script without a field", "no letters"],
)
def test_words_are_matched_in_the_field_of_their_script(text, fields) -> None:
    info = index_info(analyzers={"hangul": "cjk", "latin": "english"})
    plan = plan_search(SearchRequest(text, mode="bm25"), info, QueryEncoders())
    assert repr(fields) in repr(plan.clauses["bm25"])


def test_codes_are_matched_as_written() -> None:
    plan = plan_search(SearchRequest("what is E-4012"), index_info(), QueryEncoders())
    terms = plan.clauses["bm25"]["bool"]["should"][1:]
    assert [list(clause["term"]) for clause in terms] == [["exact"], ["exact_title"]]
    assert all(value["value"] == "E-4012" for t in terms for value in t["term"].values())


def test_query_tokens_are_named_heaviest_first() -> None:
    plan = plan_search(SearchRequest("red fox jumps", mode="sparse"), index_info(), BOTH)
    weights = list(plan.query_tokens.values())
    assert len(weights) == 3
    assert weights == sorted(weights, reverse=True)
    sent = plan.clauses["sparse"]["neural_sparse"]["sparse"]["query_tokens"]
    assert sent == plan.query_tokens


@pytest.mark.parametrize(("size", "offset", "depth"), [(10, 0, 100), (10, 95, 210), (500, 0, 1000)])
def test_every_leg_is_asked_deep_enough_for_the_page(size, offset, depth) -> None:
    request = SearchRequest("red fox", size=size, offset=offset, fusion=Fusion(depth=100))
    plan = plan_search(request, index_info(), BOTH)
    assert request.depth == depth
    assert plan.clauses["dense"]["knn"]["dense"]["k"] == depth


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"text": " \n"}, "empty"),
        ({"mode": "magic"}, "allowed: bm25, dense, sparse, hybrid"),
        ({"size": 0}, "size must be at least 1"),
        ({"offset": -1}, "size must be at least 1"),
        ({"size": 10, "offset": 9_991}, "at most 10000"),
    ],
)
def test_requests_that_make_no_sense_are_refused(values, message) -> None:
    with pytest.raises(SettingsError, match=message):
        SearchRequest(**{"text": "red fox", **values})
