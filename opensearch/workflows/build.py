"""Index a corpus: survey it once, create the index, stream everything into it."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from typing import Any

import numpy as np

from encoders.base import DenseEncoder, SparseEncoder
from encoders.lexical import NAME as LEXICAL
from encoders.lexical import LexicalEncoder, PieceVocabulary
from encoders.pruning import NO_PRUNING, Pruning
from encoders.registry import DEFAULT_DENSE, LoadOptions, load_dense, load_sparse
from ingest.chunking.chunker import Chunker
from ingest.chunking.factory import make_chunker
from ingest.chunking.options import TWO_LEVEL, ChunkOptions
from ingest.corpus import CorpusOptions, read_corpus
from ingest.pipeline import Encoders, Progress, run_pipeline
from ingest.records import Document, Reject
from opensearch.capabilities import detect
from opensearch.encoder_store import save_state
from opensearch.errors import SettingsError
from opensearch.index_info import IndexInfo, check_encoder, read_index_info
from opensearch.index_spec import Compression, DenseEngine, IndexSpec, SparseField
from opensearch.indices import create_index, index_exists, refresh, set_refresh_interval
from opensearch.languages import NORI_PLUGIN, analyzer_for, corpus_scripts
from opensearch.sink import IndexSink
from opensearch.workflows.query_encoders import changed_options, stored_options, stored_sparse
from opensearch.workflows.reading_chunker import UNREAD_SIZE, ReadingChunker

logger = logging.getLogger(__name__)

NONE = "none"
SURVEY_TEXTS = 2000
DEFAULT_SIZE = UNREAD_SIZE
DEFAULT_OVERLAP = 50
FLOOR_TEXTS = 128
FLOOR_QUERY_WORDS = 6
# Documents become visible now and then while a long run goes on, without a segment per second.
REFRESH_DURING_BUILD = "30s"


@dataclass(frozen=True, slots=True)
class BuildJob:
    """What to index, where and with which encoders.

    Attributes:
        index: Logical name.
        corpus: Source and how to read it.
        chunking: Strategy by which documents are split. Like size and overlap, by default what an
            existing index was built with, else ``recursive``.
        chunk_size: Most tokens of a passage; for a new index 450, or less if the encoder reads
            less.
        chunk_overlap: Tokens a passage repeats from the one before; for a new index 50.
        dense: Dense model, or ``none``; ``None`` is the index's own, or the embedded default.
        sparse: Sparse model, ``lexical``, or ``none``; ``None`` likewise.
        load: How models are loaded.
        scripts: Script groups of the corpus; found by looking if empty.
        sparse_field: Where token weights are kept.
        dense_engine: k-NN engine of the vectors.
        compression: How finely a search compares vectors (see ``IndexSpec``).
        shards: Primary shards of a new index.
        replicas: Copies of each shard.
    """

    index: str
    corpus: CorpusOptions
    chunking: str | None = None
    chunk_size: int | None = None
    chunk_overlap: int | None = None
    dense: str | None = None
    sparse: str | None = None
    load: LoadOptions = field(default_factory=LoadOptions)
    scripts: tuple[str, ...] = ()
    sparse_field: SparseField = "rank_features"
    dense_engine: DenseEngine = "lucene"
    compression: Compression = "1x"
    shards: int = 1
    replicas: int = 0


@dataclass(frozen=True, slots=True)
class BuildEvents:
    """Where a build tells what it does.

    Attributes:
        stage: Called with a line when a stage begins.
        progress: Called after every window with running totals and, if known, all documents.
        reject: Called for every input that is set aside.
    """

    stage: Callable[[str], None] = lambda _: None
    progress: Callable[[Progress, int | None], None] = lambda _, __: None
    reject: Callable[[Reject], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did.

    Attributes:
        info: The index.
        progress: Final totals.
        created: Whether the index was new.
        warnings: What a person should know, each with a way on.
    """

    info: IndexInfo
    progress: Progress
    created: bool
    warnings: tuple[str, ...]


def build_index(client: Any, job: BuildJob, events: BuildEvents | None = None) -> BuildReport:
    """Index a corpus into a new index, or add to one with the encoders it was built with.

    Killed and started again, it continues: what is stored with the same content is skipped.

    Raises:
        IngestError: The source cannot be read.
        EncoderError: A model cannot be loaded.
        SearchBackendError: OpenSearch refuses, or the index was built with other encoders.
    """
    return _Build(client, job, events or BuildEvents()).run()


@dataclass(frozen=True, slots=True)
class _Survey:
    """What one look at the corpus tells before anything is indexed."""

    scripts: tuple[str, ...]
    levels: tuple[str, ...]
    sample: tuple[str, ...]
    documents: int
    words: LexicalEncoder


class _Build:
    """One run of ``build_index``."""

    def __init__(self, client: Any, job: BuildJob, events: BuildEvents) -> None:
        self._client = client
        self._job = job
        self._events = events
        self._capabilities = detect(client)
        known = index_exists(client, job.index)
        self._existing = read_index_info(client, job.index) if known else None
        self._load = stored_options(self._existing, job.load)
        self._dense = self._load_dense()
        self._chunking = self._chunk_options()
        self._chunker = self._make_chunker()

    def run(self) -> BuildReport:
        if self._existing is None:
            info, encoders, total = self._create()
        else:
            info, encoders, total = self._existing, self._stored_encoders(self._existing), None
        self._events.stage(f"indexing into {info.name} ({info.physical})")
        progress = self._stream(info, encoders, total)
        warnings = tuple(language_warnings(progress, encoders))
        return BuildReport(info, progress, self._existing is None, warnings)

    def _load_dense(self) -> DenseEncoder | None:
        stored = self._existing.dense if self._existing else None
        if self._job.dense == NONE or (self._job.dense is None and self._existing and not stored):
            return None
        return load_dense(
            self._job.dense or (stored.model if stored else DEFAULT_DENSE), self._load
        )

    def _chunk_options(self) -> ChunkOptions:
        """A passage no longer than the encoder reads: what lies beyond would not be found."""
        longest = self._dense.max_tokens if self._dense else DEFAULT_SIZE
        defaults = asdict(ChunkOptions(size=min(DEFAULT_SIZE, longest), overlap=0))
        defaults["overlap"] = min(DEFAULT_OVERLAP, defaults["size"] // 2)
        stored = self._existing.notes.get("chunking", {}) if self._existing else {}
        job = self._job
        asked = {"strategy": job.chunking, "size": job.chunk_size, "overlap": job.chunk_overlap}
        given = {name: value for name, value in asked.items() if value is not None}
        options = {**defaults, **stored, **given}
        if job.chunk_overlap is None:
            options["overlap"] = min(options["overlap"], options["size"] // 2)
        self._refuse_other_levels(options["strategy"])
        return ChunkOptions(**options)

    def _refuse_other_levels(self, strategy: str) -> None:
        """One level of passages among two would be missed, two among one found twice."""
        if self._existing is None:
            return
        before = self._existing.notes.get("chunking", {}).get("strategy")
        if (strategy == TWO_LEVEL) == (before == TWO_LEVEL):
            return
        msg = (
            f"The index {self._existing.name!r} was built with {before}; --chunking {strategy} "
            "makes another number of levels. Leave --chunking out, or build a new index."
        )
        raise SettingsError(msg)

    def _make_chunker(self) -> Chunker:
        if self._dense is None:
            return make_chunker(self._chunking, PieceVocabulary.load().tokenizer.count)
        return ReadingChunker(self._dense, self._chunking)

    def _stored_encoders(self, info: IndexInfo) -> Encoders:
        """The encoders an existing index was built with; others are refused, not mixed in."""
        if (info.dense and not self._dense) or (info.sparse and self._job.sparse == NONE):
            msg = f"The index {info.name!r} was built with both encoders; nothing fits it without."
            raise SettingsError(msg)
        model = None if self._job.sparse in (None, LEXICAL) else self._job.sparse
        sparse = stored_sparse(self._client, info.sparse, model, self._load)
        check_encoder(info.dense, self._dense.identity if self._dense else None, info.name)
        check_encoder(info.sparse, sparse.identity if sparse else None, info.name)
        return Encoders(self._dense, sparse)

    def _create(self) -> tuple[IndexInfo, Encoders, int | None]:
        self._events.stage("reading the corpus once for its language and word statistics")
        survey = self._survey()
        lexical = self._lexical(survey.words)
        sparse = lexical if self._job.sparse in (None, LEXICAL) else self._trained_sparse()
        # BM25's bounds need the words of the corpus whatever the sparse encoder leaves out.
        kept = {words.identity.fingerprint: words for words in (survey.words, lexical)}
        for fingerprint, words in kept.items():
            save_state(self._client, fingerprint, LEXICAL, words.state())
        info = create_index(self._client, self._spec(survey, sparse), self._capabilities)
        return info, Encoders(self._dense, sparse), survey.documents

    def _lexical(self, words: LexicalEncoder) -> LexicalEncoder:
        """The lexical encoder with the pruning that was asked for, if any."""
        pruning = Pruning(self._load.top_k, self._load.prune_ratio)
        return words if pruning == NO_PRUNING else replace(words, pruning=pruning)

    def _trained_sparse(self) -> SparseEncoder | None:
        model = self._job.sparse
        return None if model in (None, NONE) else load_sparse(model, self._load)

    def _survey(self) -> _Survey:
        counted = _Counted(read_corpus(self._job.corpus))
        chunks = self._chunker.chunk_many(counted.documents())
        sample = list(islice(chunks, SURVEY_TEXTS))
        texts = tuple(piece.passage for piece in sample)
        fine = (piece.passage for piece in chain(sample, chunks) if piece.level == "fine")
        words = LexicalEncoder.fit(fine)
        return _Survey(
            scripts=self._job.scripts or corpus_scripts(texts),
            levels=tuple(sorted({piece.level for piece in sample})),
            sample=texts,
            documents=counted.count,
            words=words,
        )

    def _spec(self, survey: _Survey, sparse: SparseEncoder | None) -> IndexSpec:
        nori = self._capabilities.has(NORI_PLUGIN)
        notes: dict[str, Any] = {
            "levels": list(survey.levels),
            "chunking": asdict(self._chunking),
            "encoder_options": changed_options(self._load),
            "word_statistics": survey.words.identity.fingerprint,
        }
        if self._dense is not None:
            notes["dense_floor"] = dense_floor(self._dense, survey.sample)
        return IndexSpec(
            name=self._job.index,
            analyzers={script: analyzer_for(script, nori=nori) for script in survey.scripts},
            dense=self._dense.identity if self._dense else None,
            sparse=sparse.identity if sparse else None,
            sparse_field=self._job.sparse_field,
            dense_engine=self._job.dense_engine,
            compression=self._job.compression,
            shards=self._job.shards,
            replicas=self._job.replicas,
            max_sparse_weight=heaviest_weight(sparse, survey.sample),
            notes=notes,
        )

    def _stream(self, info: IndexInfo, encoders: Encoders, total: int | None) -> Progress:
        set_refresh_interval(self._client, info, REFRESH_DURING_BUILD)
        self._events.progress(Progress(), total)
        try:
            return run_pipeline(
                read_corpus(self._job.corpus),
                self._chunker.chunk,
                encoders,
                IndexSink(self._client, info),
                on_reject=self._events.reject,
                on_progress=lambda progress: self._events.progress(progress, total),
            )
        finally:
            set_refresh_interval(self._client, info, None)
            refresh(self._client, info)


class _Counted:
    """Passes documents on and counts them; what was set aside is reported while indexing."""

    def __init__(self, items: Iterable[Document | Reject]) -> None:
        self._items = items
        self.count = 0

    def documents(self) -> Iterator[Document]:
        for item in self._items:
            if isinstance(item, Document):
                self.count += 1
                yield item


def dense_floor(encoder: DenseEncoder, texts: Iterable[str]) -> float | None:
    """What unrelated texts score: the lower end of the dense leg.

    The first words of some passages stand in for queries; their cosines with all other passages of
    the sample give mean and standard deviation, and the floor lies one deviation below the mean, so
    that hardly any relevant passage falls under it.

    Returns:
        The cosine, or ``None`` where the encoder knows fewer than two of the texts.
    """
    candidates = list(texts)
    known = [t for t, k in zip(candidates, encoder.knows(candidates), strict=True) if k]
    step = max(1, len(known) // FLOOR_TEXTS)
    chosen = known[::step][:FLOOR_TEXTS]
    if len(chosen) < 2:
        return None
    queries = encoder.encode_queries([" ".join(t.split()[:FLOOR_QUERY_WORDS]) for t in chosen])
    cosines = queries @ encoder.encode_documents(chosen).T
    others = cosines[~np.eye(len(chosen), dtype=bool)]
    return round(max(0.0, float(others.mean() - others.std())), 4)


def heaviest_weight(encoder: SparseEncoder | None, texts: Iterable[str]) -> float:
    """Largest token weight of a sample: what SEISMIC's byte quantisation must reach."""
    sample = list(islice(texts, FLOOR_TEXTS))
    vectors = encoder.encode_documents(sample) if encoder and sample else []
    return max((float(v.weights.max()) for v in vectors if len(v)), default=1.0)


def language_warnings(progress: Progress, encoders: Encoders) -> Iterator[str]:
    """What a person should know about passages an encoder could not read."""
    legs = (
        ("dense", encoders.dense, progress.unknown_dense),
        ("sparse", encoders.sparse, progress.unknown_sparse),
    )
    for leg, encoder, unknown in legs:
        if encoder is not None and unknown:
            share = 100 * unknown / max(1, progress.written)
            yield (
                f"{encoder.identity.model} does not know the language of {unknown} passages "
                f"({share:.0f} %): they are found by BM25 only, without a {leg} leg. "
                f"Choose a multilingual model with --{leg}, or train one on this corpus."
            )
