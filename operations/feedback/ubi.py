"""The log of queries and actions in the cluster: the indices ``ubi_queries`` and ``ubi_events``."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from opensearch.indices import index_exists
from opensearch.translation import translated
from operations.feedback.errors import FeedbackError, LineFault
from operations.feedback.events import LogEvent, QueryEvent, UserEvent, query_event
from operations.feedback.privacy import Privacy
from operations.feedback.transfer import scan, store
from operations.feedback.ubi_documents import (
    document,
    document_id,
    parse_document,
)
from operations.feedback.ubi_mappings import EVENTS_INDEX, QUERIES_INDEX, ubi_body

__all__ = ["QueryEvent", "Recorded", "UbiLog", "UserEvent", "query_event"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Outcome of a write.

    Attributes:
        queries: Queries that are stored.
        events: Actions that are stored.
        refused: Id and reason of what OpenSearch did not take.
    """

    queries: int = 0
    events: int = 0
    refused: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Store:
    """An index of the log, ours or the plugin's.

    Attributes:
        takes_milliseconds: Whether its timestamps must be numbers. Some versions of the plugin ask
            for ``rfc3339_lenient||epoch_millis``, of which OpenSearch reads the second alone, and
            leave out silently what they cannot read.
    """

    takes_milliseconds: bool = False

    @classmethod
    def of(cls, mappings: Mapping[str, Any]) -> "_Store":
        """From the answer to a request for its mapping."""
        properties = [body["mappings"].get("properties", {}) for body in mappings.values()]
        formats = [found.get("timestamp", {}).get("format", "") for found in properties]
        return cls(any("epoch_millis" in found and "date" not in found for found in formats))


class UbiLog:
    """Writes and reads the log.

    Whatever is written is masked first, and client ids are hashed or dropped (:class:`Privacy`).
    The indices are made with the first write; those of the UBI plugin are used as they are.
    """

    def __init__(self, client: Any, privacy: Privacy | None = None) -> None:
        """A log in the cluster of the client.

        Args:
            client: The client.
            privacy: What is written of an event; by default client ids are hashed with the salt
                of the environment.
        """
        self._client = client
        self._privacy = privacy or Privacy.of()
        self._stores: dict[str, _Store] = {}

    def record(
        self, queries: Iterable[QueryEvent] = (), events: Iterable[UserEvent] = ()
    ) -> Recorded:
        """Store queries and actions; the same event stored again replaces itself.

        Raises:
            FeedbackError: A client id is to be hashed and there is no salt.
            SearchBackendError: The cluster refused altogether.
        """
        refused: list[tuple[str, str]] = []
        stored_queries = self._store(QUERIES_INDEX, queries, refused)
        stored_events = self._store(EVENTS_INDEX, events, refused)
        return Recorded(stored_queries, stored_events, tuple(refused))

    def queries(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[QueryEvent]:
        """Queries of a time, oldest first; the log as it stands at the first of them.

        Args:
            since: From this moment on.
            until: Up to, and without, this moment.
        """
        for event in self._read(QUERIES_INDEX, since, until):
            if isinstance(event, QueryEvent):
                yield event

    def events(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[UserEvent]:
        """Actions of a time, oldest first; see :meth:`queries`."""
        for event in self._read(EVENTS_INDEX, since, until):
            if isinstance(event, UserEvent):
                yield event

    def stored_id(self, event: LogEvent) -> str:
        """The id under which :meth:`record` stores an event."""
        return document_id(replace(self._privacy, masked=Counter()).clean(event))

    def refresh(self) -> None:
        """Make what was written visible to readers at once."""
        with translated("refreshing the log"):
            self._client.indices.refresh(
                index=f"{QUERIES_INDEX},{EVENTS_INDEX}", params={"ignore_unavailable": "true"}
            )

    def _store(self, index: str, events: Iterable[LogEvent], refused: list[tuple[str, str]]) -> int:
        stored = 0
        for name, reason in store(self._client, index, self._documents(index, events)):
            if reason is None:
                stored += 1
            else:
                refused.append((name, reason))
        return stored

    def _documents(
        self, index: str, events: Iterable[LogEvent]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for event in events:
            cleaned = self._privacy.clean(event)
            body = document(cleaned)
            if self._made(index).takes_milliseconds:
                body["timestamp"] = int(event.timestamp.timestamp() * 1000)
            yield document_id(cleaned), body

    def _made(self, index: str) -> "_Store":
        """What is known of an index, which is made where it is missing."""
        if index not in self._stores:
            with translated(f"creating {index}"):
                if not index_exists(self._client, index):
                    # 400 is what the loser of a race to create it gets.
                    self._client.indices.create(index=index, body=ubi_body(index), ignore=400)
                self._stores[index] = _Store.of(self._client.indices.get_mapping(index=index))
        return self._stores[index]

    def _read(
        self, index: str, since: datetime | None, until: datetime | None
    ) -> Iterator[LogEvent]:
        if not index_exists(self._client, index):
            msg = (
                f"the cluster has no log: there is no index {index}. `tandem feedback import` "
                "writes one, and so do the routers and the UBI plugin"
            )
            raise FeedbackError(msg)
        body = {"query": _window_query(since, until), "sort": ["timestamp"]}
        unreadable = 0
        for hit in scan(self._client, index, body):
            try:
                yield parse_document({"event_id": hit["_id"], **hit["_source"]})
            except LineFault as fault:
                unreadable += 1
                logger.debug("%s of %s is passed over: %s", hit["_id"], index, fault)
        if unreadable:
            logger.warning("%d documents of %s cannot be read", unreadable, index)


def _window_query(since: datetime | None, until: datetime | None) -> dict[str, Any]:
    bounds = {"gte": since, "lt": until}
    given = {name: int(moment.timestamp() * 1000) for name, moment in bounds.items() if moment}
    if not given:
        return {"match_all": {}}
    # The date format of the plugin's mapping cannot be asked for in its own terms.
    return {"range": {"timestamp": {**given, "format": "epoch_millis"}}}
