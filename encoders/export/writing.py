"""Folders that appear whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from encoders.errors import EncoderError


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A scratch folder beside ``folder`` that takes its place when the block ends well.

    Args:
        folder: Must not exist, or be an empty folder.

    Raises:
        EncoderError: Something is there already, or the folder cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        msg = f"{folder} is there already. Name a new folder, or remove it first."
        raise EncoderError(msg)
    scratch = _scratch_beside(folder)
    try:
        yield scratch
        scratch.chmod(0o755)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch_beside(folder: Path) -> Path:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        msg = f"{folder} cannot be written: {error}"
        raise EncoderError(msg) from error
