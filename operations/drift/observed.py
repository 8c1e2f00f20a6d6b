"""Queries as they were asked: from the cluster's log, a log file, a BEIR folder or a list."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from operations.feedback.errors import FeedbackError
from operations.feedback.events import QueryEvent
from operations.feedback.exporting import client_of
from operations.feedback.log_files import FileLog, LogSource
from operations.feedback.windows import Window
from training.data.normalising import text_key
from training.errors import EvaluationError
from training.evaluation.datasets import load_queries
from training.evaluation.lines import numbered_lines


@dataclass(frozen=True, slots=True)
class ObservedQuery:
    """A query, and what is known of its answer.

    Attributes:
        text: The query.
        results: How many results were shown; ``None`` if that is not known.
        scores: Their scores, best first, where the log has them.
        client: Who asked; empty if that is not known.
    """

    text: str
    results: int | None = None
    scores: tuple[float, ...] = ()
    client: str = ""


def observed_in_log(
    log: LogSource, window: Window, index: str | None = None
) -> Iterator[ObservedQuery]:
    """Queries of a time; a client who asks the same again counts once.

    Args:
        log: The log.
        window: Which time.
        index: Only queries that this index answered; queries that name none count too.
    """
    seen: set[tuple[str, str]] = set()
    for query in log.queries(window.since, window.until):
        if index is not None and query.index not in (None, index):
            continue
        client = client_of(query)
        asked = (client, text_key(query.user_query))
        if client and asked in seen:
            continue
        seen.add(asked)
        yield ObservedQuery(query.user_query, len(query.shown), _scores(query), client)


def observed_in_file(path: Path, index: str | None = None) -> tuple[Iterator[ObservedQuery], bool]:
    """Queries of a log (JSON lines), a BEIR folder or its ``queries.jsonl``, or lines of text.

    Args:
        path: The file or folder.
        index: As for :func:`observed_in_log`.

    Returns:
        The queries, and whether each stands there once: in a log frequent ones come often.

    Raises:
        FeedbackError: There is nothing to read.
    """
    if path.is_dir():
        return _evaluation_queries(path / "queries.jsonl"), True
    first = _first_line(path)
    if first is None:
        msg = f"{path} is empty; expected queries, one per line"
        raise FeedbackError(msg)
    if not first.startswith("{"):
        return _plain(path), True
    if '"user_query"' in first or '"action_name"' in first:
        return observed_in_log(FileLog((path,)), Window(), index), False
    return _evaluation_queries(path), True


def _evaluation_queries(path: Path) -> Iterator[ObservedQuery]:
    try:
        for query in load_queries(path).values():
            yield ObservedQuery(query.text)
    except EvaluationError as error:
        raise FeedbackError(str(error)) from error


def _plain(path: Path) -> Iterator[ObservedQuery]:
    try:
        for _, line in numbered_lines(path):
            yield ObservedQuery(line.strip())
    except EvaluationError as error:
        raise FeedbackError(str(error)) from error


def _first_line(path: Path) -> str | None:
    try:
        return next((line.lstrip() for _, line in numbered_lines(path)), None)
    except EvaluationError as error:
        raise FeedbackError(str(error)) from error


def _scores(query: QueryEvent) -> tuple[float, ...]:
    found = query.attributes.get("scores")
    if isinstance(found, str):  # some collectors write attributes as text
        try:
            found = json.loads(found)
        except ValueError:
            return ()
    if not isinstance(found, list) or not all(isinstance(s, int | float) for s in found):
        return ()
    return tuple(float(score) for score in found)
