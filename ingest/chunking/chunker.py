"""Chunkers: documents in, chunks out."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Protocol

from ingest.chunking.fitting import Fitter, Passages
from ingest.records import Chunk, Document

DOCUMENTS_PER_COUNT = 256
CHARACTERS_PER_COUNT = 1_000_000


class Chunker(Protocol):
    """Cuts documents into chunks; ``document.text[chunk.start:chunk.end] == chunk.text``."""

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of one document, in order of their ordinals."""
        ...

    def chunk_many(self, documents: Iterable[Document]) -> Iterator[Chunk]:
        """The chunks of many documents, in order; tokens are counted in batches."""
        ...


class OneLevelChunker:
    """Chunks of one size."""

    def __init__(self, fitter: Fitter) -> None:
        self._fitter = fitter

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of one document; see ``Chunker.chunk``."""
        return self.chunk_many((document,))

    def chunk_many(self, documents: Iterable[Document]) -> Iterator[Chunk]:
        """The chunks of many documents; see ``Chunker.chunk_many``."""
        for batch in batched_documents(documents):
            texts = [(document.title, document.text) for document in batch]
            for document, passages in zip(batch, self._fitter.passages(texts), strict=True):
                yield from fine_chunks(document, passages)


class TwoLevelChunker:
    """Coarse chunks for a first stage of retrieval, and fine ones cut from each of them."""

    def __init__(self, coarse: Fitter, fine: Fitter) -> None:
        self._coarse = coarse
        self._fine = fine

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of one document, coarse ones first; see ``Chunker.chunk``."""
        return self.chunk_many((document,))

    def chunk_many(self, documents: Iterable[Document]) -> Iterator[Chunk]:
        """The chunks of many documents; see ``Chunker.chunk_many``."""
        for batch in batched_documents(documents):
            texts = [(document.title, document.text) for document in batch]
            for document, passages in zip(batch, self._coarse.passages(texts), strict=True):
                yield from self._both_levels(document, passages)

    def _both_levels(self, document: Document, passages: Passages) -> Iterator[Chunk]:
        coarse = [
            Chunk(
                document.id, ordinal, document.text[start:end], start, end,
                title=passages.title, metadata=document.metadata, level="coarse",
            )
            for ordinal, (start, end) in enumerate(passages.spans)
        ]  # fmt: skip
        yield from coarse
        inner = self._fine.passages([(document.title, chunk.text) for chunk in coarse])
        ordinal = len(coarse)
        for parent, found in zip(coarse, inner, strict=True):
            shifted = tuple((parent.start + a, parent.start + b) for a, b in found.spans)
            yield from fine_chunks(
                document, Passages(found.title, shifted), first=ordinal, parent=parent.id
            )
            ordinal += len(shifted)


def fine_chunks(
    document: Document, passages: Passages, *, first: int = 0, parent: str | None = None
) -> Iterator[Chunk]:
    """Spans of a document as chunks, numbered from ``first``."""
    for ordinal, (start, end) in enumerate(passages.spans, start=first):
        yield Chunk(
            document.id, ordinal, document.text[start:end], start, end,
            title=passages.title, metadata=document.metadata, parent=parent,
        )  # fmt: skip


def batched_documents(documents: Iterable[Document]) -> Iterator[Sequence[Document]]:
    """Group documents so that neither their number nor their text grows beyond bounds."""
    batch: list[Document] = []
    characters = 0
    for document in documents:
        batch.append(document)
        characters += len(document.text)
        if len(batch) >= DOCUMENTS_PER_COUNT or characters >= CHARACTERS_PER_COUNT:
            yield batch
            batch, characters = [], 0
    yield from chain((batch,) if batch else ())
