"""Which queries a shadow check asks: a sample of the traffic, the same every time."""

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from operations.drift.observed import observed_in_file
from operations.feedback.exporting import DEFAULT_MIN_CLIENTS, count_clients
from operations.feedback.log_files import LogSource
from operations.feedback.windows import Window
from operations.shadow.comparing import ShadowQuery
from training.data.normalising import text_key

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which queries.

    Attributes:
        limit: How many.
        seed: Another seed takes others.
        index: Only queries that this index answered; queries that name none count too.
        min_clients: Queries that fewer clients issued are asked, but not quoted.
    """

    limit: int
    seed: int = 0
    index: str | None = None
    min_clients: int = DEFAULT_MIN_CLIENTS


def sample_log(log: LogSource, window: Window, sampling: Sampling) -> list[ShadowQuery]:
    """Queries of a time, frequent ones as often as they were asked.

    Args:
        log: The log.
        window: Which time.
        sampling: Which of them.
    """
    clients = count_clients(log, window, sampling.min_clients)
    asked = (
        (query.query_id, query.user_query)
        for query in log.queries(window.since, window.until)
        if sampling.index is None or query.index in (None, sampling.index)
    )
    return [ShadowQuery(text, clients.enough(text_key(text))) for text in sample(asked, sampling)]


def sample_file(path: Path, sampling: Sampling) -> list[ShadowQuery]:
    """Queries of a file: a log, a BEIR folder or its queries, or lines of text.

    Args:
        path: The file or folder.
        sampling: Which of them.

    Raises:
        FeedbackError: There is nothing to read.
    """
    queries, _ = observed_in_file(path, sampling.index)
    named = ((str(number), query.text) for number, query in enumerate(queries))
    return [ShadowQuery(text) for text in sample(named, sampling)]


def sample(named: Iterable[tuple[str, Value]], sampling: Sampling) -> list[Value]:
    """The values whose names' digests are the smallest: a uniform sample in one pass.

    Args:
        named: Names, each once, and values.
        sampling: How many.
    """
    keyed = (
        (_digest(name, sampling.seed), place, value) for place, (name, value) in enumerate(named)
    )
    chosen = heapq.nsmallest(sampling.limit, keyed, key=lambda entry: entry[:2])
    # In the order in which they were asked.
    return [value for _, _, value in sorted(chosen, key=lambda entry: entry[1])]


def _digest(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
