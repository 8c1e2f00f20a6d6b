"""A folder that appears whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from operations.feedback.errors import FeedbackError


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """A folder that takes its name, and another's place, only once it is complete.

    Raises:
        FeedbackError: It cannot be written.
    """
    partial = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        partial.mkdir(parents=True)
        yield partial
        _take_place(partial, output)
    except OSError as error:
        msg = f"{output} cannot be written: {error.strerror or error}"
        raise FeedbackError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _take_place(partial: Path, output: Path) -> None:
    if not output.exists():
        partial.replace(output)
        return
    old = output.with_name(f".{output.name}.{os.getpid()}.old")
    output.replace(old)
    try:
        partial.replace(output)
    except OSError:
        old.replace(output)
        raise
    shutil.rmtree(old)
