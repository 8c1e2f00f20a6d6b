"""Index a corpus: survey it once, create the index, stream everything into it."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from encoders.base import DenseEncoder, SparseEncoder
from encoders.lexical import LEXICAL, LexicalEncoder
from encoders.registry import DEFAULT_DENSE, LoadOptions, load_dense, load_sparse
from ingest.chunking.options import ChunkOptions
from ingest.corpus import CorpusOptions, read_corpus
from ingest.pipeline import Encoders, Progress, run_pipeline
from ingest.records import Chunk, Document, Reject
from opensearch.capabilities import Capabilities, detect
from opensearch.encoder_store import save_state
from opensearch.errors import SettingsError
from opensearch.index_info import IndexInfo, check_encoder, read_index_info
from opensearch.index_spec import DenseEngine, IndexSpec, SparseField
from opensearch.indices import create_index, index_exists, refresh, set_refresh_interval
from opensearch.languages import NORI_PLUGIN, analyzer_for, corpus_scripts
from opensearch.sink import IndexSink
from opensearch.workflows.query_encoders import stored_sparse

logger = logging.getLogger(__name__)

NONE = "none"
SURVEY_TEXTS = 2000
DEFAULT_SIZE = 450
DEFAULT_OVERLAP = 50
FLOOR_TEXTS = 192
# Documents become visible now and then while a long run goes on, without a segment per second.
REFRESH_DURING_BUILD = "30s"


@dataclass(frozen=True, slots=True)
class BuildJob:
    """What to index, where and with which encoders.

    Attributes:
        index: Logical name.
        corpus: Source and how to read it.
        chunking: Strategy by which documents are split.
        chunk_size: Most tokens of a passage; by default 450, or less if the encoder reads less.
        chunk_overlap: Tokens a passage repeats from the one before.
        dense: Dense model, or ``none``; ``None`` is the index's own, or the embedded default.
        sparse: Sparse model, ``lexical``, or ``none``; ``None`` likewise.
        load: How models are loaded.
        scripts: Script groups of the corpus; found by looking if empty.
        sparse_field: Where token weights are kept.
        dense_engine: k-NN engine of the vectors.
        shards: Primary shards of a new index.
        replicas: Copies of each shard.
    """

    index: str
    corpus: CorpusOptions
    chunking: str = "recursive"
    chunk_size: int | None = None
    chunk_overlap: int = DEFAULT_OVERLAP
    dense: str | None = None
    sparse: str | None = None
    load: LoadOptions = field(default_factory=LoadOptions)
    scripts: tuple[str, ...] = ()
    sparse_field: SparseField = "rank_features"
    dense_engine: DenseEngine = "lucene"
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
    events = events or BuildEvents()
    capabilities = detect(client)
    existing = read_index_info(client, job.index) if index_exists(client, job.index) else None
    dense = _dense(job, existing)
    options = chunk_options(job, dense)
    chunker = make_chunker(options, token_counter(dense), dense and dense.encode_documents).chunk
    if existing is None:
        info, encoders, total = _create(client, job, capabilities, dense, chunker, events)
    else:
        info, encoders, total = existing, _existing_encoders(client, job, existing, dense), None
    events.stage(f"indexing into {info.name} ({info.physical})")
    progress = _stream(client, info, encoders, job, chunker, total, events)
    warnings = _warnings(progress, encoders)
    return BuildReport(info, progress, existing is None, tuple(warnings))


def _dense(job: BuildJob, existing: IndexInfo | None) -> DenseEncoder | None:
    if job.dense == NONE or (job.dense is None and existing is not None and existing.dense is None):
        return None
    stored = existing.dense.model if existing is not None and existing.dense is not None else None
    return load_dense(job.dense or stored or DEFAULT_DENSE, job.load)


def _existing_encoders(
    client: Any, job: BuildJob, info: IndexInfo, dense: DenseEncoder | None
) -> Encoders:
    """The encoders an existing index was built with; others are refused, not mixed in."""
    if (info.dense is not None and dense is None) or (
        info.sparse is not None and job.sparse == NONE
    ):
        msg = (
            f"The index {info.name!r} has vectors and token weights; it cannot be added to without."
        )
        raise SettingsError(msg)
    model = None if job.sparse in (None, LEXICAL) else job.sparse
    sparse = stored_sparse(client, info.sparse, model, job.load)
    for expected, encoder in ((info.dense, dense), (info.sparse, sparse)):
        check_encoder(expected, encoder and encoder.identity, info.name)
    return Encoders(dense, sparse)


@dataclass(frozen=True, slots=True)
class _Survey:
    """What one look at the corpus tells before anything is indexed."""

    scripts: tuple[str, ...]
    levels: tuple[str, ...]
    sample: tuple[str, ...]
    documents: int | None
    lexical: LexicalEncoder | None


def _create(
    client: Any,
    job: BuildJob,
    capabilities: Capabilities,
    dense: DenseEncoder | None,
    chunk: "Chunker",
    events: BuildEvents,
) -> tuple[IndexInfo, Encoders, int | None]:
    lexical = job.sparse in (None, LEXICAL)
    events.stage("reading the corpus once for its language and word statistics")
    survey = _survey(job, chunk, lexical=lexical)
    sparse = survey.lexical if lexical else _trained_sparse(job)
    if survey.lexical is not None:
        identity = survey.lexical.identity
        save_state(client, identity.fingerprint, LEXICAL, survey.lexical.state())
    spec = _spec(job, capabilities, survey, dense, sparse)
    return create_index(client, spec, capabilities), Encoders(dense, sparse), survey.documents


def _trained_sparse(job: BuildJob) -> SparseEncoder | None:
    return None if job.sparse in (None, NONE) else load_sparse(job.sparse, job.load)


def _survey(job: BuildJob, chunk: "Chunker", *, lexical: bool) -> _Survey:
    counted = _Counted(read_corpus(job.corpus))
    chunks = (piece for document in counted.documents() for piece in chunk(document))
    sample = list(islice(chunks, SURVEY_TEXTS))
    texts = tuple(piece.passage for piece in sample)
    fitted = None
    if lexical:
        rest = (piece for piece in chunks if piece.level == "fine")
        fine = (piece for piece in sample if piece.level == "fine")
        fitted = LexicalEncoder.fit(p.passage for stream in (fine, rest) for p in stream)
    return _Survey(
        scripts=job.scripts or corpus_scripts(texts),
        levels=tuple(sorted({piece.level for piece in sample})),
        sample=texts,
        documents=counted.count if lexical else None,
        lexical=fitted,
    )


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


def _spec(
    job: BuildJob,
    capabilities: Capabilities,
    survey: _Survey,
    dense: DenseEncoder | None,
    sparse: SparseEncoder | None,
) -> IndexSpec:
    nori = capabilities.has(NORI_PLUGIN)
    notes: dict[str, Any] = {"levels": list(survey.levels), "chunking": job.chunk.as_dict()}
    if dense is not None:
        notes["dense_floor"] = dense_floor(dense, survey.sample)
    return IndexSpec(
        name=job.index,
        analyzers={script: analyzer_for(script, nori=nori) for script in survey.scripts},
        dense=dense.identity if dense else None,
        sparse=sparse.identity if sparse else None,
        sparse_field=job.sparse_field,
        dense_engine=job.dense_engine,
        shards=job.shards,
        replicas=job.replicas,
        max_sparse_weight=_heaviest(sparse, survey.sample),
        notes=notes,
    )


def dense_floor(encoder: DenseEncoder, texts: Iterable[str]) -> float | None:
    """Mean cosine of two different passages of the corpus: what unrelated texts score.

    ``None`` where the encoder knows fewer than two of the texts.
    """
    candidates = list(texts)
    known = [t for t, k in zip(candidates, encoder.knows(candidates), strict=True) if k]
    step = max(1, len(known) // FLOOR_TEXTS)
    chosen = known[::step][:FLOOR_TEXTS]
    if len(chosen) < 2:
        return None
    vectors = encoder.encode_documents(chosen)
    cosines = vectors @ vectors.T
    others = cosines[~np.eye(len(chosen), dtype=bool)]
    return round(float(others.mean()), 4)


def _heaviest(encoder: SparseEncoder | None, texts: Iterable[str]) -> float:
    """Largest token weight of a sample: what SEISMIC's byte quantisation must reach."""
    sample = list(islice(texts, FLOOR_TEXTS))
    vectors = encoder.encode_documents(sample) if encoder and sample else []
    return max((float(v.weights.max()) for v in vectors if len(v)), default=1.0)


Chunker = Callable[[Document], Iterable[Chunk]]


def _stream(
    client: Any,
    info: IndexInfo,
    encoders: Encoders,
    job: BuildJob,
    chunk: Chunker,
    total: int | None,
    events: BuildEvents,
) -> Progress:
    set_refresh_interval(client, info, REFRESH_DURING_BUILD)
    try:
        return run_pipeline(
            read_corpus(job.corpus),
            chunk,
            encoders,
            IndexSink(client, info),
            on_reject=events.reject,
            on_progress=lambda progress: events.progress(progress, total),
        )
    finally:
        set_refresh_interval(client, info, None)
        refresh(client, info)


def _warnings(progress: Progress, encoders: Encoders) -> Iterator[str]:
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
