"""From JSON lines into the cluster's log."""

import json
import logging
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from encoders.batching import batched
from operations.feedback.errors import FeedbackError
from operations.feedback.events import LogEvent, QueryEvent, UserEvent
from operations.feedback.log_files import read_log
from operations.feedback.ubi import UbiLog

logger = logging.getLogger(__name__)

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Imported:
    """Outcome of an import.

    Attributes:
        queries: Queries that are in the cluster now.
        events: Actions that are.
        rejected: Lines that were set aside.
        rejects: The file that says which and why; ``None`` without any.
        seconds: How long it took.
    """

    queries: int
    events: int
    rejected: int
    rejects: Path | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        rejects = str(self.rejects) if self.rejects else None
        return {**asdict(self), "rejects": rejects, "seconds": round(self.seconds, 2)}


def import_log(log: UbiLog, path: Path, rejects: Path) -> Imported:
    """Write a file into the log. Started again, it writes the same documents again: no doubles.

    Args:
        log: The log in the cluster.
        path: JSON lines; ``-`` is standard input.
        rejects: File for the lines that cannot be used. It names the line and the reason and
            quotes nothing; without such lines an old one is removed.

    Raises:
        FeedbackError: The file cannot be read, or holds no usable line.
        SearchBackendError: The cluster failed; what was written before stays.
    """
    started = time.perf_counter()
    counts: Counter[str] = Counter()
    with _Rejects(rejects, path) as faults:
        lines = read_log(path, faults.write)
        for batch in batched(lines, _BATCH):
            _store(log, batch, counts, faults)
            logger.info("%d queries and %d actions stored", counts["queries"], counts["events"])
    log.refresh()
    if not counts.total():
        msg = f"{path} holds no query and no action ({faults.count} lines set aside)"
        raise FeedbackError(msg)
    return Imported(
        queries=counts["queries"],
        events=counts["events"],
        rejected=faults.count,
        rejects=rejects if faults.count else None,
        seconds=time.perf_counter() - started,
    )


def _store(
    log: UbiLog, batch: list[tuple[int, LogEvent]], counts: Counter[str], faults: "_Rejects"
) -> None:
    queries = [event for _, event in batch if isinstance(event, QueryEvent)]
    events = [event for _, event in batch if isinstance(event, UserEvent)]
    recorded = log.record(queries, events)
    counts["queries"] += recorded.queries
    counts["events"] += recorded.events
    refused = dict(recorded.refused)
    for number, event in batch if refused else ():
        if reason := refused.get(log.stored_id(event)):
            faults.write(number, f"OpenSearch: {reason}")


class _Rejects:
    """Lines that were set aside; the file appears with the first of them."""

    def __init__(self, path: Path, source: Path) -> None:
        self._path, self._source = path, source
        self._file: TextIO | None = None
        self.count = 0

    def __enter__(self) -> "_Rejects":
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, number: int, reason: str) -> None:
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("w", encoding="utf-8")
            line = {"file": str(self._source), "line": number, "reason": reason}
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        except OSError as error:
            msg = f"the rejects file {self._path} cannot be written: {error.strerror or error}"
            raise FeedbackError(msg) from error
        self.count += 1
