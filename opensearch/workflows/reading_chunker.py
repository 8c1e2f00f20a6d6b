"""Chunks of a size that suits whoever is going to read them."""

from collections.abc import Iterable, Iterator, Sequence
from math import ceil

from encoders.base import DenseEncoder
from ingest.chunking.chunker import Chunker
from ingest.chunking.factory import make_chunker
from ingest.chunking.options import ChunkOptions
from ingest.records import Chunk, Document

# Of Korean and Japanese in vocabularies made for them; Latin scripts have more.
CHARACTERS_PER_TOKEN = 2
# A passage of a document that no encoder reads holds as much as so many tokens.
UNREAD_SIZE = 450


class ReadingChunker:
    """Cuts a document by the encoder's tokens if the encoder knows its language.

    A document in an unknown language falls apart into letters and would be cut into scraps, for
    the sake of an encoder that is not going to read it; its length in characters counts instead.
    """

    def __init__(self, encoder: DenseEncoder, options: ChunkOptions) -> None:
        self._encoder = encoder
        self._size = options.size
        self._read = make_chunker(options, encoder.count_tokens, encoder.encode_documents)
        self._unread = make_chunker(options, self._lengths, encoder.encode_documents)

    def chunk(self, document: Document) -> Iterator[Chunk]:
        """The chunks of one document, in order of their ordinals."""
        return self._chunker(document).chunk(document)

    def chunk_many(self, documents: Iterable[Document]) -> Iterator[Chunk]:
        """The chunks of many documents, in order."""
        for document in documents:
            yield from self.chunk(document)

    def _chunker(self, document: Document) -> Chunker:
        if document.text.isascii():
            return self._read
        known = self._encoder.knows([f"{document.title}\n{document.text}"])[0]
        return self._read if known else self._unread

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        characters = CHARACTERS_PER_TOKEN * UNREAD_SIZE / self._size
        return [ceil(len(text) / characters) for text in texts]
