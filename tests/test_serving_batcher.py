"""Batching across requests: budgets, turns, faults, refusals."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.batcher import Batcher, BatchReport
from serving.config import Batching
from serving.errors import OverloadedError, StoppingError
from serving.tasks import Task
from serving.worker import Worker

T = TypeVar("T")


class Recorder:
    """Upper-cases texts; fails on some, and writes down what came together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.reports: list[BatchReport] = []

    def encode(self, texts: Sequence[str]) -> list[str]:
        self.batches.append(list(texts))
        if "bad" in texts:
            msg = "bad"
            raise ValueError(msg)
        if "short" in texts:
            return []
        return [text.upper() for text in texts]


def count(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def with_batcher(
    scenario: Callable[[Batcher[str, str], Recorder], Awaitable[T]],
    *,
    tokens: int = 100,
    rows: int = 10,
    max_tokens: int = 50,
    batching: Batching | None = None,
) -> T:
    async def run() -> T:
        recorder = Recorder()
        task = Task("dense", "query", recorder.encode, count, max_tokens, tokens, rows)
        worker = Worker("test")
        chosen = batching or Batching(wait_ms=5)
        batcher = Batcher(task, worker, chosen, recorder.reports.append)
        running = asyncio.create_task(batcher.run())
        try:
            return await scenario(batcher, recorder)
        finally:
            running.cancel()
            worker.stop()

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_requests_share_a_batch() -> None:
    async def scenario(batcher: Batcher[str, str], recorder: Recorder) -> None:
        found = await asyncio.gather(*(batcher.submit([f"a{n}", f"b{n}"]) for n in range(4)))
        assert [entry.rows for entry in found] == [[f"A{n}", f"B{n}"] for n in range(4)]
        assert len(recorder.batches) == 1
        assert {entry.batch for entry in found} == {8}
        assert recorder.reports[0].texts == 8
        assert recorder.reports[0].tokens == 16

    # All four arrive within this time on a busy machine, too.
    with_batcher(scenario, batching=Batching(wait_ms=500))


def test_requests_take_turns() -> None:
    async def scenario(batcher: Batcher[str, str], recorder: Recorder) -> None:
        many = asyncio.ensure_future(batcher.submit([f"m{n}" for n in range(30)]))
        one = await batcher.submit(["q"])
        assert one.rows == ["Q"]
        assert not many.done()
        assert "q" in recorder.batches[0]
        assert (await many).rows == [f"M{n}" for n in range(30)]

    with_batcher(scenario, batching=Batching(wait_ms=20), rows=5)


def test_a_long_text_makes_a_batch_of_its_own() -> None:
    async def scenario(batcher: Batcher[str, str], recorder: Recorder) -> None:
        found = await batcher.submit(["x" * 40, "y" * 200, "z"])
        assert [len(batch) for batch in recorder.batches] == [1, 2]
        assert found.tokens == 40 + 50 + 1
        assert found.cut == 1

    with_batcher(scenario, tokens=60)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=8), min_size=1, max_size=6))
def test_every_text_is_encoded_once_within_the_budget(sizes: list[list[int]]) -> None:
    async def scenario(batcher: Batcher[str, str], recorder: Recorder) -> None:
        texts = [[chr(97 + n) * size for size in own] for n, own in enumerate(sizes)]
        found = await asyncio.gather(*(batcher.submit(own) for own in texts))
        assert [entry.rows for entry in found] == [[t.upper() for t in own] for own in texts]
        flat = [text for batch in recorder.batches for text in batch]
        assert sorted(flat) == sorted(text for own in texts for text in own)
        for batch in recorder.batches:
            assert len(batch) <= 4
            assert len(batch) == 1 or sum(map(len, batch)) <= 40
        assert batcher.waiting == 0

    with_batcher(scenario, tokens=40, rows=4, batching=Batching(wait_ms=0))


def test_a_fault_stays_with_its_request() -> None:
    async def scenario(batcher: Batcher[str, str], recorder: Recorder) -> list[Any]:
        return await asyncio.gather(
            batcher.submit(["good"]),
            batcher.submit(["fine", "bad"]),
            batcher.submit(["well"]),
            return_exceptions=True,
        )

    good, bad, well = with_batcher(scenario)
    assert good.rows == ["GOOD"]
    assert isinstance(bad, ValueError)
    assert well.rows == ["WELL"]


def test_a_missing_result_is_an_error_and_no_wait_for_ever() -> None:
    async def scenario(batcher: Batcher[str, str], _: Recorder) -> None:
        with pytest.raises(Exception, match="0 results for 1 texts"):
            await batcher.submit(["short"])
        assert (await batcher.submit(["next"])).rows == ["NEXT"]

    with_batcher(scenario)


def test_a_cancelled_request_is_dropped_and_harms_nobody() -> None:
    async def scenario(batcher: Batcher[str, str], recorder: Recorder) -> None:
        gone = asyncio.ensure_future(batcher.submit(["gone"]))
        stays = asyncio.ensure_future(batcher.submit(["stays"]))
        await asyncio.sleep(0.01)
        gone.cancel()
        assert (await stays).rows == ["STAYS"]
        assert recorder.batches == [["stays"]]
        assert batcher.waiting == 0

    with_batcher(scenario, batching=Batching(wait_ms=100))


def test_beyond_the_queue_requests_are_refused_at_once() -> None:
    async def scenario(batcher: Batcher[str, str], _: Recorder) -> None:
        first = asyncio.ensure_future(batcher.submit(["a"] * 8))
        await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError) as refused:
            await batcher.submit(["b"] * 3)
        assert refused.value.status == 503
        assert refused.value.retry_after is not None and refused.value.retry_after >= 1
        second = batcher.submit(["c"] * 2)
        assert [len(f.rows) for f in await asyncio.gather(first, second)] == [8, 2]

    with_batcher(scenario, batching=Batching(wait_ms=50, queue=10), rows=20)


def test_batches_of_one_when_batching_is_off() -> None:
    async def scenario(batcher: Batcher[str, str], recorder: Recorder) -> None:
        await asyncio.gather(*(batcher.submit([f"t{n}"]) for n in range(5)))
        assert [len(batch) for batch in recorder.batches] == [1] * 5

    with_batcher(scenario, batching=Batching(wait_ms=0, max_texts=1))


def test_a_stop_fails_what_waits_and_what_comes() -> None:
    async def scenario(batcher: Batcher[str, str], _: Recorder) -> None:
        waiting = asyncio.ensure_future(batcher.submit(["a"]))
        await asyncio.sleep(0.01)
        batcher.stop()
        for entry in (waiting, batcher.submit(["b"])):
            with pytest.raises(StoppingError):
                await entry

    with_batcher(scenario, batching=Batching(wait_ms=500))


def test_the_wait_for_company_is_bounded() -> None:
    async def scenario(batcher: Batcher[str, str], _: Recorder) -> float:
        loop = asyncio.get_running_loop()
        started = loop.time()
        await batcher.submit(["alone"])
        return loop.time() - started

    assert 0.05 <= with_batcher(scenario, batching=Batching(wait_ms=50)) < 1.0
