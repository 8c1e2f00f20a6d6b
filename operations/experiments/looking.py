"""Look at an experiment in the cluster: read its log, report, and keep the look."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from opensearch.indices import index_exists
from operations.experiments.columns import QueryColumns
from operations.experiments.experiment import Experiment
from operations.experiments.reading import Log, read_before, read_experiment
from operations.experiments.report import Report, evaluate
from operations.experiments.store import ExperimentStore
from operations.feedback.events import QueryEvent
from operations.feedback.ubi import UbiLog
from operations.feedback.ubi_mappings import EVENTS_INDEX, QUERIES_INDEX


def look(client: Any, name: str) -> Report:
    """Report on an experiment, from the log as it is now.

    Where somebody else makes a look at the same moment, the report is made again behind it.

    Args:
        client: The client.
        name: The experiment, or its index.

    Raises:
        NoExperimentError: There is none.
        SearchBackendError: OpenSearch failed.
    """
    store = ExperimentStore(client)
    experiment = store.find(name).experiment
    columns = read_columns(client, experiment)
    reports: list[Report] = []

    def with_look(found: Experiment) -> Experiment:
        current = found if found.phases == experiment.phases else experiment
        reports.append(evaluate(current, columns, datetime.now(UTC)))
        return replace(found, looks=reports[-1].experiment.looks) if current is found else found

    if experiment.running:
        store.change(experiment.name, with_look)
        return reports[-1]
    return evaluate(experiment, columns, datetime.now(UTC))


def read_columns(client: Any, experiment: Experiment) -> QueryColumns:
    """The queries of an experiment's current phase; none where nothing has been logged yet."""
    log = _log(client)
    return read_experiment(log, experiment) if log else no_columns()


def read_index(client: Any, index: str, since: datetime, cutoff: int) -> QueryColumns:
    """All queries of an index since a moment; none where nothing has been logged yet."""
    log = _log(client)
    return read_before(log, index, since, cutoff) if log else no_columns()


def _log(client: Any) -> Log | None:
    """The log as far as it exists: it is made with its first entry."""
    if not index_exists(client, QUERIES_INDEX):
        return None
    log = UbiLog(client)
    return log if index_exists(client, EVENTS_INDEX) else _WithoutActions(log)


class _WithoutActions:
    """A log in which nobody has clicked on anything yet."""

    def __init__(self, log: UbiLog) -> None:
        self._log = log

    def queries(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterable[QueryEvent]:
        return self._log.queries(since, until)

    def events(self, since: datetime | None = None, until: datetime | None = None) -> tuple[()]:
        return ()


def no_columns() -> QueryColumns:
    """No queries."""
    whole, flags = np.zeros(0, np.int64), np.zeros(0, bool)
    return QueryColumns(
        users=0,
        user=whole,
        in_b=flags,
        results=whole,
        clicks=whole,
        clicks_in_k=whole,
        first_rank=whole,
        latency_ms=np.zeros(0),
        win=whole,
    )
