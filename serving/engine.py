"""Takes texts from the routes, and gives back what the encoders made of them."""

import asyncio
import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any, TypeVar

from fastapi import Request

from serving.batcher import Batcher, Encoded
from serving.config import Limits, ServeConfig
from serving.errors import ClientGoneError, DeadlineError, RequestError
from serving.metrics import Metrics
from serving.models import ServedModels
from serving.records import record_of
from serving.tasks import SIDES, Side, Task, dense_task, rerank_task, sparse_task
from serving.worker import Worker

T = TypeVar("T")


class Engine:
    """The encoders at work: one batcher per side, one thread per encoder.

    Args:
        models: What is served.
        config: Limits and batching.
        metrics: Hears of every batch.
    """

    def __init__(self, models: ServedModels, config: ServeConfig, metrics: Metrics) -> None:
        self.models = models
        self.limits = config.limits
        self._timeout_s = config.timeout_s
        self._metrics = metrics
        self._workers: dict[str, Worker] = {}
        self._batchers = {
            (task.kind, task.side): Batcher(
                task,
                self._worker(task),
                config.batching,
                partial(metrics.batch, task.kind, task.side),
            )
            for task in _tasks(models)
        }
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to form batches; the event loop must run."""
        self._running = [asyncio.create_task(entry.run()) for entry in self._batchers.values()]

    def refuse(self) -> None:
        """Fail what is still in work and refuse what comes."""
        for batcher in self._batchers.values():
            batcher.stop()

    async def stop(self) -> None:
        """End batchers and threads."""
        self.refuse()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for worker in self._workers.values():
            worker.stop()

    def waiting(self) -> dict[tuple[str, str], int]:
        """Texts that wait, by encoder and side."""
        return {(kind, side): entry.waiting for (kind, side), entry in self._batchers.items()}

    async def dense(self, request: Request, texts: Sequence[str], side: Side) -> Encoded[Any]:
        """Dense vectors.

        Raises:
            RequestError: The texts are beyond the limits, or the server is too busy.
        """
        return await self._run(request, ("dense", side), texts, texts)

    async def sparse(self, request: Request, texts: Sequence[str], side: Side) -> Encoded[Any]:
        """Sparse vectors.

        Raises:
            RequestError: The texts are beyond the limits, or the server is too busy.
        """
        return await self._run(request, ("sparse", side), texts, texts)

    async def rerank(self, request: Request, query: str, texts: Sequence[str]) -> Encoded[Any]:
        """Scores of texts for a query.

        Raises:
            RequestError: The texts are beyond the limits, or the server is too busy.
        """
        pairs = [(query, text) for text in texts]
        return await self._run(request, ("rerank", "document"), pairs, (query, *texts))

    async def _run(
        self,
        request: Request,
        key: tuple[str, str],
        items: Sequence[Any],
        texts: Sequence[str],
    ) -> Encoded[Any]:
        check_texts(items, texts, self.limits)
        record = record_of(request.scope)
        record.texts = len(items)
        work = asyncio.ensure_future(self._batchers[key].submit(items))  # type: ignore[index]
        found = await _until(work, request, self._timeout_s)
        record.tokens, record.cut, record.batch = found.tokens, found.cut, found.batch
        if found.cut:
            self._metrics.cut(*key, found.cut)
        return found

    def _worker(self, task: Task[Any, Any]) -> Worker:
        name = f"{task.kind}-{task.side}" if task.light else task.kind
        return self._workers.setdefault(name, Worker(name))


def _tasks(models: ServedModels) -> list[Task[Any, Any]]:
    dense = [] if models.dense is None else [dense_task(models.dense, side) for side in SIDES]
    sparse = [] if models.sparse is None else [sparse_task(models.sparse, side) for side in SIDES]
    rerank = [] if models.reranker is None else [rerank_task(models.reranker)]
    return list(itertools.chain[Task[Any, Any]](dense, sparse, rerank))


def check_texts(items: Sequence[Any], texts: Sequence[str], limits: Limits) -> None:
    """Refuse what the server does not take.

    Raises:
        RequestError: Too many texts, or one that is too long.
    """
    if len(items) > limits.texts:
        msg = f"{len(items)} texts; this server takes {limits.texts} in a request (--max-texts)"
        raise RequestError(msg, status=422, code="too_many_texts")
    longest = max(map(len, texts))
    if longest > limits.text_characters:
        msg = (
            f"A text has {longest} characters; this server takes {limits.text_characters} "
            "(--max-text-characters). Cut it into passages."
        )
        raise RequestError(msg, status=422, code="text_too_long")


async def _until(work: "asyncio.Future[T]", request: Request, seconds: float) -> T:
    """The result, unless the time is over or the client has gone: then the work is dropped."""
    gone = asyncio.ensure_future(_disconnected(request))
    both: set[asyncio.Future[Any]] = {work, gone}
    try:
        await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        if gone.done():
            raise ClientGoneError
        raise DeadlineError(seconds)
    finally:
        gone.cancel()
        work.cancel()


async def _disconnected(request: Request) -> None:
    """Returns when the client closes the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
