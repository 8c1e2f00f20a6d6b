"""Progress of a build: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opensearch.cli.support import note, stderr_is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from ingest.pipeline import Progress

LINE_EVERY_S = 5.0


class PlainProgress:
    """A line every few seconds: documents, rate, time left."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._last = self._started

    def update(self, progress: "Progress", total: int | None) -> None:
        """Take the running totals; print now and then."""
        now = time.monotonic()
        if now - self._last < LINE_EVERY_S:
            return
        self._last = now
        note(progress_line(progress, total, now - self._started))


def progress_line(progress: "Progress", total: int | None, seconds: float) -> str:
    """Totals, documents per second and estimated time left, as text."""
    rate = progress.documents / seconds if seconds else 0.0
    of = f" of {total:,}" if total else ""
    left = f", {(total - progress.documents) / rate:.0f} s left" if total and rate else ""
    rejected = f", {progress.rejected} rejected" if progress.rejected else ""
    return f"{progress.documents:,}{of} documents, {rate:.0f} docs/s{left}{rejected}"


class BarProgress:
    """A bar with rate and estimated time left; it appears with the first totals."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._started: float | None = None
        self._task: TaskID | None = None

    def update(self, progress: "Progress", total: int | None) -> None:
        """Take the running totals."""
        if self._task is None or self._started is None:
            self._bar.start()
            self._started = time.monotonic()
            self._task = self._bar.add_task("indexing", total=total, rate="")
        rate = progress.documents / max(time.monotonic() - self._started, 1e-6)
        self._bar.update(
            self._task, completed=progress.documents, total=total, rate=f"{rate:.0f} docs/s"
        )


@contextmanager
def build_progress() -> Iterator[PlainProgress | BarProgress]:
    """Progress that suits where stderr goes."""
    if not stderr_is_terminal():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    try:
        yield BarProgress(bar)
    finally:
        bar.stop()


@contextmanager
def counting(label: str, total: int) -> Iterator[Callable[[int, int], None] | None]:
    """A bar for a loop of known length, on a terminal; elsewhere ``None``.

    Yields:
        Takes the number done and the total.
    """
    if not stderr_is_terminal():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done, _: bar.update(task, completed=done)
