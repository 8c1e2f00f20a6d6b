"""Files and folders that appear whole or not at all: made beside their place, then renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LEFTOVER = ".unfinished-"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write a file that takes its name only once it is complete and on the disk.

    Args:
        path: Its place; the folder is made where it is missing. A file that is there stays as it
            is until then.

    Raises:
        OSError: The disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{_LEFTOVER}{path.name}.{os.getpid()}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """An empty folder that takes the place of ``target`` once the block ends without a fault.

    Raises:
        OSError: The disk refuses; ``target`` is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=_LEFTOVER, dir=target.parent))
    try:
        yield new
        new.chmod(0o755)  # a temporary folder is for its owner only; a model is not
        _take_place(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left in a folder that nobody else writes to."""
    for leftover in list(folder.rglob(f"{_LEFTOVER}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def _take_place(new: Path, target: Path) -> None:
    if not target.exists():
        new.replace(target)
        return
    old = Path(tempfile.mkdtemp(prefix=_LEFTOVER, dir=target.parent)) / "old"
    target.replace(old)
    try:
        new.replace(target)
    except OSError:
        old.replace(target)
        raise
    finally:
        shutil.rmtree(old.parent)
