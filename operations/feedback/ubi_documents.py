"""Events as documents of the UBI schema (User Behavior Insights 1.3), and back.

Names of the schema are kept; what it has no name for stands in ``query_attributes`` and
``event_attributes``, which it leaves open.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from operations.feedback.errors import LineFault
from operations.feedback.events import APPLICATION, DOCUMENTS, LogEvent, QueryEvent, UserEvent

MAX_ID_CHARACTERS = 100
MAX_OBJECT_CHARACTERS = 256
MAX_QUERY_CHARACTERS = 10_000
MAX_SHOWN = 1000
_INDEX = "index"
# Names that earlier versions of the schema and of its plugin gave the list of hits.
_SHOWN_NAMES = (
    "query_response_hit_ids",
    "query_response_object_ids",
    "query_response_objects_ids",
)
# Above it, a number is milliseconds since 1970, as older collectors write.
_FIRST_MILLISECOND = 10**11


def query_document(event: QueryEvent) -> dict[str, Any]:
    """A query as a document of ``ubi_queries``."""
    attributes = dict(event.attributes)
    if event.index is not None:
        attributes[_INDEX] = event.index
    return _without_empty(
        {
            "application": event.application,
            "query_id": event.query_id,
            "client_id": event.client_id,
            "session_id": event.session_id,
            "user_query": event.user_query,
            "timestamp": timestamp_text(event.timestamp),
            "object_id_field": event.object_id_field,
            "query_response_id": event.query_id,
            "query_response_hit_ids": list(event.shown),
            "query_attributes": attributes,
        }
    )


def user_document(event: UserEvent) -> dict[str, Any]:
    """An action as a document of ``ubi_events``."""
    attributes = dict(event.attributes)
    if event.object_id is not None:
        attributes["object"] = {"object_id": event.object_id}
    if event.position is not None:
        attributes["position"] = {"ordinal": event.position}
    return _without_empty(
        {
            "event_id": event.event_id,
            "application": event.application,
            "action_name": event.action_name,
            "query_id": event.query_id,
            "client_id": event.client_id,
            "session_id": event.session_id,
            "timestamp": timestamp_text(event.timestamp),
            "event_attributes": attributes,
        }
    )


def document(event: LogEvent) -> dict[str, Any]:
    """Either kind of event as a document."""
    return query_document(event) if isinstance(event, QueryEvent) else user_document(event)


def document_id(event: LogEvent) -> str:
    """The id under which the cluster keeps an event: the same event always has the same."""
    if isinstance(event, QueryEvent):
        return event.query_id
    if event.event_id is not None:
        return event.event_id
    body = json.dumps(user_document(event), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def parse_document(values: Mapping[str, Any]) -> LogEvent:
    """A document of either index, or a line of a JSONL log: what has an action is an action.

    Raises:
        LineFault: Something is missing or of the wrong type.
    """
    return _user_event(values) if values.get("action_name") is not None else _query_event(values)


def _query_event(values: Mapping[str, Any]) -> QueryEvent:
    attributes = dict(_object(values, "query_attributes"))
    index = attributes.pop(_INDEX, None)
    text = _text(values, "user_query", MAX_QUERY_CHARACTERS)
    if text is None or not text.strip():
        msg = "no user_query, and no action_name either: neither a query nor an action"
        raise LineFault(msg)
    return QueryEvent(
        query_id=_needed(values, "query_id"),
        user_query=text,
        timestamp=parse_timestamp(values.get("timestamp")),
        client_id=_text(values, "client_id"),
        session_id=_text(values, "session_id"),
        application=_text(values, "application") or APPLICATION,
        index=index if isinstance(index, str) else None,
        shown=_shown(values),
        object_id_field=_text(values, "object_id_field") or DOCUMENTS,
        attributes=attributes,
    )


def _user_event(values: Mapping[str, Any]) -> UserEvent:
    attributes = dict(_object(values, "event_attributes"))
    acted_on = _object(attributes, "object")
    place = _object(attributes, "position")
    attributes.pop("object", None)
    attributes.pop("position", None)
    return UserEvent(
        action_name=_needed(values, "action_name"),
        timestamp=parse_timestamp(values.get("timestamp")),
        query_id=_text(values, "query_id"),
        client_id=_text(values, "client_id"),
        session_id=_text(values, "session_id"),
        application=_text(values, "application") or APPLICATION,
        object_id=_text(acted_on, "object_id", MAX_OBJECT_CHARACTERS),
        position=_position(place.get("ordinal")),
        attributes=attributes,
        event_id=_text(values, "event_id"),
    )


def timestamp_text(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as OpenSearch's date fields read it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(value: Any) -> datetime:
    """ISO 8601 (UTC unless it says otherwise), or seconds or milliseconds since 1970.

    Raises:
        LineFault: It is neither.
    """
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value / 1000 if value >= _FIRST_MILLISECOND else value
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as error:
        msg = "timestamp is no time: expected ISO 8601 or milliseconds since 1970"
        raise LineFault(msg) from error
    msg = "no timestamp: expected ISO 8601 or milliseconds since 1970"
    raise LineFault(msg)


def _shown(values: Mapping[str, Any]) -> tuple[str, ...]:
    name = next((name for name in _SHOWN_NAMES if values.get(name) is not None), None)
    if name is None:
        return ()
    ids = values[name]
    if not isinstance(ids, Sequence) or isinstance(ids, str) or len(ids) > MAX_SHOWN:
        msg = f"{name} is no list of at most {MAX_SHOWN} ids"
        raise LineFault(msg)
    return tuple(_id(value, name, MAX_OBJECT_CHARACTERS) for value in ids)


def _position(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        msg = "event_attributes.position.ordinal is no number"
        raise LineFault(msg)
    if value < 1:
        msg = "event_attributes.position.ordinal counts from 1"
        raise LineFault(msg)
    return int(value)


def _object(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        msg = f"{name} is no object"
        raise LineFault(msg)
    return found


def _needed(values: Mapping[str, Any], name: str) -> str:
    found = _text(values, name)
    if not found:
        msg = f"no {name}"
        raise LineFault(msg)
    return found


def _text(values: Mapping[str, Any], name: str, longest: int = MAX_ID_CHARACTERS) -> str | None:
    return None if values.get(name) is None else _id(values[name], name, longest)


def _id(value: Any, name: str, longest: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        msg = f"{name} is no text"
        raise LineFault(msg)
    if len(value) > longest:
        msg = f"{name} is longer than {longest} characters"
        raise LineFault(msg)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = f"{name} holds half a surrogate pair"
        raise LineFault(msg) from error
    return value


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    kept = ("query_response_hit_ids",)  # an empty list says that nothing was found
    return {k: v for k, v in values.items() if k in kept or (v is not None and v != {})}
