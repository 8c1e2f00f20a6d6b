"""Settings and mappings of the UBI indices, for clusters that do not have them yet."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

QUERIES_INDEX = "ubi_queries"
EVENTS_INDEX = "ubi_events"

_DATE = {"type": "date"}


def _keyword(longest: int) -> dict[str, Any]:
    return {"type": "keyword", "ignore_above": longest}


_ID = _keyword(100)
_QUERIES: Mapping[str, Any] = MappingProxyType(
    {
        "timestamp": _DATE,
        "application": _ID,
        "query_id": _ID,
        "client_id": _ID,
        "session_id": _ID,
        "object_id_field": _ID,
        "query_response_id": _ID,
        "query_response_hit_ids": {"type": "keyword"},
        "user_query": {"type": "text", "fields": {"keyword": _keyword(256)}},
        "query_attributes": {"type": "flat_object"},
    }
)
_EVENTS: Mapping[str, Any] = MappingProxyType(
    {
        "timestamp": _DATE,
        "application": _ID,
        "action_name": _ID,
        "event_id": _ID,
        "query_id": _ID,
        "client_id": _ID,
        "session_id": _ID,
        "event_attributes": {
            "properties": {
                "grade": {"type": "float"},
                "object": {
                    "properties": {
                        "object_id": _keyword(256),
                        "object_id_field": _ID,
                        "internal_id": {"type": "keyword"},
                    }
                },
                "position": {"properties": {"ordinal": {"type": "integer"}}},
            }
        },
    }
)


def ubi_body(index: str) -> dict[str, Any]:
    """Settings and mapping of an index; names and types are those of the UBI plugin.

    Fields beyond those are kept, but not indexed: what applications add cannot bloat the mapping.

    Args:
        index: ``ubi_queries`` or ``ubi_events``.
    """
    fields = _QUERIES if index == QUERIES_INDEX else _EVENTS
    return {
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
        "mappings": {"dynamic": False, "properties": dict(fields)},
    }
