"""Lines of a byte stream, none of them held beyond a limit."""

import gzip
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

STDIN = Path("-")
KEPT_OF_OVERLONG = 500
SKIP_STEP = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its line feed; of an overlong one only the beginning."""

    number: int
    content: bytes
    overlong: bool = False


def open_bytes(path: Path) -> AbstractContextManager[BinaryIO]:
    """Open a file, a gzip file (by its suffix) or, for ``-``, stdin."""
    if path == STDIN:
        return nullcontext(sys.stdin.buffer)
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def display_name(path: Path) -> str:
    """How a path stands in an origin."""
    return "<stdin>" if path == STDIN else str(path)


def bounded_lines(stream: BinaryIO, limit: int) -> Iterator[Line]:
    """Yield the lines of a stream, reading at most ``limit`` bytes of each into memory."""
    number = 0
    while content := stream.readline(limit + 1):
        number += 1
        if len(content) > limit and not content.endswith(b"\n"):
            _skip_rest_of_line(stream)
            yield Line(number, content[:KEPT_OF_OVERLONG], overlong=True)
        else:
            yield Line(number, content.rstrip(b"\r\n"))


def _skip_rest_of_line(stream: BinaryIO) -> None:
    while piece := stream.readline(SKIP_STEP):
        if piece.endswith(b"\n"):
            return
