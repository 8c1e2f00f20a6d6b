"""A counter on stderr: how many are done, how fast, how long it will take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

EVERY_S = 5.0


@contextmanager
def counting(stream: TextIO, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress: one line that is written over on a terminal, now and then a line elsewhere.

    Args:
        stream: Usually standard error.
        what: What is counted, e.g. ``queries``.
        total: How many there are.
    """
    terminal = stream.isatty()
    started = last = time.monotonic()
    first: int | None = None

    def update(done: int) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = done if first is None else first
        if now - last < (0.2 if terminal else EVERY_S) and done < total:
            return
        last = now
        rate = (done - first) / max(now - started, 1e-6)
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        line = f"{done:,} of {total:,} {what}{left}"
        stream.write(f"\r\x1b[K{line}" if terminal else f"{line}\n")
        stream.flush()

    try:
        yield update
    finally:
        if terminal:
            stream.write("\r\x1b[K")
