"""The log that costs a search nothing: events wait in memory and are written by a thread."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from opensearch.errors import SearchBackendError
from operations.errors import OperationsError
from operations.feedback.events import LogEvent, QueryEvent, UserEvent

logger = logging.getLogger(__name__)

CAPACITY = 10_000
BATCH = 500
INTERVAL_S = 1.0


class Recorded(Protocol):
    """What a write says of itself."""

    @property
    def refused(self) -> Sequence[object]:
        """What was not taken."""
        ...


Write = Callable[[Sequence[QueryEvent], Sequence[UserEvent]], Recorded]


@dataclass(frozen=True, slots=True)
class LogCounts:
    """Events by their fate."""

    written: int
    waiting: int
    dropped: int


class BackgroundLog:
    """Takes events without waiting, and writes them every second.

    What cannot be written is tried again as long as there is room; beyond it, new events are
    dropped and counted. Writing an event twice does no harm: it replaces itself.

    Args:
        write: Writes queries and actions.
        capacity: Events that may wait.
        interval_s: Seconds between two writes.
    """

    def __init__(
        self, write: Write, capacity: int = CAPACITY, interval_s: float = INTERVAL_S
    ) -> None:
        self._write = write
        self._capacity = capacity
        self._interval_s = interval_s
        self._waiting: deque[LogEvent] = deque()
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._written = self._dropped = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="search-log", daemon=True)

    def __enter__(self) -> "BackgroundLog":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(10 * self._interval_s)
        self.flush()
        if self._waiting:
            logger.warning("%d events of the search log were not written", len(self._waiting))

    @property
    def counts(self) -> LogCounts:
        """How many events were written, wait, and were dropped."""
        with self._lock:
            return LogCounts(self._written, len(self._waiting), self._dropped)

    def put(self, event: LogEvent) -> bool:
        """Take an event; whether there was room."""
        with self._lock:
            if len(self._waiting) >= self._capacity:
                self._dropped += 1
                return False
            self._waiting.append(event)
            return True

    def flush(self) -> None:
        """Write what waits; what fails waits on."""
        with self._flushing:
            while self._write_batch():
                pass

    def _write_batch(self) -> bool:
        """Whether a batch was written and more may wait."""
        with self._lock:
            batch = list(islice(self._waiting, BATCH))
        if not batch:
            return False
        queries = [event for event in batch if isinstance(event, QueryEvent)]
        actions = [event for event in batch if isinstance(event, UserEvent)]
        try:
            refused = len(self._write(queries, actions).refused)
        except (SearchBackendError, OperationsError) as error:
            logger.warning(
                "the search log cannot be written, %d events wait: %s", len(batch), error
            )
            return False
        with self._lock:
            for _ in batch:
                self._waiting.popleft()
            self._written += len(batch) - refused
            self._dropped += refused
        if refused:
            logger.warning("%d events of the search log were refused", refused)
        return True

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            self.flush()
