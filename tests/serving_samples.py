"""Encoders without a network for tests of the server, and a client inside the process."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from zlib import crc32

import httpx
import numpy as np

from encoders.base import EncoderIdentity, RerankerIdentity, SparseVector
from encoders.batching import BatchPlan
from serving.app import Server, build_server
from serving.config import ServeConfig
from serving.models import ServedModels

WIDTH = 8
FAULTY = "faulty"
T = TypeVar("T")


@dataclass
class FakeDense:
    """One token per word; the vector follows from the text and the side."""

    plan: BatchPlan = field(default_factory=lambda: BatchPlan(max_tokens=64, max_rows=16))
    batches: list[list[str]] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    max_tokens: int = 20
    identity: EncoderIdentity = field(
        default_factory=lambda: EncoderIdentity("dense", "/models/tiny-dense", "f" * 32, WIDTH)
    )

    def __post_init__(self) -> None:
        self.open.set()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [max(1, len(text.split())) for text in texts]

    def knows(self, texts: Sequence[str]) -> list[bool]:
        return [True] * len(texts)

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        return self._encode(texts, 1)

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        return self._encode(texts, 2)

    def _encode(self, texts: Sequence[str], side: int) -> np.ndarray:
        self.open.wait(10)
        self.batches.append(list(texts))
        if FAULTY in texts:
            msg = f"cannot encode {FAULTY} of {texts}"
            raise ValueError(msg)
        return np.stack([vector_of(text, side) for text in texts])


def vector_of(text: str, side: int) -> np.ndarray:
    random = np.random.default_rng([crc32(text.encode()), side])
    row = random.normal(size=WIDTH).astype(np.float32)
    return row / np.linalg.norm(row)


class FakeSparse:
    """Each word weighs its number of letters; documents twice that."""

    max_tokens = 20
    identity = EncoderIdentity("sparse", "owner/tiny-sparse", "a" * 32, 1000)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [max(1, len(text.split())) for text in texts]

    def knows(self, texts: Sequence[str]) -> list[bool]:
        return [True] * len(texts)

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        return [self._vector(text, 1) for text in texts]

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        return [self._vector(text, 2) for text in texts]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [f"w{number}" for number in ids]

    def _vector(self, text: str, factor: int) -> SparseVector:
        lengths = np.unique([len(word) for word in text.split()] or [1]).astype(np.int32)
        return SparseVector(lengths, (lengths * factor).astype(np.float32))


class FakeReranker:
    """The share of the query's letters that the text has."""

    max_tokens = 20
    identity = RerankerIdentity("owner/tiny-reranker", "b" * 32)

    def count_tokens(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        return [len(query.split()) + len(text.split()) for query, text in pairs]

    def score(self, query: str, texts: Sequence[str]) -> np.ndarray:
        return self.score_pairs([(query, text) for text in texts])

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        shares = [len(set(q) & set(t)) / max(1, len(set(q))) for q, t in pairs]
        return np.asarray(shares, dtype=np.float32)


def all_models(dense: FakeDense | None = None) -> ServedModels:
    return ServedModels(dense or FakeDense(), FakeSparse(), FakeReranker())


@asynccontextmanager
async def client_of(server: Server, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which is started and stopped around it."""
    transport = httpx.ASGITransport(server.app, raise_app_exceptions=False)
    async with (
        server.app.router.lifespan_context(server.app),
        httpx.AsyncClient(transport=transport, base_url="http://test", **options) as client,
    ):
        yield client


def call(
    scenario: Callable[[httpx.AsyncClient, Server], Awaitable[T]],
    models: ServedModels | None = None,
    config: ServeConfig | None = None,
    **options: Any,
) -> T:
    """Run a scenario against a server of its own."""

    async def run() -> T:
        server = build_server(models or all_models(), config or ServeConfig())
        async with client_of(server, **options) as client:
            return await scenario(client, server)

    return asyncio.run(asyncio.wait_for(run(), 30))


def post(path: str, body: Any, config: ServeConfig | None = None, **options: Any) -> httpx.Response:
    """One request to a server with all fakes."""

    async def scenario(client: httpx.AsyncClient, _: Server) -> httpx.Response:
        return await client.post(path, json=body)

    return call(scenario, config=config, **options)
