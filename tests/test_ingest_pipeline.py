"""The pipeline with encoders and a sink in memory: order, counts, faults, memory."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from encoders.base import EncoderIdentity, SparseVector
from ingest import pipeline
from ingest.pipeline import Encoders, Progress, encode_chunks, run_pipeline
from ingest.records import Chunk, Document, EncodedChunk, Origin, Reject, Window
from ingest.windows import windows

SIZE = 4


@pytest.fixture(autouse=True)
def small_windows(monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "WINDOW_CHUNKS", SIZE)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert not [t for t in threading.enumerate() if t not in before]


class Dense:
    identity = EncoderIdentity("dense", "memory", "0123456789abcdef", 2)

    def __init__(self) -> None:
        self.seen: list[str] = []

    def knows(self, texts: Sequence[str]) -> list[bool]:
        return [text.isascii() for text in texts]

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return np.array([[len(text), 1] for text in texts], np.float32)


class Sparse(Dense):
    identity = EncoderIdentity("sparse", "memory", "fedcba9876543210", 99)

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        self.seen += texts
        return [
            SparseVector(np.array([1, 5], np.int32), np.array([0.5, len(text)], np.float32))
            for text in texts
        ]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [f"t{i}" for i in ids]


@dataclass
class Memory:
    """A sink that keeps everything, and refuses what it is told to."""

    refused: dict[str, str] = field(default_factory=dict)
    stored: dict[str, EncodedChunk] = field(default_factory=dict)
    finished: list[Window] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def missing(self, window: Window) -> list[Chunk]:
        return [
            chunk
            for chunk in window.chunks
            if chunk.id not in self.stored
            or self.stored[chunk.id].chunk.fingerprint() != chunk.fingerprint()
        ]

    def write(self, encoded: Sequence[EncodedChunk]) -> dict[str, str]:
        self.events.append("write")
        taken = {e.chunk.id: e for e in encoded if e.chunk.id not in self.refused}
        self.stored.update(taken)
        return {e.chunk.id: self.refused[e.chunk.id] for e in encoded if e.chunk.id not in taken}

    def finish(self, window: Window) -> None:
        self.events.append("finish")
        self.finished.append(window)


def by_words(document: Document) -> Iterator[Chunk]:
    start = 0
    for ordinal, word in enumerate(document.text.split()):
        start = document.text.index(word, start)
        yield Chunk(document.id, ordinal, word, start, start + len(word))


def documents(count: int, text: str = "one two") -> list[Document]:
    return [Document(f"d{i}", text, origin=Origin("corpus.jsonl", i + 1)) for i in range(count)]


def run(items, sink=None, encoders=None, **callbacks) -> tuple[Progress, Memory, list[Reject]]:
    sink = sink or Memory()
    rejects: list[Reject] = []
    encoders = encoders or Encoders(Dense(), Sparse())
    totals = run_pipeline(items, by_words, encoders, sink, on_reject=rejects.append, **callbacks)
    return totals, sink, rejects


def test_everything_is_encoded_and_stored_in_order() -> None:
    totals, sink, rejects = run(documents(10))
    assert list(sink.stored) == [f"d{i}#{n}" for i in range(10) for n in range(2)]
    assert totals == Progress(documents=10, chunks=20, written=20)
    assert not rejects
    encoded = sink.stored["d3#1"]
    assert encoded.chunk.text == "two"
    assert encoded.dense.tolist() == [3, 1]
    assert encoded.sparse.ids.tolist() == [1, 5]
    assert encoded.sparse_named == {"t5": 3.0, "t1": 0.5}
    assert encoded.encoder == "0123456789ab+fedcba987654"


@pytest.mark.parametrize(
    ("encoders", "stamp"),
    [
        (Encoders(), ""),
        (Encoders(dense=Dense()), "0123456789ab"),
        (Encoders(sparse=Sparse()), "fedcba987654"),
    ],
    ids=["none", "dense", "sparse"],
)
def test_an_absent_encoder_leaves_its_leg_empty(encoders, stamp) -> None:
    _, sink, _ = run(documents(1), encoders=encoders)
    encoded = sink.stored["d0#0"]
    assert (encoded.dense is None) is (encoders.dense is None)
    assert (encoded.sparse is None) is (encoders.sparse is None)
    assert bool(encoded.sparse_named) is (encoders.sparse is not None)
    assert encoded.encoder == stamp


def test_progress_grows_window_by_window_up_to_the_result() -> None:
    seen: list[Progress] = []
    totals, sink, _ = run(documents(9), on_progress=seen.append)
    assert [p.chunks for p in seen] == [4, 8, 12, 16, 18]
    assert seen[-1] == totals
    assert sink.events == ["write", "finish"] * 5


def test_rejects_of_the_reader_are_passed_on_in_their_place() -> None:
    broken = Reject(Origin("corpus.jsonl", 3), "bad JSON", raw="{")
    totals, sink, rejects = run([*documents(2), broken, *documents(5)[2:]])
    assert rejects == [broken]
    assert (totals.rejected, totals.documents, len(sink.stored)) == (1, 5, 10)


def test_a_document_without_any_chunk_is_a_reject() -> None:
    empty = Document("e", "  ", origin=Origin("corpus.jsonl", 7))
    totals, _, rejects = run([empty, *documents(1)])
    assert rejects == [Reject(Origin("corpus.jsonl", 7), "no text left to index", "e")]
    assert (totals.documents, totals.rejected) == (1, 1)


@pytest.mark.parametrize("items", [[], [Reject(Origin("f", 1), "bad")]], ids=["empty", "rejects"])
def test_a_source_without_documents(items) -> None:
    totals, sink, rejects = run(items)
    assert totals == Progress(rejected=len(items))
    assert rejects == items
    assert not sink.stored
    assert "write" not in sink.events


def test_what_the_sink_refuses_becomes_a_reject_with_its_origin() -> None:
    sink = Memory(refused={"d2#1": "failed to parse"})
    totals, _, rejects = run(documents(4), sink)
    (reject,) = rejects
    assert reject.origin == Origin("corpus.jsonl", 3)
    assert (reject.doc_id, reject.raw) == ("d2", "two")
    assert "d2#1" in reject.reason and "failed to parse" in reject.reason
    assert totals == Progress(documents=4, chunks=8, written=7, rejected=1)


def test_a_text_in_an_unknown_language_gets_no_vector() -> None:
    encoders = Encoders(Dense(), Sparse())
    totals, sink, _ = run(documents(2, "fee 요금"), encoders=encoders)
    assert sink.stored["d0#0"].dense is not None
    for chunk_id in ("d0#1", "d1#1"):
        encoded = sink.stored[chunk_id]
        assert (encoded.dense, encoded.sparse, encoded.sparse_named) == (None, None, {})
    assert encoders.dense.seen == encoders.sparse.seen == ["fee", "fee"]
    assert (totals.written, totals.unknown_dense, totals.unknown_sparse) == (4, 2, 2)


def test_an_encoder_is_not_called_for_nothing() -> None:
    class Strict(Dense):
        def encode_documents(self, texts):
            assert texts
            return super().encode_documents(texts)

    encoded = encode_chunks(list(by_words(Document("k", "요금 안내"))), Encoders(dense=Strict()))
    assert [e.dense for e in encoded] == [None, None]
    assert encode_chunks([], Encoders(dense=Strict())) == []


def test_the_title_is_encoded_with_the_text() -> None:
    dense = Dense()
    encode_chunks([Chunk("d", 0, "text", 0, 4, title="Title")], Encoders(dense=dense))
    assert dense.seen == ["Title\ntext"]


def test_a_second_run_encodes_nothing_again() -> None:
    _, sink, _ = run(documents(7))
    encoders = Encoders(Dense(), Sparse())
    totals, _, _ = run(documents(7), sink, encoders)
    assert totals == Progress(documents=7, chunks=14, unchanged=14)
    assert encoders.dense.seen == []
    assert len(sink.finished) == 8


def test_only_what_changed_is_encoded_again() -> None:
    _, sink, _ = run(documents(7))
    changed = documents(7)
    changed[3] = Document("d3", "one three")
    encoders = Encoders(Dense())
    totals, _, _ = run(changed, sink, encoders)
    assert encoders.dense.seen == ["three"]
    assert (totals.written, totals.unchanged) == (1, 13)
    assert sink.stored["d3#1"].chunk.text == "three"


def test_the_sink_learns_how_many_chunks_each_document_has() -> None:
    _, sink, _ = run([*documents(1), Document("long", "a b c d e f g"), Document("z", "end")])
    counts = {doc: n for window in sink.finished for doc, n in window.counts.items()}
    assert counts == {"d0": 2, "long": 7, "z": 1}


def raising(items: Sequence[Document], error: BaseException) -> Iterator[Document]:
    yield from items
    raise error


class Broken(Dense):
    def encode_documents(self, texts):
        if len(self.seen) >= 8:
            raise RuntimeError("encoder")
        return super().encode_documents(texts)


class FailingSink(Memory):
    """Fails in one of its methods at the third window."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.calls = 0

    def _count(self, method: str) -> None:
        if method == self.method:
            self.calls += 1
            if self.calls == 3:
                raise RuntimeError("sink")

    def missing(self, window):
        self._count("missing")
        return super().missing(window)

    def write(self, encoded):
        self._count("write")
        return super().write(encoded)

    def finish(self, window):
        self._count("finish")
        super().finish(window)


def test_a_fault_in_the_reader_surfaces_after_what_was_read() -> None:
    sink = Memory()
    with pytest.raises(OSError, match="reader") as raised:
        run(raising(documents(6), OSError("reader")), sink)
    # Whole windows before the fault are stored; the caller starts again for the rest.
    assert set(sink.stored) == {f"d{i}#{n}" for i in range(6) for n in range(2)}
    assert raised.value.__traceback__ is not None


def test_a_fault_in_the_encoder_surfaces() -> None:
    sink = Memory()
    with pytest.raises(RuntimeError, match="encoder"):
        run(documents(1000), sink, Encoders(Broken()))
    assert len(sink.stored) == 8


@pytest.mark.parametrize("method", ["missing", "write", "finish"])
def test_a_fault_in_the_sink_surfaces_and_no_thread_is_left_while_it_is_handled(method) -> None:
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="sink"):
        try:
            run(documents(1000), FailingSink(method))
        except RuntimeError:
            assert threading.active_count() == before
            raise


@pytest.mark.parametrize("callback", ["on_progress", "on_reject"])
def test_a_fault_in_a_callback_surfaces(callback) -> None:
    def fail(_: object) -> None:
        raise KeyboardInterrupt

    items = [Reject(Origin("f"), "bad"), *documents(1000)]
    callbacks = {"on_reject": lambda _: None, "on_progress": lambda _: None, callback: fail}
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(items, by_words, Encoders(), Memory(), **callbacks)


def test_a_chunker_that_fails_surfaces() -> None:
    def chunk(document: Document) -> Iterator[Chunk]:
        raise ValueError(document.id)
        yield

    with pytest.raises(ValueError, match="d0"):
        run_pipeline(documents(3), chunk, Encoders(), Memory(), on_reject=lambda _: None)


def test_only_a_few_windows_are_ever_in_memory() -> None:
    """A slow sink holds the reader back, however long the corpus."""
    most = 0
    read = 0

    def source() -> Iterator[Document]:
        nonlocal read
        for document in documents(400):
            read += 1
            yield document

    class Slow(Memory):
        def finish(self, window: Window) -> None:
            nonlocal most
            time.sleep(0.001)
            super().finish(window)
            most = max(most, read - sum(len(w.counts) for w in self.finished))

    totals, _, _ = run(source(), Slow())
    assert totals.documents == 400
    per_window = SIZE // 2
    # Per thread: two windows that wait and one in hand; one with the consumer; one being read.
    assert most <= 8 * per_window


def test_windows_hold_whole_documents() -> None:
    found = list(windows(documents(5, "a b c"), by_words, 4))
    assert [len(w.chunks) for w in found] == [6, 6, 3]
    assert [list(w.counts.items()) for w in found] == [
        [("d0", 3), ("d1", 3)],
        [("d2", 3), ("d3", 3)],
        [("d4", 3)],
    ]
    assert found[1].origins["d2"] == Origin("corpus.jsonl", 3)


def test_rejects_alone_fill_windows_too() -> None:
    bad = [Reject(Origin("f", line), "bad") for line in range(10)]
    found = list(windows(iter(bad), by_words, 4))
    assert [len(window.rejects) for window in found] == [4, 4, 2]
    assert [r for window in found for r in window.rejects] == bad


def test_the_stages_overlap() -> None:
    """While one window is written the next is being encoded."""
    encoding = threading.Event()
    overlapped: list[bool] = []

    class Signals(Dense):
        def encode_documents(self, texts):
            if len(self.seen) >= 2 * SIZE:
                encoding.set()
            return super().encode_documents(texts)

    class Waits(Memory):
        def write(self, encoded):
            overlapped.append(encoding.wait(timeout=5))
            return super().write(encoded)

    run(documents(20), Waits(), Encoders(Signals()))
    assert all(overlapped)
