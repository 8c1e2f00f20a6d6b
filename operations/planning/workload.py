"""From a corpus on disk to what the formulas need of it, for every candidate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from encoders.base import DenseEncoder, SparseEncoder
from encoders.lexical import NAME as LEXICAL
from encoders.lexical import LexicalEncoder, PieceVocabulary
from encoders.options import LoadOptions
from encoders.pruning import Pruning
from encoders.registry import load_dense, load_sparse
from ingest.chunking.chunker import Chunker
from ingest.chunking.factory import make_chunker
from ingest.chunking.options import ChunkOptions
from ingest.records import Chunk
from opensearch.workflows.reading_chunker import UNREAD_SIZE, ReadingChunker
from operations.planning.candidates import Candidate
from operations.planning.profile import SparseProfile, TextProfile, sparse_profile, text_profile
from operations.planning.sampling import DocumentSample, chunks_of
from operations.planning.sizing import Corpus

# A trained sparse encoder reads so many passages of the sample; the lexical one reads all.
ENCODED_PASSAGES = 64
OVERLAP = 50


@dataclass(frozen=True, slots=True)
class Models:
    """The models of a plan, loaded.

    Attributes:
        dense: The dense encoder, if candidates have one.
        dense_name: Its name.
        sparse_name: Name of the sparse encoder, if candidates have one.
        load: How models are loaded.
    """

    dense: DenseEncoder | None = None
    dense_name: str | None = None
    sparse_name: str | None = None
    load: LoadOptions = field(default_factory=LoadOptions)

    @classmethod
    def load_named(cls, dense: str | None, sparse: str | None, load: LoadOptions) -> "Models":
        """Load the dense encoder; the sparse one is loaded per pruning.

        Raises:
            EncoderError: It cannot be loaded.
        """
        plain = replace(load, top_k=None, dimension=None)
        encoder = None if dense is None else load_dense(dense, plain)
        return cls(encoder, dense, sparse, plain)


@dataclass(frozen=True, slots=True)
class Chunked:
    """The sample as one way of chunking makes it."""

    chunks: tuple[Chunk, ...]
    text: TextProfile


def chunker_for(encoder: DenseEncoder | None, size: int | None) -> Chunker:
    """The chunker that ``tandem index`` uses by default with this encoder."""
    longest = encoder.max_tokens if encoder else UNREAD_SIZE
    chosen = size or min(UNREAD_SIZE, longest)
    options = ChunkOptions(size=chosen, overlap=min(OVERLAP, chosen // 2))
    if encoder is None:
        return make_chunker(options, PieceVocabulary.load().tokenizer.count)
    return ReadingChunker(encoder, options)


def chunk_sample(
    sample: DocumentSample, encoder: DenseEncoder | None, size: int | None = None
) -> Chunked:
    """Cut the sample's documents and count their words."""
    chunks = chunks_of(sample, chunker_for(encoder, size).chunk)
    return Chunked(chunks, text_profile(chunks, encoder))


def sparse_encoder(models: Models, top_k: int | None, chunks: Sequence[Chunk]) -> SparseEncoder:
    """The sparse encoder, pruned; a lexical one is fitted to the sample."""
    name = models.sparse_name
    assert name is not None  # candidates without a sparse leg do not ask
    if name == LEXICAL:
        pruning = Pruning(top_k, models.load.prune_ratio)
        return LexicalEncoder.fit((chunk.passage for chunk in chunks), pruning=pruning)
    return load_sparse(name, replace(models.load, top_k=top_k))


def corpora(
    sample: DocumentSample, models: Models, found: Sequence[Candidate], size: int | None = None
) -> Mapping[Candidate, Corpus]:
    """The corpus as each candidate chunks and encodes it; equal work is done once."""
    cut: dict[bool, Chunked] = {}
    weights: dict[tuple[bool, int | None], SparseProfile] = {}
    result = {}
    for candidate in found:
        read = candidate.dense is not None
        if read not in cut:
            cut[read] = chunk_sample(sample, models.dense if read else None, size)
        key = (read, candidate.top_k)
        if candidate.sparse is not None and key not in weights:
            weights[key] = _weights(models, candidate.top_k, cut[read].chunks)
        sparse = weights[key] if candidate.sparse is not None else None
        result[candidate] = Corpus(sample.total, sample.factor, cut[read].text, sparse)
    return result


def _weights(models: Models, top_k: int | None, chunks: Sequence[Chunk]) -> SparseProfile:
    encoder = sparse_encoder(models, top_k, chunks)
    if models.sparse_name != LEXICAL:
        step = max(1, len(chunks) // ENCODED_PASSAGES)
        chunks = chunks[::step][:ENCODED_PASSAGES]
    return sparse_profile(chunks, encoder)
