"""Logs as JSON lines: one query or action per line, in the form of the UBI documents."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ingest.readers.lines import Line, bounded_lines, display_name, open_bytes
from operations.feedback.errors import FeedbackError, LineFault
from operations.feedback.events import LogEvent, QueryEvent, UserEvent
from operations.feedback.ubi_documents import document, parse_document
from operations.feedback.whole_files import whole_file
from operations.feedback.windows import Window

MAX_LINE_BYTES = 2**20

OnFault = Callable[[int, str], None]


class LogSource(Protocol):
    """Anything that a log can be read from, more than once: files, or the cluster."""

    def queries(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[QueryEvent]:
        """Queries of a time."""
        ...

    def events(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[UserEvent]:
        """Actions of a time."""
        ...


@dataclass(frozen=True)
class FileLog:
    """A log in files.

    Attributes:
        paths: ``.jsonl`` or ``.jsonl.gz`` files.
        on_fault: Called with the number of a line that cannot be used, and the reason; without
            it such a line is an error.
    """

    paths: tuple[Path, ...]
    on_fault: OnFault | None = None

    def queries(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[QueryEvent]:
        """Queries of a time, in the order of the files."""
        window = Window(since, until)
        for event in self._all():
            if isinstance(event, QueryEvent) and window.holds(event.timestamp):
                yield event

    def events(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[UserEvent]:
        """Actions of a time, in the order of the files."""
        window = Window(since, until)
        for event in self._all():
            if isinstance(event, UserEvent) and window.holds(event.timestamp):
                yield event

    def _all(self) -> Iterator[LogEvent]:
        for path in self.paths:
            for _, event in read_log(path, self.on_fault or _refuse(path)):
                yield event


def read_log(path: Path, on_fault: OnFault) -> Iterator[tuple[int, LogEvent]]:
    """Read one file, a line at a time.

    Args:
        path: ``-`` is standard input.
        on_fault: Called with the number of each line that cannot be used, and the reason. The
            reason never quotes the line, which may hold personal data.

    Yields:
        The number of the line, and what it says.

    Raises:
        FeedbackError: The file cannot be read.
    """
    try:
        with open_bytes(path) as stream:
            for line in bounded_lines(stream, MAX_LINE_BYTES):
                if not line.content.strip():
                    continue
                try:
                    event = _parse(line)
                except LineFault as fault:
                    on_fault(line.number, str(fault))
                else:
                    yield line.number, event
    except (OSError, EOFError) as error:
        msg = f"{display_name(path)} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise FeedbackError(msg) from error


def _parse(line: Line) -> LogEvent:
    if line.overlong:
        msg = f"longer than {MAX_LINE_BYTES // 2**20} MiB"
        raise LineFault(msg)
    try:
        values = json.loads(line.content.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        msg = "not JSON in UTF-8"
        raise LineFault(msg) from error
    if not isinstance(values, dict):
        msg = "not a JSON object"
        raise LineFault(msg)
    return parse_document(values)


def write_log(events: Iterable[LogEvent], path: Path) -> int:
    """Write events as JSON lines; the file appears whole or not at all.

    Returns:
        How many were written.

    Raises:
        FeedbackError: The file cannot be written.
    """
    count = 0
    with whole_file(path) as file:
        for event in events:
            file.write(json.dumps(document(event), ensure_ascii=False) + "\n")
            count += 1
    return count


def _refuse(path: Path) -> OnFault:
    def refuse(number: int, reason: str) -> None:
        msg = (
            f"{display_name(path)}:{number}: {reason}. `tandem feedback import` sets such lines "
            "aside; mend or remove it"
        )
        raise FeedbackError(msg)

    return refuse
