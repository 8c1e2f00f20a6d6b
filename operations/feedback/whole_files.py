"""Text files and folders that appear whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import training.whole_files as disk
from operations.feedback.errors import FeedbackError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text file that takes its name only once it is complete and on the disk.

    Raises:
        FeedbackError: It cannot be written.
    """
    with (
        _faults(path),
        disk.whole_file(path) as part,
        part.open("w", encoding="utf-8") as file,
    ):
        yield file


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A folder that takes its name, and another's place, only once it is complete.

    Raises:
        FeedbackError: It cannot be written.
    """
    with _faults(output), disk.whole_folder(output) as folder:
        yield folder


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}"
        raise FeedbackError(msg) from error
