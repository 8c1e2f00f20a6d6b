"""The log of a run that a person reads: a line for everything that happens, with the time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from operations.retraining.state import stamp

LOG = "job.log"


@dataclass(frozen=True)
class RunLog:
    """Appends lines to ``job.log`` and passes them on.

    Attributes:
        folder: The run's folder.
        echo: Told every line, without the time.
    """

    folder: Path
    echo: Callable[[str], None]

    def __call__(self, text: str) -> None:
        """Write one line."""
        line = " ".join(text.split())
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(f"{stamp()}  {line}\n")
        self.echo(line)
