"""The streaming pipeline: read, chunk, skip what is stored, encode both ways, write.

Three threads, each a few windows ahead of the next: reading and chunking, encoding, writing. Only
those few windows are ever in memory.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from encoders.base import (
    DenseEncoder,
    Encoder,
    FloatMatrix,
    SparseEncoder,
    SparseVector,
    named_weights,
    stamp_of,
)
from ingest.background import background
from ingest.records import Chunk, Document, EncodedChunk, Reject, Window
from ingest.windows import windows

WINDOW_CHUNKS = 256


class Sink(Protocol):
    """Where encoded chunks go: an index, or a list in a test."""

    def missing(self, window: Window) -> Sequence[Chunk]:
        """The window's chunks that are not stored yet, or stored with other content."""
        ...

    def write(self, encoded: Sequence[EncodedChunk]) -> Mapping[str, str]:
        """Store chunks; returns the reason for each id that was refused."""
        ...

    def finish(self, window: Window) -> None:
        """All chunks of the window's documents are stored: remove what they no longer have."""
        ...


@dataclass(frozen=True, slots=True)
class Encoders:
    """The encoders of a pipeline; an absent one leaves its leg empty."""

    dense: DenseEncoder | None = None
    sparse: SparseEncoder | None = None

    @property
    def stamp(self) -> str:
        """Stamps of both, stored with each chunk."""
        return stamp_of(*(e.identity for e in (self.dense, self.sparse) if e))


@dataclass(frozen=True, slots=True)
class Progress:
    """Running totals, handed to the progress callback after each window.

    Attributes:
        documents: Documents done.
        chunks: Their chunks.
        written: Chunks encoded and stored by this run.
        unchanged: Chunks that an earlier run had stored.
        rejected: Inputs set aside.
        unknown_dense: Chunks in a language the dense encoder does not know: no vector.
        unknown_sparse: The same for the sparse encoder: no token weights.
    """

    documents: int = 0
    chunks: int = 0
    written: int = 0
    unchanged: int = 0
    rejected: int = 0
    unknown_dense: int = 0
    unknown_sparse: int = 0


@dataclass(frozen=True, slots=True)
class _Step:
    window: Window
    encoded: tuple[EncodedChunk, ...]


def run_pipeline(
    items: Iterable[Document | Reject],
    chunk: Callable[[Document], Iterable[Chunk]],
    encoders: Encoders,
    sink: Sink,
    *,
    on_reject: Callable[[Reject], None],
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Index a stream of documents.

    Killed at any moment and started again, it ends with the same index as an undisturbed run:
    chunk ids are derived from document ids, and what is stored already is skipped.

    Args:
        items: Documents, and inputs the readers set aside.
        chunk: Splits a document.
        encoders: What encodes the passages.
        sink: What stores them.
        on_reject: Called for every input that is set aside, refusals by the sink included.
        on_progress: Called after every window.

    Returns:
        The final totals.
    """
    progress = Progress()
    with (
        closing(background(_prepare(windows(items, chunk, WINDOW_CHUNKS), sink))) as prepared,
        closing(background(_encode(prepared, encoders))) as steps,
    ):
        for step in steps:
            refused = sink.write(step.encoded) if step.encoded else {}
            sink.finish(step.window)
            rejects = [*step.window.rejects, *_refusals(step, refused)]
            for reject in rejects:
                on_reject(reject)
            progress = _advance(progress, step, refused=len(refused), rejected=len(rejects))
            on_progress(progress)
    return progress


def _prepare(source: Iterator[Window], sink: Sink) -> Iterator[tuple[Window, Sequence[Chunk]]]:
    for window in source:
        yield window, sink.missing(window) if window.chunks else ()


def _encode(
    prepared: Iterable[tuple[Window, Sequence[Chunk]]], encoders: Encoders
) -> Iterator[_Step]:
    for window, missing in prepared:
        yield _Step(window, tuple(encode_chunks(missing, encoders)))


def encode_chunks(chunks: Sequence[Chunk], encoders: Encoders) -> list[EncodedChunk]:
    """Encode passages both ways, each leg only where its encoder knows the language."""
    passages = [chunk.passage for chunk in chunks]
    vectors = _dense_leg(passages, encoders.dense)
    weights = _sparse_leg(passages, encoders.sparse)
    return [
        EncodedChunk(
            chunk,
            dense=vectors.get(i),
            sparse=weights.get(i),
            sparse_named=_named(encoders.sparse, weights.get(i)),
            encoder=encoders.stamp,
        )
        for i, chunk in enumerate(chunks)
    ]


def _dense_leg(passages: Sequence[str], encoder: DenseEncoder | None) -> dict[int, FloatMatrix]:
    known = _known(passages, encoder)
    if encoder is None or not known:
        return {}
    return dict(zip(known, encoder.encode_documents([passages[i] for i in known]), strict=True))


def _sparse_leg(passages: Sequence[str], encoder: SparseEncoder | None) -> dict[int, SparseVector]:
    known = _known(passages, encoder)
    if encoder is None or not known:
        return {}
    return dict(zip(known, encoder.encode_documents([passages[i] for i in known]), strict=True))


def _named(encoder: SparseEncoder | None, vector: SparseVector | None) -> Mapping[str, float]:
    return {} if encoder is None or vector is None else named_weights(encoder, vector)


def _known(passages: Sequence[str], encoder: Encoder | None) -> list[int]:
    if encoder is None or not passages:
        return []
    return [i for i, known in enumerate(encoder.knows(passages)) if known]


def _refusals(step: _Step, refused: Mapping[str, str]) -> list[Reject]:
    by_id = {encoded.chunk.id: encoded.chunk for encoded in step.encoded}
    return [
        Reject(
            step.window.origins[by_id[chunk_id].doc_id],
            f"OpenSearch refused {chunk_id}: {reason}",
            by_id[chunk_id].doc_id,
            by_id[chunk_id].text,
        )
        for chunk_id, reason in refused.items()
    ]


def _advance(progress: Progress, step: _Step, *, refused: int, rejected: int) -> Progress:
    window, encoded = step.window, step.encoded
    return Progress(
        documents=progress.documents + len(window.counts),
        chunks=progress.chunks + len(window.chunks),
        written=progress.written + len(encoded) - refused,
        unchanged=progress.unchanged + len(window.chunks) - len(encoded),
        rejected=progress.rejected + rejected,
        unknown_dense=progress.unknown_dense + sum(e.dense is None for e in encoded),
        unknown_sparse=progress.unknown_sparse + sum(e.sparse is None for e in encoded),
    )
