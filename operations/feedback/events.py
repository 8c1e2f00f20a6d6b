"""What users asked, what they were shown, and what they did with it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from opensearch.hits import SearchResult

APPLICATION = "tandem"
CLICK = "click"
JUDGEMENT = "judgement"
# What the hits of a search are: documents. `_id` names passages instead.
DOCUMENTS = "doc_id"
PASSAGES = "_id"


@dataclass(frozen=True, slots=True)
class QueryEvent:
    """One query and what was shown for it.

    Attributes:
        query_id: Joins the query with what was done about it; unique, at most 100 characters.
        user_query: The query as it was typed.
        timestamp: When, with its time zone.
        client_id: Who asked: a browser, a user, a service; ``None`` if that is not known.
        session_id: One visit of a client.
        application: Where it was asked.
        index: Logical name of the index that answered.
        shown: Ids of what was shown, best first.
        object_id_field: What those ids are: ``doc_id`` documents, ``_id`` passages.
        attributes: Anything else, JSON-ready: ``mode``, ``arm``, ``version``, ``latency_ms``,
            ``scores`` (of what was shown) and ``chunk_ids`` (the passages) are known by name.
    """

    query_id: str
    user_query: str
    timestamp: datetime
    client_id: str | None = None
    session_id: str | None = None
    application: str = APPLICATION
    index: str | None = None
    shown: tuple[str, ...] = ()
    object_id_field: str = DOCUMENTS
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Under which id the cluster keeps it."""
        return self.query_id


@dataclass(frozen=True, slots=True)
class UserEvent:
    """One action of a user, usually on something that was shown.

    Attributes:
        action_name: ``click``, ``judgement``, or any other word.
        timestamp: When, with its time zone.
        query_id: The query that led to it.
        client_id: Who did it.
        session_id: One visit of a client.
        application: Where it was done.
        object_id: What it was done to: one of the ids that were shown.
        position: Where that stood, from 1.
        attributes: Anything else, JSON-ready; a judgement has its ``grade`` here, 0 for not
            relevant.
        event_id: Unique id, if there is one; else one is made of what it says.
    """

    action_name: str
    timestamp: datetime
    query_id: str | None = None
    client_id: str | None = None
    session_id: str | None = None
    application: str = APPLICATION
    object_id: str | None = None
    position: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    event_id: str | None = None


LogEvent: TypeAlias = QueryEvent | UserEvent


def query_event(
    text: str,
    result: SearchResult,
    *,
    index: str,
    client_id: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> QueryEvent:
    """A search that was answered, as an event to log; other fields by ``dataclasses.replace``.

    Args:
        text: The query.
        result: What was shown.
        index: Logical name of the index.
        client_id: Who asked.
        attributes: Experiment arm, model version, mode.
    """
    measured = {
        "latency_ms": round(result.encode_ms + result.search_ms + result.rerank_ms, 3),
        "scores": [hit.score for hit in result.hits],
        "chunk_ids": [hit.chunk_id for hit in result.hits],
    }
    return QueryEvent(
        query_id=str(uuid.uuid4()),
        user_query=text,
        timestamp=datetime.now(UTC),
        client_id=client_id,
        index=index,
        shown=tuple(hit.id for hit in result.hits),
        attributes={**measured, **(attributes or {})},
    )
