"""Small encoders, chunks and a client that only remembers, for the tests of opensearch."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from encoders.base import EncoderIdentity, FloatMatrix, SparseVector, named_weights
from ingest.records import Chunk, EncodedChunk
from opensearch.index_info import IndexInfo

DIMENSION = 8
VOCABULARY = 1000
DENSE = EncoderIdentity("dense", "tiny-dense", "d" * 16, DIMENSION)
SPARSE = EncoderIdentity("sparse", "tiny-sparse", "s" * 16, VOCABULARY)


@lru_cache(maxsize=100_000)
def seed_of(text: str) -> int:
    """The same number for the same text in every process."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@lru_cache(maxsize=100_000)
def _direction(word: str) -> FloatMatrix:
    return np.random.default_rng(seed_of(word)).normal(size=DIMENSION).astype(np.float32)


class TinyDense:
    """Sums one random unit vector per word; does not know Hangul."""

    identity = DENSE
    max_tokens = 512

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def knows(self, texts: Sequence[str]) -> list[bool]:
        return [not any("가" <= letter <= "힣" for letter in text) for text in texts]

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        return np.stack([self._vector(text) for text in texts])

    encode_queries = encode_documents

    def _vector(self, text: str) -> FloatMatrix:
        words = text.lower().split() or [""]
        total = np.sum([_direction(word) for word in words], axis=0)
        return (total / np.linalg.norm(total)).astype(np.float32)


class TinySparse:
    """One token per word, its weight a number of quarters; does not know Hangul."""

    identity = SPARSE
    max_tokens = 512
    count_tokens = TinyDense.count_tokens
    knows = TinyDense.knows

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        return [self._vector(text) for text in texts]

    encode_queries = encode_documents

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [f"t{i}" for i in ids]

    def _vector(self, text: str) -> SparseVector:
        found = {seed_of(w) % VOCABULARY: 0.25 + seed_of(w) % 11 / 4 for w in text.lower().split()}
        ids = np.array(sorted(found), np.int32)
        return SparseVector(ids, np.array([found[i] for i in ids.tolist()], np.float32))


def index_info(**changes: Any) -> IndexInfo:
    """An index with both legs over English text."""
    values: dict[str, Any] = {
        "name": "docs",
        "physical": "docs-v0-1",
        "analyzers": {"latin": "english"},
        "dense": DENSE,
        "sparse": SPARSE,
    }
    return IndexInfo(**{**values, **changes})


def encode(chunks: Iterable[Chunk]) -> list[EncodedChunk]:
    """Chunks with what the tiny encoders make of them."""
    dense, sparse = TinyDense(), TinySparse()
    return [
        EncodedChunk(
            chunk,
            dense=dense.encode_documents([chunk.passage])[0],
            sparse=(vector := sparse.encode_documents([chunk.passage])[0]),
            sparse_named=named_weights(sparse, vector),
            encoder="tiny",
        )
        if dense.knows([chunk.passage])[0]
        else EncodedChunk(chunk, encoder="tiny")
        for chunk in chunks
    ]


def passage(doc_id: str, text: str, ordinal: int = 0, **changes: Any) -> Chunk:
    """A chunk that is a whole text."""
    return Chunk(doc_id, ordinal, text, 0, len(text), **changes)


class RecordingClient:
    """Answers every call from a function and remembers what was asked.

    ``client.indices.create(index="a")`` calls ``answer("indices.create", index="a")``.
    """

    def __init__(self, answer: Callable[..., Any] = lambda _name, /, **_: {}) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answer = answer

    def __getattr__(self, name: str) -> "_Method":
        return _Method(self, name)

    def call(self, name: str, values: dict[str, Any]) -> Any:
        self.calls.append((name, values))
        return self._answer(name, **values)

    def named(self, name: str) -> list[dict[str, Any]]:
        """Arguments of every call to one method."""
        return [values for called, values in self.calls if called == name]


class _Method:
    def __init__(self, client: RecordingClient, path: str) -> None:
        self._client = client
        self._path = path

    def __getattr__(self, name: str) -> "_Method":
        return _Method(self._client, f"{self._path}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        positional = {"path": args[0]} if args else {}
        return self._client.call(self._path, {**positional, **kwargs})
