"""Text files read line by line, so that every fault can name its line."""

from collections.abc import Iterator
from pathlib import Path

from training.errors import EvaluationError


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their 1-based number, without their line end.

    Raises:
        EvaluationError: The file cannot be read, or a line is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    msg = f"{path}:{number}: not UTF-8 ({error.reason}); save the file as UTF-8"
                    raise EvaluationError(msg) from error
                if line.strip():
                    yield number, line
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise EvaluationError(msg) from error
