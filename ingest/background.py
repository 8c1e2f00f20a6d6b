"""Run an iterator in a thread of its own, a few items ahead of its consumer."""

import queue
import threading
from collections.abc import Generator, Iterable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.1


class _End:
    """Marks the end of the stream, with the exception that ended it, if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def background(items: Iterable[T], ahead: int = 2) -> Generator[T, None, None]:
    """Iterate in a thread, holding at most ``ahead`` finished items.

    An exception inside the iterator is raised here, at its place in the stream. A consumer that
    stops early ends the thread too.
    """
    buffer: queue.Queue[T | _End] = queue.Queue(maxsize=ahead)
    stopped = threading.Event()
    worker = threading.Thread(target=_fill, args=(items, buffer, stopped), daemon=True)
    worker.start()
    try:
        while True:
            item = buffer.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        worker.join()


def _fill(items: Iterable[T], buffer: "queue.Queue[T | _End]", stopped: threading.Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(item, buffer, stopped):
                return
    except BaseException as error:  # noqa: BLE001 - handed to the consumer, which raises it
        end = _End(error)
    _put(end, buffer, stopped)


def _put(item: "T | _End", buffer: "queue.Queue[T | _End]", stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            buffer.put(item, timeout=_POLL_S)
        except queue.Full:
            continue
        return True
    return False
