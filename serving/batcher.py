"""Puts the texts of several requests into one batch, and hands each request its own results."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from serving.config import Batching
from serving.errors import OverloadedError, ServingError, StoppingError
from serving.tasks import Task
from serving.worker import Worker

logger = logging.getLogger(__name__)

I = TypeVar("I")  # noqa: E741  # input and output
O = TypeVar("O")  # noqa: E741

_LONGEST_RETRY_S = 30


@dataclass(frozen=True, slots=True)
class Encoded(Generic[O]):
    """What became of a request's texts.

    Attributes:
        rows: One result per text.
        tokens: Tokens that were encoded.
        cut: Texts that were longer than the encoder reads.
        batch: Texts of the largest batch the request had part in.
    """

    rows: list[O]
    tokens: int
    cut: int
    batch: int


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch, for the metrics.

    Attributes:
        texts: Texts in it.
        tokens: Their tokens.
        seconds: Time the encoder took.
    """

    texts: int
    tokens: int
    seconds: float


@dataclass(eq=False, slots=True)
class _Job(Generic[I, O]):
    """One request's texts: taken from the front, done in any order."""

    items: Sequence[I]
    costs: Sequence[int]
    done: "asyncio.Future[None]"
    rows: dict[int, O] = field(default_factory=dict)
    taken: int = 0
    batch: int = 0

    @property
    def waiting(self) -> int:
        return len(self.items) - self.taken

    def give(self, rows: dict[int, O], batch: int) -> None:
        self.rows |= rows
        self.batch = max(self.batch, batch)
        if len(self.rows) == len(self.items) and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Entry(Generic[I, O]):
    """One text of a job."""

    job: _Job[I, O]
    place: int

    @property
    def item(self) -> I:
        return self.job.items[self.place]

    @property
    def cost(self) -> int:
        return self.job.costs[self.place]


class Batcher(Generic[I, O]):
    """Collects texts for one side of one encoder.

    Requests take turns, one text each, so that a single query does not wait for a thousand
    documents of someone else. A batch is put together when the encoder becomes free: the busier
    it is, the larger they get.

    Args:
        task: What is done with the texts.
        worker: The encoder's thread.
        settings: Wait and queue.
        report: Called after each batch.
    """

    def __init__(
        self,
        task: Task[I, O],
        worker: Worker,
        settings: Batching,
        report: Callable[[BatchReport], None] = lambda _: None,
    ) -> None:
        self.task = task
        self._worker = worker
        self._settings = settings
        self._report = report
        self._rows = min(task.max_rows, settings.max_texts or task.max_rows)
        self._jobs: deque[_Job[I, O]] = deque()
        self._open: set[_Job[I, O]] = set()
        self._waiting = 0
        self._tokens = 0
        self._first = 0.0
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._tokens_per_s = 0.0
        self._stopped = False

    @property
    def waiting(self) -> int:
        """Texts that wait."""
        return self._waiting

    async def submit(self, items: Sequence[I]) -> Encoded[O]:
        """Encode texts, together with those of others.

        Raises:
            OverloadedError: Too many texts wait already.
            StoppingError: The server is going down.
        """
        self._admit(len(items))
        job: _Job[I, O] | None = None
        try:
            counts = await self._worker.count(self.task.count, items)
            costs = [min(count, self.task.max_tokens) for count in counts]
            job = _Job(items, costs, asyncio.get_running_loop().create_future())
            self._enqueue(job)
            await job.done
        finally:
            self._leave(job, len(items))
        cut = sum(count > self.task.max_tokens for count in counts)
        return Encoded([job.rows[n] for n in range(len(items))], sum(costs), cut, job.batch)

    async def run(self) -> None:
        """Form batches until cancelled."""
        while True:
            await self._arrived.wait()
            await self._gather()
            async with self._worker.free:
                batch = self._take()
                if batch:
                    await self._encode(batch)

    def stop(self) -> None:
        """Refuse what comes and fail what waits or is being encoded."""
        self._stopped = True
        for job in self._open:
            job.fail(StoppingError())

    def _admit(self, count: int) -> None:
        if self._stopped:
            raise StoppingError
        if self._waiting + count > self._settings.queue:
            rate = self._tokens_per_s
            wait = math.ceil(self._tokens / rate) if rate else 1
            msg = (
                f"{self._waiting} texts wait for the {self.task.name} encoder, {count} more would "
                f"be above the limit of {self._settings.queue}. Ask again later."
            )
            raise OverloadedError(msg, min(max(1, wait), _LONGEST_RETRY_S))
        self._waiting += count

    def _enqueue(self, job: _Job[I, O]) -> None:
        if self._stopped:
            raise StoppingError
        if not self._jobs:
            self._first = time.monotonic()
        self._jobs.append(job)
        self._open.add(job)
        self._tokens += sum(job.costs)
        self._arrived.set()
        if self._is_enough():
            self._enough.set()

    def _leave(self, job: _Job[I, O] | None, count: int) -> None:
        """Take back what a finished, failed or cancelled request still has in the queue."""
        self._waiting -= count if job is None else job.waiting
        if job is not None:
            self._tokens -= sum(job.costs[job.taken :])
            job.taken = len(job.items)
            self._open.discard(job)

    def _is_enough(self) -> bool:
        return self._tokens >= self.task.max_batch_tokens or self._waiting >= self._rows

    async def _gather(self) -> None:
        """Wait for company, but not longer than ``wait_ms`` after the first text came."""
        self._enough.clear()
        left = self._first + self._settings.wait_ms / 1000 - time.monotonic()
        if left <= 0 or self._is_enough():
            return
        try:
            async with asyncio.timeout(left):
                await self._enough.wait()
        except TimeoutError:
            return

    def _take(self) -> list[_Entry[I, O]]:
        """The next batch: one text of each request in turn, up to the budget."""
        batch: list[_Entry[I, O]] = []
        tokens = 0
        while self._jobs and len(batch) < self._rows:
            job = self._jobs[0]
            if not job.waiting:
                self._jobs.popleft()
                continue
            entry = _Entry(job, job.taken)
            if batch and tokens + entry.cost > self.task.max_batch_tokens:
                break
            tokens += entry.cost
            job.taken += 1
            batch.append(entry)
            self._jobs.rotate(-1)
        self._waiting -= len(batch)
        self._tokens -= tokens
        if not self._jobs:
            self._arrived.clear()
        return batch

    async def _encode(self, batch: Sequence[_Entry[I, O]]) -> None:
        started = time.perf_counter()
        found = await self._call(batch)
        if isinstance(found, BaseException):
            await self._encode_apart(batch, found)
        else:
            _deliver(batch, found)
        seconds = time.perf_counter() - started
        tokens = sum(entry.cost for entry in batch)
        self._tokens_per_s = tokens / max(seconds, 1e-6)
        self._report(BatchReport(len(batch), tokens, seconds))

    async def _encode_apart(self, batch: Sequence[_Entry[I, O]], error: BaseException) -> None:
        """A batch failed: each request again by itself, so that only the faulty one fails."""
        jobs = list(dict.fromkeys(entry.job for entry in batch))
        if len(jobs) == 1:
            jobs[0].fail(error)
            return
        logger.warning("A batch of %d requests failed; encoding each alone", len(jobs))
        for job in jobs:
            own = [entry for entry in batch if entry.job is job]
            found = await self._call(own)
            if isinstance(found, BaseException):
                job.fail(found)
            else:
                _deliver(own, found)

    async def _call(self, batch: Sequence[_Entry[I, O]]) -> Sequence[O] | BaseException:
        """Results of the encoder, or what it raised."""
        found = await self._worker.encode(self.task.encode, [entry.item for entry in batch])
        if not isinstance(found, BaseException) and len(found) != len(batch):
            return ServingError(f"{len(found)} results for {len(batch)} texts")
        return found


def _deliver(batch: Sequence[_Entry[I, O]], found: Sequence[O]) -> None:
    rows: dict[_Job[I, O], dict[int, O]] = {}
    for entry, row in zip(batch, found, strict=True):
        rows.setdefault(entry.job, {})[entry.place] = row
    for job, own in rows.items():
        job.give(own, len(batch))
