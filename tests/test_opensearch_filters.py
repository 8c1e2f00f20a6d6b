"""Filter expressions and the clauses they become."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch.errors import SettingsError
from opensearch.filters import parse_filters


@pytest.mark.parametrize(
    ("expression", "clause"),
    [
        pytest.param("lang=ko", {"match": {"metadata.lang": "ko"}}, id="equal"),
        pytest.param(" lang = ko ", {"match": {"metadata.lang": "ko"}}, id="white space"),
        pytest.param("metadata.lang=ko", {"match": {"metadata.lang": "ko"}}, id="full path"),
        pytest.param("a.b=c", {"match": {"metadata.a.b": "c"}}, id="nested path"),
        pytest.param("doc_id=d1", {"match": {"doc_id": "d1"}}, id="a field of the index"),
        pytest.param(
            "kind=cards,loans",
            {
                "bool": {
                    "should": [
                        {"match": {"metadata.kind": "cards"}},
                        {"match": {"metadata.kind": "loans"}},
                    ]
                }
            },
            id="any of",
        ),
        pytest.param(
            "lang!=en", {"bool": {"must_not": [{"match": {"metadata.lang": "en"}}]}}, id="not"
        ),
        pytest.param("fee<=1000", {"range": {"metadata.fee": {"lte": "1000"}}}, id="at most"),
        pytest.param("fee<1000", {"range": {"metadata.fee": {"lt": "1000"}}}, id="below"),
        pytest.param("fee > 5", {"range": {"metadata.fee": {"gt": "5"}}}, id="above"),
        pytest.param(
            "updated>=2026-01-01", {"range": {"metadata.updated": {"gte": "2026-01-01"}}}, id="date"
        ),
        pytest.param("url=a=b", {"match": {"metadata.url": "a=b"}}, id="operator in the value"),
        pytest.param('q="x" (y) 😀 *', {"match": {"metadata.q": '"x" (y) 😀 *'}}, id="odd letters"),
        pytest.param("note=two\nlines", {"match": {"metadata.note": "two\nlines"}}, id="newline"),
        pytest.param("kind=cards,", {"match": {"metadata.kind": "cards"}}, id="trailing comma"),
    ],
)
def test_clauses(expression: str, clause: dict) -> None:
    assert parse_filters([expression]) == [clause]


def test_every_expression_must_hold() -> None:
    assert parse_filters(["lang=ko", "fee>1"]) == [
        {"match": {"metadata.lang": "ko"}},
        {"range": {"metadata.fee": {"gt": "1"}}},
    ]
    assert parse_filters([]) == []


@pytest.mark.parametrize("expression", ["", "lang", "=ko", "lang=", "lang = ", "a b=c", "lang=,"])
def test_what_cannot_be_read_is_refused_with_the_rule(expression: str) -> None:
    with pytest.raises(SettingsError, match="write field=value"):
        parse_filters([expression])


@given(st.text())
def test_any_text_is_parsed_or_refused(expression: str) -> None:
    try:
        (clause,) = parse_filters([expression])
    except SettingsError:
        return
    assert set(clause) <= {"match", "range", "bool"}
