"""What the server did, written into the cluster every few seconds: counts and latencies per route.

No texts, no tokens of texts: the same figures as ``/metrics``, kept for Dashboards.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np

from opensearch.errors import SearchBackendError
from serving.records import RequestRecord

logger = logging.getLogger(__name__)

INTERVAL_S = 10.0
# Latencies kept per route and interval: enough for a percentile, bounded under any load.
MOST_SAMPLES = 4096
_REFUSED = frozenset({401, 413, 422, 429, 503})

Write = Callable[[Sequence[Mapping[str, Any]]], object]


class Recorder(Protocol):
    """Is told of every request."""

    def note(self, route: str, record: RequestRecord, seconds: float) -> None:
        """One request has been answered."""
        ...


class NoRecorder:
    """Keeps nothing."""

    def note(self, route: str, record: RequestRecord, seconds: float) -> None:
        """Forget it."""


@dataclass(slots=True)
class _Tally:
    requests: int = 0
    errors: int = 0
    refused: int = 0
    texts: int = 0
    tokens: int = 0
    ms: list[float] = field(default_factory=list)

    def add(self, record: RequestRecord, seconds: float) -> None:
        self.requests += 1
        self.refused += record.status in _REFUSED
        self.errors += record.status >= 500 and record.status not in _REFUSED
        self.texts += record.texts
        self.tokens += record.tokens
        if len(self.ms) < MOST_SAMPLES:
            self.ms.append(seconds * 1000)


class Recording:
    """Sums requests up per route, and writes the sums in a thread of its own.

    A cluster that cannot be reached costs the sums of that time, never a request.

    Args:
        write: Keeps documents in the form of ``opensearch.measurements``.
        server: What this server is called among others.
        models: Which encoders it serves, by kind.
        interval_s: Seconds between two writes.
    """

    def __init__(
        self, write: Write, server: str, models: Mapping[str, str], interval_s: float = INTERVAL_S
    ) -> None:
        self._write = write
        self._shared = {"server": server, **models}
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._tallies: dict[str, _Tally] = {}
        self._since = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)

    def __enter__(self) -> "Recording":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(self._interval_s)
        self.flush()

    def note(self, route: str, record: RequestRecord, seconds: float) -> None:
        """One request has been answered."""
        with self._lock:
            self._tallies.setdefault(route, _Tally()).add(record, seconds)

    def flush(self) -> None:
        """Write what has come together since the last time."""
        with self._lock:
            tallies, self._tallies = self._tallies, {}
            now = time.monotonic()
            spent, self._since = now - self._since, now
        documents = list(self._documents(tallies, spent))
        if not documents:
            return
        try:
            self._write(documents)
        except SearchBackendError as error:
            logger.warning("The figures of the last %.0f s could not be kept: %s", spent, error)

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            self.flush()

    def _documents(self, tallies: Mapping[str, _Tally], spent: float) -> Iterator[dict[str, Any]]:
        stamp = datetime.now(UTC).isoformat()
        for route, tally in tallies.items():
            p50, p95, highest = (float(p) for p in np.percentile(tally.ms, [50, 95, 100]))
            yield {
                "@timestamp": stamp,
                **self._shared,
                "route": route,
                "requests": tally.requests,
                "errors": tally.errors,
                "refused": tally.refused,
                "texts": tally.texts,
                "tokens": tally.tokens,
                "p50_ms": round(p50, 2),
                "p95_ms": round(p95, 2),
                "max_ms": round(highest, 2),
                "seconds": round(spent, 1),
            }
