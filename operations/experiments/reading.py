"""From the log of queries and clicks to the columns of a report."""

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import numpy as np

from operations.experiments.columns import QueryColumns
from operations.experiments.experiment import Experiment
from operations.experiments.interleaving import credit
from operations.feedback.events import CLICK, QueryEvent, UserEvent

# Names of what the router writes into a query's attributes.
EXPERIMENT = "experiment"
ARM = "arm"
TEAMS = "teams"
LATENCY = "latency_ms"
FALLBACK = "fallback"

Clicks = Mapping[str, Sequence[tuple[datetime, str | None, int | None]]]


class Log(Protocol):
    """What of ``UbiLog`` is read."""

    def queries(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterable[QueryEvent]:
        """Queries of a time."""
        ...

    def events(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterable[UserEvent]:
        """Actions of a time."""
        ...


def read_experiment(log: Log, experiment: Experiment) -> QueryColumns:
    """The queries of an experiment's current phase, with their clicks.

    Memory grows with the clicks and, by some dozen bytes each, with the queries of the phase.
    """
    since, until = experiment.phase.since, experiment.ended

    def belongs(query: QueryEvent) -> bool:
        return query.attributes.get(EXPERIMENT) == experiment.name

    clicks = read_clicks(log.events(since))
    return read_queries(log.queries(since, until), clicks, belongs, experiment.plan.cutoff)


def read_before(log: Log, index: str, since: datetime, cutoff: int) -> QueryColumns:
    """All queries of an index since a moment, whatever experiment they were part of."""
    clicks = read_clicks(log.events(since))
    return read_queries(log.queries(since), clicks, lambda query: query.index == index, cutoff)


def read_clicks(events: Iterable[UserEvent]) -> Clicks:
    """Clicks by query: moment, document and position of each."""
    found: dict[str, list[tuple[datetime, str | None, int | None]]] = {}
    for event in events:
        if event.action_name == CLICK and event.query_id is not None:
            click = (event.timestamp, event.object_id, event.position)
            found.setdefault(event.query_id, []).append(click)
    return found


def read_queries(
    queries: Iterable[QueryEvent],
    clicks: Clicks,
    belongs: Callable[[QueryEvent], bool],
    cutoff: int,
) -> QueryColumns:
    """One row per query that belongs to what is asked about and names its user.

    Args:
        queries: The log.
        clicks: Of ``read_clicks``.
        belongs: Which queries count.
        cutoff: The k of the first k positions.
    """
    rows = _Rows(cutoff)
    for query in queries:
        if belongs(query):
            rows.add(query, clicks.get(query.query_id, ()))
    return rows.columns()


class _Rows:
    def __init__(self, cutoff: int) -> None:
        self._cutoff = cutoff
        self._users: dict[str, int] = {}
        self._integers = {
            name: array("q")
            for name in ("user", "in_b", "results", "clicks", "in_k", "first", "win")
        }
        self._latency = array("d")
        self._counts = {"fallbacks": 0, "without a user": 0, "clicks on what was not shown": 0}

    def add(
        self, query: QueryEvent, clicks: Sequence[tuple[datetime, str | None, int | None]]
    ) -> None:
        key = query.client_id or query.session_id
        if key is None:
            self._counts["without a user"] += 1
            return
        positions = self._positions(query, clicks)
        distinct = set(positions)
        teams = str(query.attributes.get(TEAMS, ""))
        row = {
            "user": self._users.setdefault(key, len(self._users)),
            "in_b": query.attributes.get(ARM, "A") != "A",
            "results": len(query.shown),
            "clicks": len(distinct),
            "in_k": sum(position <= self._cutoff for position in distinct),
            "first": positions[0] if positions else 0,
            "win": credit(teams, distinct).win,
        }
        for name, value in row.items():
            self._integers[name].append(int(value))
        self._latency.append(float(query.attributes.get(LATENCY, 0.0)))
        self._counts["fallbacks"] += bool(query.attributes.get(FALLBACK))

    def _positions(
        self, query: QueryEvent, clicks: Sequence[tuple[datetime, str | None, int | None]]
    ) -> list[int]:
        """Clicked positions in the order of the clicks, by what was shown where."""
        found = []
        for _, document, position in sorted(clicks, key=lambda click: click[0]):
            if document in query.shown:
                found.append(query.shown.index(document) + 1)
            elif document is None and position is not None and position <= len(query.shown):
                found.append(position)
            else:
                self._counts["clicks on what was not shown"] += 1
        return found

    def columns(self) -> QueryColumns:
        whole = {name: np.array(values, np.int64) for name, values in self._integers.items()}
        return QueryColumns(
            users=len(self._users),
            user=whole["user"],
            in_b=whole["in_b"] > 0,
            results=whole["results"],
            clicks=whole["clicks"],
            clicks_in_k=whole["in_k"],
            first_rank=whole["first"],
            latency_ms=np.array(self._latency, np.float64),
            win=whole["win"],
            counts={name: count for name, count in self._counts.items() if count},
        )
