"""Versions of the tiny encoders, and indices of them, for the tests of re-indexing."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from opensearch_samples import DENSE, SPARSE, TinyDense, TinySparse, passage

from encoders.base import EncoderIdentity, FloatMatrix, SparseVector
from encoders.options import LoadOptions
from ingest.pipeline import Encoders, encode_chunks
from ingest.records import Chunk
from opensearch.capabilities import detect
from opensearch.index_info import IndexInfo
from opensearch.index_spec import IndexSpec
from opensearch.indices import create_index, delete_index, refresh
from opensearch.plan import QueryEncoders, SearchRequest
from opensearch.writer import write_chunks
from operations.reindexing.catalogue import version_infos
from operations.reindexing.following import FollowingSearcher
from operations.reindexing.job import Loaders, ReindexJob

WORDS = "account card cash cheque credit deposit fee interest loan transfer rate wire".split()


def _identity(base: EncoderIdentity, model: str) -> EncoderIdentity:
    version = model.rpartition("-")[2]
    return replace(base, model=model, fingerprint=f"{version:0<16}")


class DenseVersion(TinyDense):
    """``dense-1``, ``dense-2``: each version has a space of its own."""

    def __init__(self, model: str) -> None:
        self.identity = _identity(DENSE, model)
        self._model = model

    def _vector(self, text: str) -> FloatMatrix:
        words = " ".join(f"{self._model}{word}" for word in text.lower().split())
        return super()._vector(words)


class SparseVersion(TinySparse):
    """``sparse-1``, ``sparse-2``: each version has weights of its own."""

    def __init__(self, model: str) -> None:
        self.identity = _identity(SPARSE, model)
        self._factor = np.float32(model.rpartition("-")[2])

    def _vector(self, text: str) -> SparseVector:
        found = super()._vector(text)
        return SparseVector(found.ids, found.weights * self._factor)


LOADERS = Loaders(
    dense=lambda model, _: DenseVersion(model), sparse=lambda model, _: SparseVersion(model)
)


def job(name: str, version: str, **options: Any) -> ReindexJob:
    """A job with the encoders of these tests."""
    return ReindexJob(name, version, loaders=LOADERS, **{"patience_s": 60.0, **options})


def encoders(version: int, legs: Sequence[str] = ("dense", "sparse")) -> Encoders:
    """Both encoders of a version."""
    return Encoders(
        DenseVersion(f"dense-{version}") if "dense" in legs else None,
        SparseVersion(f"sparse-{version}") if "sparse" in legs else None,
    )


def query_encoders(_: Any, info: IndexInfo, __: LoadOptions) -> QueryEncoders:
    """What an index's ``_meta`` names."""
    return QueryEncoders(
        dense=DenseVersion(info.dense.model) if info.dense else None,
        sparse=SparseVersion(info.sparse.model) if info.sparse else None,
    )


def text_of(number: int) -> str:
    """A distinct text per number, from a few words."""
    chosen = [WORDS[(number // 12**place) % 12] for place in range(4)]
    return f"{' '.join(chosen)} number {number}"


def chunk(number: int, text: str | None = None) -> Chunk:
    """One passage per document."""
    return passage(f"d{number}", text or text_of(number), metadata={"n": number})


def build(
    client: Any,
    name: str,
    chunks: Iterable[Chunk],
    version: int = 1,
    *,
    legs: Sequence[str] = ("dense", "sparse"),
    **spec: Any,
) -> IndexInfo:
    """An index as ``tandem index`` would build it."""
    made = encoders(version, legs)
    identities = {leg: getattr(made, leg).identity for leg in legs}
    info = create_index(client, IndexSpec(name, **identities, **spec), detect(client))
    write(client, info, chunks, version, legs)
    refresh(client, info)
    return info


def write(
    client: Any,
    info: IndexInfo,
    chunks: Iterable[Chunk],
    version: int,
    legs: Sequence[str] = ("dense", "sparse"),
) -> None:
    """Store passages with the encoders of a version."""
    done = write_chunks(client, info, encode_chunks(list(chunks), encoders(version, legs)))
    assert not done.failures


def stored(client: Any, name: str) -> dict[str, dict[str, Any]]:
    """Everything an index holds, by chunk id."""
    from opensearchpy.helpers import scan

    client.indices.refresh(index=name)
    return {hit["_id"]: hit["_source"] for hit in scan(client, index=name)}


def remove(client: Any, name: str) -> None:
    """Delete every version of an index."""
    from opensearch.errors import IndexNotFoundError

    try:
        found = version_infos(client, name)
    except IndexNotFoundError:
        return
    for info in found.values():
        delete_index(client, info)


@dataclass
class Reader:
    """A client that searches at a steady rate until it is told to stop.

    Attributes:
        searcher: What it asks.
        texts: Texts of documents that never change: each must be found first.
        answers: How many answers there were, by the physical index that gave them.
        faults: What was wrong with others.
        slowest_s: The longest wait.
    """

    searcher: FollowingSearcher
    texts: Sequence[tuple[str, str]]
    answers: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def count(self) -> int:
        return sum(self.answers.values())

    def run(self) -> None:
        from opensearch.errors import SearchBackendError

        turn = 0
        while not self.over.is_set():
            doc_id, text = self.texts[turn % len(self.texts)]
            mode = ("dense", "hybrid", "sparse")[turn % 3]
            turn += 1
            began = time.monotonic()
            try:
                request = SearchRequest(text, mode=mode, size=3)
                result, info = self.searcher.answer(lambda _, request=request: request)
                self.answers[info.physical] = self.answers.get(info.physical, 0) + 1
                found = [hit.id for hit in result.hits]
                # Only vectors of the query's own encoder put a document first for its own text.
                if not found or (mode != "sparse" and found[0] != doc_id):
                    self.faults.append(f"{mode} {info.physical}: {found} instead of {doc_id}")
            except SearchBackendError as error:
                self.faults.append(str(error))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def in_thread(call: Callable[[], None]) -> threading.Thread:
    """Run something beside the test."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread
