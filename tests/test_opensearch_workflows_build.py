"""Pure parts of building an index."""

import numpy as np

from ingest.chunking.options import ChunkOptions
from ingest.records import Document
from opensearch.workflows.build import dense_floor, heaviest_weight
from opensearch.workflows.reading_chunker import ReadingChunker


class English:
    """Knows ASCII; other letters are three tokens each."""

    def count_tokens(self, texts):
        return [len(t.split()) if t.isascii() else 3 * len(t) for t in texts]

    def knows(self, texts):
        return [t.isascii() or t.startswith("é") for t in texts]

    def encode_queries(self, texts):
        return np.eye(len(texts), 8, dtype=np.float32)

    encode_documents = encode_queries


def pieces(text: str) -> list[str]:
    chunker = ReadingChunker(English(), ChunkOptions(size=256, overlap=0))
    return [chunk.text for chunk in chunker.chunk(Document("d", text))]


def test_a_document_the_encoder_reads_is_cut_by_its_tokens() -> None:
    assert [len(piece.split()) for piece in pieces("word " * 500)] == [256, 244]


def test_a_document_nobody_reads_is_cut_by_its_characters() -> None:
    sentence = "해외송금 수수료는 E-4012와 관계없이 5,000원입니다. "
    cut = pieces(sentence * 60)
    assert len(cut) == 3
    assert all(700 < len(piece) <= 900 for piece in cut[:-1])


def test_the_floor_lies_below_the_mean_and_never_below_zero() -> None:
    assert dense_floor(English(), ["a b", "c d", "e f"]) == 0.0
    assert dense_floor(English(), ["only one text"]) is None
    assert dense_floor(English(), ["한국어", "문서만"]) is None


def test_without_weights_the_heaviest_is_one() -> None:
    assert heaviest_weight(None, ["text"]) == 1.0
