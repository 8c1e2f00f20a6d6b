"""How many bytes an index takes on disk: formulas over a sample, line by line.

The factors were measured on OpenSearch 3.6 (Lucene 10) by the file sizes of force-merged indices;
``docs/planning.md`` has the table. The dense part follows from Lucene's file formats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log2

from operations.planning.candidates import Candidate, M
from operations.planning.profile import SparseProfile, TextProfile

POSITION_BYTES = 1.12
POSTING_BYTES = 1.30
TERM_BYTES = 7.0
CHUNK_BYTES = 20.0
STORED_CHUNK_BYTES = 18.0
FEATURE_BYTES = 4.04
FEATURE_TERM_BYTES = 12.0
SEISMIC_VALUE_BYTES = 8.07
# Headers, field lists and the like of one segment.
SEGMENT_BYTES = 8_000
# Lucene's quantised vectors carry a correction beside each; bytes per vector.
CORRECTION_BYTES = {"4x": 4, "32x": 14}
# Links per vector on the lowest level that survive Lucene's diversity check, of 2M at most.
LINK_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Line:
    """One item of a bill.

    Attributes:
        what: What it is.
        amount: In the unit of the bill.
        formula: How it comes about, with its numbers in it.
    """

    what: str
    amount: float
    formula: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """All of a corpus, extrapolated from its sample.

    Attributes:
        documents: Documents.
        factor: How many times the sample it is.
        text: The sample's passages.
        sparse: The sample's token weights.
    """

    documents: int
    factor: float
    text: TextProfile
    sparse: SparseProfile | None = None

    @property
    def chunks(self) -> float:
        """Passages."""
        return self.text.chunks * self.factor

    @property
    def vectors(self) -> float:
        """Passages with a vector."""
        return self.text.known * self.factor

    @property
    def terms(self) -> float:
        """Distinct words by Heaps' law."""
        return float(self.text.terms * self.factor**self.text.growth)

    def per_chunk(self, candidate: Candidate) -> float:
        """Token weights of a passage."""
        if candidate.sparse is None or self.sparse is None:
            return 0.0
        return self.sparse.entries / max(1, self.sparse.chunks)


def disk(corpus: Corpus, candidate: Candidate) -> list[Line]:
    """Bytes of all primary shards, merged into one segment each; copies are not in it."""
    lines = [
        *_text(corpus, candidate.shards),
        *_vectors(corpus, candidate),
        *_weights(corpus, candidate),
    ]
    return [line for line in lines if line.amount > 0]


def total(lines: Sequence[Line]) -> float:
    """Sum of a bill."""
    return sum(line.amount for line in lines)


def vector_bytes(dimension: int, vectors: str) -> float:
    """Bytes of one vector on disk, its quantised copy included."""
    if vectors == "byte":
        return float(dimension)
    extra = {"float": 0.0, "4x": dimension, "32x": dimension / 8}[vectors]
    return 4.0 * dimension + extra + CORRECTION_BYTES.get(vectors, 0)


def searched_bytes(dimension: int, vectors: str) -> float:
    """Bytes of one vector that a search reads: what should stay in memory."""
    bits = {"float": 32, "4x": 8, "byte": 8, "32x": 1}[vectors]
    return dimension * bits / 8 + CORRECTION_BYTES.get(vectors, 0)


def graph_bytes(chunks: float, m: int = M) -> float:
    """Bytes of an HNSW graph with a vector for each passage.

    Neighbours are kept sorted, as differences in groups of four with one byte of lengths
    (``GroupVInt``); the mean difference is passages / links. Levels above hold 1/M of the vectors.
    """
    links = min(max(0.0, chunks - 1), LINK_SHARE * 2 * m)
    if links < 1:
        return 0.0
    difference = max(1.0, chunks / links)
    per_link = 0.25 + max(1.0, log2(difference) / 8)
    return chunks * (links * per_link + 2) * (1 + 1 / m)


def _text(corpus: Corpus, shards: int) -> Iterator[Line]:
    text, n = corpus.text, corpus.chunks
    count = max(1, text.chunks)
    stored = text.stored_bytes / count
    yield Line(
        "stored text",
        n * (stored + STORED_CHUNK_BYTES),
        f"{n:,.0f} passages × ({stored:,.0f} B of LZ4 + {STORED_CHUNK_BYTES:.0f})",
    )
    words, postings = text.words / count, text.postings / count
    yield Line(
        "words (BM25)",
        n * (words * POSITION_BYTES + postings * POSTING_BYTES) + corpus.terms * TERM_BYTES,
        f"{n:,.0f} × ({words:.1f} words × {POSITION_BYTES} + {postings:.1f} postings × "
        f"{POSTING_BYTES}) + {corpus.terms:,.0f} terms × {TERM_BYTES:.0f}",
    )
    ids = text.id_bytes / count
    yield Line(
        "ids and columns",
        n * (ids + CHUNK_BYTES) + shards * SEGMENT_BYTES,
        f"{n:,.0f} × ({ids:.1f} B of id + {CHUNK_BYTES:.0f}) + {shards} × {SEGMENT_BYTES:,}",
    )


def _vectors(corpus: Corpus, candidate: Candidate) -> Iterator[Line]:
    if candidate.dense is None:
        return
    n, d = corpus.vectors, candidate.dimension
    each = vector_bytes(d, candidate.vectors)
    how = {"float": "4 × d", "byte": "d", "4x": "4 × d + d + 4", "32x": "4 × d + d/8 + 14"}
    yield Line(
        f"vectors ({candidate.vectors})",
        n * each,
        f"{n:,.0f} × ({how[candidate.vectors]} = {each:,.0f} B), d = {d}",
    )
    shards = candidate.shards
    yield Line(
        "HNSW graph",
        shards * graph_bytes(n / shards),
        f"{n:,.0f} × links × (1/4 + bytes of a difference), {shards} shard(s), M = {M}",
    )


def _weights(corpus: Corpus, candidate: Candidate) -> Iterator[Line]:
    sparse = corpus.sparse
    if candidate.sparse is None or sparse is None:
        return
    n, entries = corpus.chunks, corpus.per_chunk(candidate)
    count = max(1, sparse.chunks)
    yield Line(
        "token weights, searched",
        n * entries * FEATURE_BYTES + sparse.terms * FEATURE_TERM_BYTES,
        f"{n:,.0f} × {entries:.1f} tokens × {FEATURE_BYTES} + {sparse.terms:,} × "
        f"{FEATURE_TERM_BYTES:.0f}",
    )
    if candidate.sparse_field == "rank_features":
        stored = sparse.stored_bytes / count
        yield Line(
            "token weights, stored",
            n * stored,
            f"{n:,.0f} × {stored:,.0f} B of LZ4 in _source",
        )
        return
    companion = sparse.companion_bytes / count
    ids = corpus.text.id_bytes / max(1, corpus.text.chunks)
    yield Line(
        "companion, stored",
        n * (companion + STORED_CHUNK_BYTES + ids + CHUNK_BYTES / 2),
        f"{n:,.0f} × ({companion:,.0f} B of LZ4 + {STORED_CHUNK_BYTES:.0f} + {ids:.1f} + "
        f"{CHUNK_BYTES / 2:.0f})",
    )
    yield Line(
        "companion, forward index",
        n * entries * SEISMIC_VALUE_BYTES,
        f"{n:,.0f} × {entries:.1f} tokens × {SEISMIC_VALUE_BYTES}",
    )
