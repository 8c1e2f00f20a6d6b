"""From the cluster's log to JSON lines: only queries that enough clients issued."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from operations.feedback.events import LogEvent, QueryEvent
from operations.feedback.log_files import LogSource, write_log
from operations.feedback.privacy import ClientCounts, Privacy
from operations.feedback.windows import Window
from training.data.normalising import text_key

# Below five, a query can point to a person; above, most of a small log would stay behind.
DEFAULT_MIN_CLIENTS = 5
# All clients without an id count as one: nothing says that they were several.
UNKNOWN_CLIENT = ""


@dataclass(frozen=True, slots=True)
class Exported:
    """Outcome of an export.

    Attributes:
        queries: Queries that were written.
        events: Actions on them that were.
        withheld: Queries that too few clients issued.
    """

    queries: int
    events: int
    withheld: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def export_log(
    log: LogSource,
    path: Path,
    *,
    window: Window | None = None,
    min_clients: int = DEFAULT_MIN_CLIENTS,
    privacy: Privacy | None = None,
) -> Exported:
    """Write the queries of a time and what was done about them to a file.

    A query leaves if at least ``min_clients`` clients issued it in that time. Actions without a
    query stay behind.

    Args:
        log: The log.
        path: The file; it appears whole or not at all.
        window: Which time; everything without it.
        min_clients: The k of k-anonymity.
        privacy: What is written of an event; ids that are hashed already stay as they are.

    Raises:
        FeedbackError: The log cannot be read or the file not written.
    """
    window = window or Window()
    counts = count_clients(log, window, min_clients)
    sieve = _Sieve(log, window, counts, privacy or Privacy.of())
    total = write_log(sieve.events(), path)
    return Exported(sieve.queries, total - sieve.queries, sieve.withheld)


def count_clients(log: LogSource, window: Window, least: int) -> ClientCounts:
    """How many clients issued each query of a time, counted up to ``least``."""
    counts = ClientCounts(least)
    if least > 1:
        for query in log.queries(window.since, window.until):
            counts.add(text_key(query.user_query), client_of(query))
    return counts


def client_of(query: QueryEvent) -> str:
    """Who asked: the client, else the session, else somebody unknown."""
    return query.client_id or query.session_id or UNKNOWN_CLIENT


class _Sieve:
    def __init__(
        self, log: LogSource, window: Window, counts: ClientCounts, privacy: Privacy
    ) -> None:
        self._log, self._window, self._counts, self._privacy = log, window, counts, privacy
        self._kept: set[str] = set()
        self.queries = 0
        self.withheld = 0

    def events(self) -> Iterator[LogEvent]:
        for query in self._log.queries(self._window.since, self._window.until):
            if not self._counts.enough(text_key(query.user_query)):
                self.withheld += 1
                continue
            self._kept.add(query.query_id)
            self.queries += 1
            yield self._privacy.clean(query)
        # What was done about a query of the window may have been done after it.
        for event in self._log.events(self._window.since):
            if event.query_id in self._kept:
                yield self._privacy.clean(event)
