"""What a sample of a corpus says about all of it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log2

import orjson

from encoders.base import DenseEncoder, SparseEncoder, SparseVector, named_weights
from ingest.records import Chunk, EncodedChunk
from opensearch.index_info import IndexInfo
from opensearch.languages import corpus_scripts
from opensearch.writer import document_body, seismic_document
from operations.planning.lz4 import stored_size

# A stamp as long as that of two encoders.
_STAMP = "0" * 25
_INFO = IndexInfo("plan", "plan-v0-1", {"latin": "english"}, None, None)
# Compressed chunks of 80 KB that are looked at.
_LOOKED_AT = 6
_WORD = re.compile(
    r"[\uAC00-\uD7A3\u3040-\u30FF\u4E00-\u9FFF]+|[^\W\uAC00-\uD7A3\u3040-\u30FF\u4E00-\u9FFF]+"
)
_CJK = re.compile(r"[\uAC00-\uD7A3\u3040-\u30FF\u4E00-\u9FFF]")
# Lucene's English stop words, which have no postings.
_STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then "
    "there these they this to was will with".split()
)


@dataclass(frozen=True, slots=True)
class TextProfile:
    """Passages of a sample, as one way of chunking makes them.

    Attributes:
        chunks: Passages.
        passage_bytes: UTF-8 bytes of their titles and texts.
        stored_bytes: What their stored fields take, token weights and vectors apart.
        id_bytes: Bytes of their ids.
        words: Words with a position, over all analyzers of the index.
        postings: Distinct words of each passage and field, summed.
        terms: Distinct words of the sample.
        growth: Exponent with which distinct words grow with passages (Heaps' law).
        tokens: Tokens that the dense encoder reads of them.
        known: Passages in a language that the dense encoder knows: those that get a vector.
    """

    chunks: int
    passage_bytes: int
    stored_bytes: float
    id_bytes: int
    words: int
    postings: int
    terms: int
    growth: float
    tokens: int
    known: int


@dataclass(frozen=True, slots=True)
class SparseProfile:
    """Token weights of a sample.

    Attributes:
        chunks: Passages that were encoded.
        entries: Their token weights.
        terms: Distinct tokens.
        stored_bytes: What the weights add to the stored fields of the main index.
        companion_bytes: What stored fields take in a SEISMIC companion.
        tokens: Tokens read.
    """

    chunks: int
    entries: int
    terms: int
    stored_bytes: float
    companion_bytes: float
    tokens: int


def text_profile(chunks: Sequence[Chunk], encoder: DenseEncoder | None) -> TextProfile:
    """Count what the text of some passages costs in an index."""
    bodies = [_body(EncodedChunk(chunk, encoder=_STAMP)) for chunk in chunks]
    analyzers = len(corpus_scripts(chunk.passage for chunk in chunks)) if chunks else 1
    words, postings, terms, half_terms = _count_words(chunks)
    passages = [chunk.passage for chunk in chunks]
    return TextProfile(
        chunks=len(chunks),
        passage_bytes=sum(len(passage.encode()) for passage in passages),
        stored_bytes=_stored(bodies),
        id_bytes=sum(len(chunk.id.encode()) for chunk in chunks),
        words=words * analyzers,
        postings=postings * analyzers,
        terms=terms * analyzers,
        growth=_growth(half_terms, terms),
        tokens=_tokens(passages, encoder),
        known=sum(encoder.knows(passages)) if encoder is not None and passages else 0,
    )


def sparse_profile(chunks: Sequence[Chunk], encoder: SparseEncoder) -> SparseProfile:
    """Encode some passages, and count what their token weights cost in an index.

    Passages in a language that the encoder does not know get none, as when an index is built.
    """
    passages = [chunk.passage for chunk in chunks]
    read = [i for i, known in enumerate(encoder.knows(passages)) if known]
    vectors = encoder.encode_documents([passages[i] for i in read])
    by_place = dict(zip(read, vectors, strict=True))
    encoded = [_encoded(chunk, by_place.get(i), encoder) for i, chunk in enumerate(chunks)]
    plain = _stored([_body(EncodedChunk(chunk, encoder=_STAMP)) for chunk in chunks])
    whole = _stored([_body(record) for record in encoded])
    companion = _stored(
        [_dump(seismic_document(record)) for record in encoded if record.sparse is not None]
    )
    return SparseProfile(
        chunks=len(chunks),
        entries=sum(len(vector) for vector in vectors),
        terms=len({int(token) for vector in vectors for token in vector.ids}),
        stored_bytes=max(0.0, whole - plain),
        companion_bytes=companion,
        tokens=_tokens([passages[i] for i in read], encoder),
    )


def _encoded(chunk: Chunk, vector: SparseVector | None, encoder: SparseEncoder) -> EncodedChunk:
    if vector is None:
        return EncodedChunk(chunk, encoder=_STAMP)
    named = named_weights(encoder, vector)
    return EncodedChunk(chunk, sparse=vector, sparse_named=named, encoder=_STAMP)


def _body(record: EncodedChunk) -> bytes:
    return _dump(document_body(_INFO, record))


def _dump(body: object) -> bytes:
    return orjson.dumps(body, default=str, option=orjson.OPT_SERIALIZE_NUMPY)


def _stored(bodies: Sequence[bytes]) -> float:
    """Compressed size of all of them, from some where there are many."""
    total = sum(map(len, bodies))
    before, after = stored_size(bodies, most_chunks=_LOOKED_AT)
    return total * after / before if before else 0.0


def _tokens(passages: Sequence[str], encoder: DenseEncoder | SparseEncoder | None) -> int:
    if encoder is None or not passages:
        return 0
    known = [p for p, k in zip(passages, encoder.knows(passages), strict=True) if k]
    counts = encoder.count_tokens(known) if known else []
    return sum(min(count, encoder.max_tokens) for count in counts)


def _count_words(chunks: Sequence[Chunk]) -> tuple[int, int, int, int]:
    words = postings = half_terms = 0
    terms: set[tuple[str, str]] = set()
    for place, chunk in enumerate(chunks):
        for field, text in (("title", chunk.title), ("text", chunk.text)):
            found = list(analysed(text))
            distinct = set(found)
            words += len(found)
            postings += len(distinct)
            terms.update((field, word) for word in distinct)
        if place + 1 == len(chunks) // 2:
            half_terms = len(terms)
    return words, postings, len(terms), half_terms


def analysed(text: str) -> Iterable[str]:
    """Words much as the analyzers count them: words of letters, pairs of ideographs or syllables.

    Stems are left as they are: a stemmed word has as many positions, and about as many postings.
    """
    for run in _WORD.findall(text.lower()):
        if _CJK.match(run):
            yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
        elif run not in _STOP_WORDS:
            yield run


def _growth(half: int, whole: int) -> float:
    """Heaps' exponent from the two halves of the sample, at most 1."""
    return min(1.0, max(0.0, log2(whole / half))) if 0 < half < whole else 0.5
