"""Progress of a model's upload: a bar on a terminal, plain lines elsewhere."""

from typing import TYPE_CHECKING

from opensearch.cli.support import note, stderr_is_terminal
from opensearch.ml.upload import PushProgress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STEPS = 10


class PlainProgress:
    """One line per step, and per tenth of an upload."""

    def __init__(self) -> None:
        self._told = 0

    def stage(self, message: str) -> None:
        """Say the step."""
        self._told = 0
        note(message)

    def uploading(self, sent: int, total: int) -> None:
        """Say each tenth once; small uploads are over before anybody reads."""
        step = sent * _STEPS // max(total, 1)
        if step > self._told and total > 10_000_000:
            self._told = step
            note(f"  {sent / 1e6:.0f} of {total / 1e6:.0f} MB")

    def close(self) -> None:
        """Nothing is open."""


class BarProgress:
    """A bar with speed and remaining time."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def stage(self, message: str) -> None:
        """End the bar of the step before, and say the new one."""
        self.close()
        note(message)

    def uploading(self, sent: int, total: int) -> None:
        """Move the bar."""
        if self._bar is None or self._task is None:
            self._open(sent, total)
        else:
            self._bar.update(self._task, completed=sent)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _open(self, sent: int, total: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("chunks", total=total, completed=sent)
        self._bar.start()


class Rendered:
    """A progress for as long as a block runs: ``with Rendered() as progress``."""

    def __init__(self) -> None:
        self._progress = BarProgress() if stderr_is_terminal() else PlainProgress()

    def __enter__(self) -> PushProgress:
        return self._progress

    def __exit__(self, *_: object) -> None:
        self._progress.close()
