"""A thread that runs ahead of its consumer, a little, and ends with it."""

import threading
import time
from collections.abc import Iterator

import pytest

from ingest.background import background


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before]
    assert not left


class Counter:
    """Counts up, and how far it was asked to."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.given = 0

    def __iter__(self) -> Iterator[int]:
        for number in range(self.end):
            self.given = number + 1
            yield number


def wait_for(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)
    assert condition()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_items_arrive_in_order(count: int) -> None:
    assert list(background(range(count))) == list(range(count))


def test_falsy_items_are_items() -> None:
    assert list(background([None, 0, "", [], False])) == [None, 0, "", [], False]


def test_it_works_in_another_thread() -> None:
    def names() -> Iterator[str]:
        yield threading.current_thread().name

    assert list(background(names())) != [threading.current_thread().name]


@pytest.mark.parametrize("ahead", [1, 3])
def test_it_runs_ahead_but_not_far(ahead: int) -> None:
    source = Counter(100)
    stream = background(source, ahead)
    next(stream)
    # One was taken, `ahead` wait, one is in the thread's hands.
    wait_for(lambda: source.given == ahead + 2)
    time.sleep(0.05)
    assert source.given == ahead + 2
    stream.close()


@pytest.mark.parametrize("error", [ValueError("bad"), KeyError("k"), MemoryError()], ids=repr)
def test_an_exception_is_raised_at_its_place(error: Exception) -> None:
    def fails() -> Iterator[int]:
        yield 1
        yield 2
        raise error

    stream = background(fails())
    assert [next(stream), next(stream)] == [1, 2]
    with pytest.raises(type(error)) as raised:
        next(stream)
    assert raised.value is error


def test_a_consumer_that_stops_ends_the_thread_and_the_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1_000_000)
        finally:
            closed.set()

    stream = background(source())
    assert next(stream) == 0
    stream.close()
    del stream
    wait_for(closed.is_set)


def test_a_consumer_that_fails_ends_the_thread() -> None:
    source = Counter(1_000_000)
    with pytest.raises(RuntimeError, match="consumer"):
        for _ in background(source):
            raise RuntimeError("consumer")
    assert source.given < 10


def test_a_stream_that_is_never_asked_starts_no_thread() -> None:
    source = Counter(10)
    stream = background(source)
    stream.close()
    assert source.given == 0


def test_streams_in_a_row() -> None:
    doubled = background(2 * item for item in background(range(50)))
    assert list(background(item + 1 for item in doubled)) == list(range(1, 101, 2))
