"""A source that can be read more than once, whatever it was."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STDIN = Path("-")


@contextmanager
def spooled(source: Path) -> Iterator[Path]:
    """Yield the source, or a temporary copy on disk where it is stdin."""
    if source != STDIN:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        copy = Path(folder) / "stdin.jsonl"
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield copy
