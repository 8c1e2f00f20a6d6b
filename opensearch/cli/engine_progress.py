"""The engine's progress on a terminal (a bar) and elsewhere (plain lines)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opensearch.cli.support import note, stderr_is_terminal
from opensearch.local.progress import EngineProgress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STEPS = 10


class PlainProgress:
    """One line per step, and per tenth of a download."""

    def __init__(self) -> None:
        self._size = 0
        self._received = 0
        self._told = 0

    def stage(self, message: str) -> None:
        """Say the step."""
        note(message)

    def downloads(self, files: int, size: int) -> None:
        """Say how much will come."""
        self._size, self._received, self._told = size, 0, 0
        note(f"  {files} files, about {size / 1e6:.0f} MB")

    def received(self, size: int) -> None:
        """Say each tenth once."""
        self._received += size
        step = self._received * _STEPS // max(self._size, 1)
        if self._told < step <= _STEPS:
            self._told = step
            note(f"  {self._received / 1e6:.0f} of {self._size / 1e6:.0f} MB")

    def file_done(self, name: str) -> None:
        """Too much for plain lines."""


class RichProgress:
    """A bar with speed and remaining time."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._files = 0
        self._done = 0

    def stage(self, message: str) -> None:
        """End the bar of the step before, and say the new one."""
        self.close()
        note(message)

    def downloads(self, files: int, size: int) -> None:
        """Show an empty bar."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._files, self._done = files, 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(f"0/{files} files", total=size)
        self._bar.start()

    def received(self, size: int) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, size)

    def file_done(self, name: str) -> None:
        """Count the file."""
        self._done += 1
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=f"{self._done}/{self._files} files")

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class Rendered:
    """A progress for as long as a block runs: `with Rendered() as progress`."""

    def __init__(self) -> None:
        self._progress = RichProgress() if stderr_is_terminal() else PlainProgress()

    def __enter__(self) -> EngineProgress:
        return self._progress

    def __exit__(self, *_: object) -> None:
        if isinstance(self._progress, RichProgress):
            self._progress.close()
