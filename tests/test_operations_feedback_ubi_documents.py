"""Events as UBI documents, and back."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch.hits import Hit, SearchResult
from operations.feedback.errors import LineFault
from operations.feedback.events import QueryEvent, UserEvent, query_event
from operations.feedback.ubi_documents import (
    document,
    document_id,
    parse_document,
    parse_timestamp,
    query_document,
    user_document,
)

MOMENT = datetime(2026, 3, 1, 8, 0, 0, 250_000, tzinfo=UTC)

ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)).map(
    lambda m: m.replace(microsecond=m.microsecond // 1000 * 1000)
)
queries = st.builds(
    QueryEvent,
    query_id=ids,
    user_query=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip),
    timestamp=moments,
    client_id=st.none() | ids,
    session_id=st.none() | ids,
    application=ids,
    index=st.none() | ids,
    shown=st.lists(ids, max_size=3).map(tuple),
    attributes=st.dictionaries(st.sampled_from(["arm", "mode"]), st.integers(0, 9)),
)
actions = st.builds(
    UserEvent,
    action_name=ids,
    timestamp=moments,
    query_id=st.none() | ids,
    client_id=st.none() | ids,
    object_id=st.none() | ids,
    position=st.none() | st.integers(1, 1000),
    attributes=st.dictionaries(st.sampled_from(["grade", "note"]), st.integers(0, 3)),
    event_id=st.none() | ids,
)


@given(queries | actions)
def test_an_event_survives_its_document(event) -> None:
    assert parse_document(json.loads(json.dumps(document(event)))) == event


def test_a_query_has_the_names_of_the_schema() -> None:
    event = QueryEvent("q", "lost card", MOMENT, client_id="c", index="docs", shown=("a", "b"))
    assert query_document(event) == {
        "application": "tandem",
        "query_id": "q",
        "client_id": "c",
        "user_query": "lost card",
        "timestamp": "2026-03-01T08:00:00.250Z",
        "object_id_field": "doc_id",
        "query_response_id": "q",
        "query_response_hit_ids": ["a", "b"],
        "query_attributes": {"index": "docs"},
    }


def test_an_action_has_the_names_of_the_schema() -> None:
    event = UserEvent("judgement", MOMENT, query_id="q", object_id="a", attributes={"grade": 2})
    attributes = user_document(event)["event_attributes"]
    assert attributes == {"grade": 2, "object": {"object_id": "a"}}


def test_an_empty_answer_stays_visible() -> None:
    assert query_document(QueryEvent("q", "x", MOMENT))["query_response_hit_ids"] == []


@pytest.mark.parametrize("name", ["query_response_object_ids", "query_response_objects_ids"])
def test_older_names_of_the_hits_are_read(name: str) -> None:
    values = {"query_id": "q", "user_query": "x", "timestamp": 1_700_000_000_000, name: ["a", 7]}
    assert parse_document(values).shown == ("a", "7")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T08:00:00Z", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("2026-03-01T08:00:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        (
            "2026-03-01T08:00:00+09:00",
            datetime(2026, 3, 1, 8, tzinfo=timezone(timedelta(hours=9))),
        ),
        (1_772_352_000, datetime(2026, 3, 1, 8, tzinfo=UTC)),
        (1_772_352_000_000, datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ],
)
def test_times_are_read(text, expected: datetime) -> None:
    assert parse_timestamp(text) == expected


GOOD = {"query_id": "q", "user_query": "my card 4111", "timestamp": "2026-03-01T08:00:00Z"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"user_query": None}, "neither a query nor an action"),
        ({"user_query": "  "}, "neither a query nor an action"),
        ({"user_query": ["x"]}, "user_query is no text"),
        ({"query_id": None}, "no query_id"),
        ({"query_id": "x" * 101}, "longer than 100"),
        ({"query_id": "\ud800"}, "surrogate"),
        ({"timestamp": "yesterday"}, "timestamp is no time"),
        ({"timestamp": None}, "no timestamp"),
        ({"timestamp": True}, "no timestamp"),
        ({"timestamp": 1e300}, "timestamp is no time"),
        ({"query_response_hit_ids": "a"}, "no list"),
        ({"query_response_hit_ids": [{}]}, "no text"),
        ({"query_attributes": []}, "no object"),
        ({"action_name": "click", "event_attributes": 3}, "no object"),
        (
            {"action_name": "click", "event_attributes": {"position": {"ordinal": "1"}}},
            "no number",
        ),
        (
            {"action_name": "click", "event_attributes": {"position": {"ordinal": 0}}},
            "counts from 1",
        ),
    ],
)
def test_a_fault_is_named_without_quoting(change: dict, reason: str) -> None:
    with pytest.raises(LineFault, match=reason) as found:
        parse_document(GOOD | change)
    assert "4111" not in str(found.value)


def test_equal_actions_have_equal_ids() -> None:
    event = UserEvent("click", MOMENT, query_id="q", object_id="a")
    later = UserEvent("click", MOMENT + timedelta(seconds=1), query_id="q", object_id="a")
    assert document_id(event) == document_id(parse_document(document(event)))
    assert document_id(event) != document_id(later)
    assert document_id(UserEvent("click", MOMENT, event_id="e")) == "e"


def test_an_answer_becomes_an_event() -> None:
    hits = (Hit("card", "card#0", 0.9, 1), Hit("fee", "fee#2", 0.4, 2))
    result = SearchResult(hits, ("bm25",), {}, {}, encode_ms=1.0, search_ms=2.0)
    event = query_event("lost card", result, index="docs", attributes={"arm": "b"})
    assert event.shown == ("card", "fee")
    assert event.attributes["scores"] == [0.9, 0.4]
    assert event.attributes["chunk_ids"] == ["card#0", "fee#2"]
    assert event.attributes["latency_ms"] == 3.0
    assert event.attributes["arm"] == "b"
    assert event.query_id != query_event("lost card", result, index="docs").query_id
