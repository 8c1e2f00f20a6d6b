"""Measures what a unit of work costs on this machine and its cluster.

Small indices are built beside everything else, under names of their own, and removed again.
"""

import os
import platform
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from encoders.base import DenseEncoder, EncoderIdentity, SparseEncoder, named_weights
from encoders.lexical import LexicalEncoder
from encoders.registry import load_dense
from ingest.chunking.chunker import Chunker
from ingest.pipeline import Encoders, encode_chunks, run_pipeline
from ingest.records import Chunk, Document, EncodedChunk, Reject
from opensearch.capabilities import Capabilities, detect
from opensearch.index_info import IndexInfo
from opensearch.index_spec import IndexSpec, SparseField
from opensearch.indices import create_index, refresh
from opensearch.languages import analyzer_for, corpus_scripts
from opensearch.queries import Clause, bm25_query, knn_query, seismic_query, sparse_query
from opensearch.sink import IndexSink
from opensearch.translation import translated
from opensearch.writer import write_chunks
from operations.planning.constants import Constants
from operations.planning.errors import PlanningError
from operations.planning.sampling import DocumentSample
from operations.planning.timing import ENVELOPE_BYTES
from operations.planning.workload import Models, chunker_for, sparse_encoder

ENCODED = 160
WRITTEN = 600
QUERIES = 12
BATCH = 256
TRIES = 3
ENOUGH_S = 10.0
MOST_REFUSED = 0.1
# Of a text in a language that the encoder knows; less says nothing about its speed.
FEWEST_TOKENS = 200
_SEED = 0


@dataclass(frozen=True, slots=True)
class _Written:
    """Seconds of one write."""

    seconds: float
    info: IndexInfo


class Measurement:
    """One measurement: a sample, the models of a plan, a cluster."""

    def __init__(
        self,
        client: Any,
        sample: DocumentSample,
        models: Models,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Cut the sample.

        Raises:
            PlanningError: It is too small to time anything.
        """
        self._client = client
        self._models = models
        self._tell = tell
        self._documents = sample.documents
        self._chunker = chunker_for(models.dense, None)
        self._capabilities: Capabilities = detect(client)
        self._chunks = [c for d in self._documents for c in self._chunker.chunk(d)]
        self._made: list[IndexInfo] = []
        if len(self._chunks) < 2:
            msg = "The sample has fewer than two passages: nothing can be timed with so little."
            raise PlanningError(msg)

    def run(self) -> Constants:
        """Time every part, and a whole build of the sample."""
        with self._removed():
            return self._run()

    def _run(self) -> Constants:
        self._tell("reading")
        chunkers = {"plain": chunker_for(None, None)}
        if self._models.dense is not None:
            chunkers["dense"] = self._chunker
        reading = {how: self._reading(chunker) for how, chunker in chunkers.items()}
        sparse = self._sparse()
        self._tell("encoding")
        dense_each = _seconds_per_token(self._models.dense, self._chunks)
        sparse_each = _seconds_per_token(sparse, self._chunks)
        self._tell("writing")
        write = self._write_seconds(sparse)
        parts = Constants(
            source=f"this machine, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            start_s=0.0,
            load_s=_known(self._models.dense_name, self._load_seconds()),
            survey_s_per_byte={how: survey for how, (survey, _) in reading.items()},
            chunk_s_per_byte={how: chunking for how, (_, chunking) in reading.items()},
            dense_s_per_token=_known(self._models.dense_name, dense_each),
            sparse_s_per_token=_known(self._models.sparse_name, sparse_each),
            query_ms=self._query_ms(sparse),
            details=self._details(),
            **write,
        )
        self._tell("building the whole sample")
        return self._side_by_side(parts, sparse)

    def _reading(self, chunker: Chunker) -> tuple[float, float]:
        """Seconds per byte of both readings of a build."""
        documents = self._documents
        chunks = [c for d in documents for c in chunker.chunk(d)]
        size = sum(len(c.passage.encode()) for c in chunks)

        def survey() -> None:
            texts = [c.passage for d in documents for c in chunker.chunk(d)]
            corpus_scripts(texts)
            LexicalEncoder.fit(texts)

        chunking = _best(lambda: [c.fingerprint() for d in documents for c in chunker.chunk(d)])
        return _best(survey) / size, chunking / size

    def _sparse(self) -> SparseEncoder | None:
        if self._models.sparse_name is None:
            return None
        return sparse_encoder(self._models, self._models.load.top_k, self._chunks)

    def _write_seconds(self, sparse: SparseEncoder | None) -> dict[str, Any]:
        """Seconds per unit of text, vectors and token weights, each against text alone."""
        chunks = self._chunks[:WRITTEN]
        size = sum(len(c.passage.encode()) + ENVELOPE_BYTES for c in chunks)
        plain = [EncodedChunk(chunk) for chunk in chunks]
        self._write(plain, None, None)  # a node that was idle is slow at first
        text = self._best_write(plain, None, None)
        found = {
            "write_s_per_byte": text / size,
            "write_s_per_component": 0.0,
            "write_s_per_entry": 0.0,
            "seismic_s_per_entry": 0.0,
        }
        if self._models.dense is not None:
            vectors = _vectors(chunks, self._models.dense)
            seconds = self._best_write(vectors, self._models.dense.identity, None)
            values = len(chunks) * self._models.dense.identity.dimension
            found["write_s_per_component"] = max(0.0, seconds - text) / values
        if sparse is not None:
            found |= self._weights_seconds(chunks, sparse, text)
        return found

    def _weights_seconds(
        self, chunks: Sequence[Chunk], sparse: SparseEncoder, text: float
    ) -> dict[str, float]:
        encoded = encode_chunks(chunks, Encoders(sparse=sparse))
        entries = max(1, sum(len(e.sparse) for e in encoded if e.sparse is not None))
        names: dict[SparseField, str] = {"rank_features": "write_s_per_entry"}
        # Below the version that has SEISMIC, and for vocabularies beyond it, there is none.
        if self._seismic(sparse):
            names["seismic"] = "seismic_s_per_entry"
        return {
            name: max(0.0, self._best_write(encoded, None, sparse.identity, field) - text) / entries
            for field, name in names.items()
        }

    def _seismic(self, sparse: SparseEncoder) -> bool:
        from opensearch.index_spec import SEISMIC_MAX_TOKEN

        fits = sparse.identity.dimension - 1 <= SEISMIC_MAX_TOKEN
        return fits and self._capabilities.certainly("seismic")

    def _best_write(
        self,
        records: Sequence[EncodedChunk],
        dense: EncoderIdentity | None,
        sparse: EncoderIdentity | None,
        field: SparseField = "rank_features",
    ) -> float:
        return min(self._write(records, dense, sparse, field).seconds for _ in range(TRIES))

    def _write(
        self,
        records: Sequence[EncodedChunk],
        dense: EncoderIdentity | None,
        sparse: EncoderIdentity | None,
        field: SparseField = "rank_features",
    ) -> _Written:
        info = self._create(dense, sparse, field)
        started = perf_counter()
        for place in range(0, len(records), BATCH):
            result = write_chunks(self._client, info, records[place : place + BATCH])
            # A build would set single passages aside, too.
            if len(result.failures) > MOST_REFUSED * BATCH:
                msg = f"OpenSearch refused {result.failures[0][0]}: {result.failures[0][1]}"
                raise PlanningError(msg)
        refresh(self._client, info)
        return _Written(perf_counter() - started, info)

    def _create(
        self, dense: EncoderIdentity | None, sparse: EncoderIdentity | None, field: SparseField
    ) -> IndexInfo:
        scripts = corpus_scripts(chunk.passage for chunk in self._chunks)
        spec = IndexSpec(
            name=f"tandem-plan-{secrets.token_hex(4)}",
            analyzers={script: analyzer_for(script, nori=False) for script in scripts},
            dense=dense,
            sparse=sparse,
            sparse_field=field,
        )
        info = create_index(self._client, spec, self._capabilities)
        self._made.append(info)
        return info

    def _side_by_side(self, parts: Constants, sparse: SparseEncoder | None) -> Constants:
        """Build the sample as ``tandem index`` does, and compare with the sum of the parts."""
        dense = self._models.dense
        start, plain = min((self._build(None, sparse) for _ in range(2)), key=itemgetter(1))
        expected = _pipeline_seconds(parts, self._chunks, None, sparse)
        parallel = {"plain": expected / plain}
        if dense is not None:
            start, whole = self._build(dense, sparse)
            expected = _pipeline_seconds(parts, self._chunks, dense, sparse)
            parallel["dense"] = expected / whole
        return replace(parts, start_s=start, parallel=parallel)

    def _build(
        self, dense: DenseEncoder | None, sparse: SparseEncoder | None
    ) -> tuple[float, float]:
        """Seconds of creating an index, and of filling it."""
        started = perf_counter()
        info = self._create(
            dense.identity if dense else None,
            sparse.identity if sparse else None,
            "rank_features",
        )
        created = perf_counter()
        items: list[Document | Reject] = list(self._documents)
        run_pipeline(
            items,
            (self._chunker if dense is not None else chunker_for(None, None)).chunk,
            Encoders(dense, sparse),
            IndexSink(self._client, info),
            on_reject=lambda _: None,
        )
        refresh(self._client, info)
        return created - started, perf_counter() - created

    def _load_seconds(self) -> float | None:
        if self._models.dense_name is None:
            return None
        started = perf_counter()
        load_dense(self._models.dense_name, self._models.load)
        return perf_counter() - started

    def _query_ms(self, sparse: SparseEncoder | None) -> dict[str, float]:
        """Median answer time of each leg, encoding of the query apart."""
        chunks = self._chunks[:WRITTEN]
        encoders = Encoders(self._models.dense, sparse)
        texts = [" ".join(c.passage.split()[:6]) for c in chunks[:QUERIES]]
        found: dict[str, float] = {}
        dense = self._models.dense
        few = chunks[: ENCODED if dense is not None else WRITTEN]
        fields: list[SparseField] = ["rank_features"]
        if sparse is not None and self._seismic(sparse):
            fields.append("seismic")
        for field in fields:
            records = encode_chunks(few, encoders)
            dense_id = dense.identity if dense else None
            info = self._write(records, dense_id, sparse.identity if sparse else None, field).info
            for leg, clauses in _clauses(texts, dense, sparse, field):
                found.setdefault(leg, self._median_ms(info, clauses))
        return found

    def _median_ms(self, info: IndexInfo, clauses: Sequence[Clause]) -> float:
        times = []
        for clause in chain(clauses[:2], clauses):
            index = info.seismic or info.physical if "tokens" in str(clause) else info.physical
            started = perf_counter()
            with translated("timing a query"):
                self._client.search(
                    index=index,
                    body={"query": clause, "size": 10, "_source": False},
                    params={"search_pipeline": "_none"},
                )
            times.append(1000 * (perf_counter() - started))
        return round(median(times[2:]), 3)

    def _details(self) -> dict[str, Any]:
        version = self._capabilities.version
        return {
            "documents": len(self._documents),
            "chunks": len(self._chunks),
            "processors": os.cpu_count(),
            "machine": platform.machine(),
            "opensearch": ".".join(map(str, version)) if version else None,
            "device": self._models.load.device,
        }

    @contextmanager
    def _removed(self) -> Iterator[None]:
        """Remove what was made, whatever happens."""
        try:
            yield
        finally:
            for info in self._made:
                names = [info.physical, *([info.seismic] if info.seismic else [])]
                with translated("removing the indices of the measurement"):
                    self._client.indices.delete(index=names, params={"ignore": 404})


def measure(
    client: Any,
    sample: DocumentSample,
    models: Models,
    tell: Callable[[str], None] = lambda _: None,
) -> Constants:
    """Time a sample on this machine.

    Args:
        client: The client.
        sample: Documents; some hundred are enough.
        models: What encodes them.
        tell: Called with a line when a part begins.

    Raises:
        PlanningError: The sample is too small, or the cluster refuses it.
    """
    return Measurement(client, sample, models, tell).run()


def _pipeline_seconds(
    parts: Constants,
    chunks: Sequence[Chunk],
    dense: DenseEncoder | None,
    sparse: SparseEncoder | None,
) -> float:
    """Sum of the parts of the second reading: what ``parallel`` is relative to."""
    size = sum(len(c.passage.encode()) for c in chunks)
    written = (size + len(chunks) * ENVELOPE_BYTES) * parts.write_s_per_byte
    how = "plain" if dense is None else "dense"
    seconds = size * parts.chunk_s_per_byte[how] + written
    if dense is not None:
        seconds += _tokens(dense, chunks) * sum(parts.dense_s_per_token.values())
        seconds += len(chunks) * dense.identity.dimension * parts.write_s_per_component
    if sparse is not None:
        seconds += _tokens(sparse, chunks) * sum(parts.sparse_s_per_token.values())
        vectors = sparse.encode_documents([c.passage for c in chunks[:ENCODED]])
        each = sum(map(len, vectors)) / max(1, len(vectors))
        seconds += len(chunks) * each * parts.write_s_per_entry
    return seconds


def _seconds_per_token(
    encoder: DenseEncoder | SparseEncoder | None, chunks: Sequence[Chunk]
) -> float | None:
    if encoder is None:
        return None
    known = encoder.knows([c.passage for c in chunks])
    read = [chunk for chunk, k in zip(chunks, known, strict=True) if k]
    some = read[:: max(1, len(read) // ENCODED)][:ENCODED]
    tokens = _tokens(encoder, some)
    if tokens < FEWEST_TOKENS:
        return None
    encoder.encode_documents([c.passage for c in some[:8]])  # the first call loads and compiles
    pair = _as_pair(encoder)
    return _best(lambda: encode_chunks(some, pair)) / tokens


def _best(work: Callable[[], Any]) -> float:
    """Seconds of the fastest try: others were held up by what else runs; slow work has one."""
    times: list[float] = []
    while len(times) < TRIES and sum(times) < ENOUGH_S:
        started = perf_counter()
        work()
        times.append(perf_counter() - started)
    return min(times)


def _as_pair(encoder: DenseEncoder | SparseEncoder) -> Encoders:
    if encoder.identity.kind == "dense":
        return Encoders(dense=encoder)  # type: ignore[arg-type]  # its identity says so
    return Encoders(sparse=encoder)  # type: ignore[arg-type]


def _tokens(encoder: DenseEncoder | SparseEncoder, chunks: Sequence[Chunk]) -> int:
    passages = [chunk.passage for chunk in chunks]
    known = [p for p, k in zip(passages, encoder.knows(passages), strict=True) if k]
    counts = encoder.count_tokens(known) if known else []
    return sum(min(count, encoder.max_tokens) for count in counts)


def _known(name: str | None, seconds: float | None) -> dict[str, float]:
    return {} if name is None or seconds is None else {name: seconds}


def _vectors(chunks: Sequence[Chunk], encoder: DenseEncoder) -> list[EncodedChunk]:
    """Vectors as close to each other as real ones: some that are, and variations of them."""
    generator = np.random.default_rng(_SEED)
    real = encoder.encode_documents([chunk.passage for chunk in chunks[:64]])
    picked = real[generator.integers(0, len(real), len(chunks))]
    noise = generator.standard_normal(picked.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors = picked + noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [EncodedChunk(c, dense=v) for c, v in zip(chunks, vectors, strict=True)]


def _clauses(
    texts: Sequence[str],
    dense: DenseEncoder | None,
    sparse: SparseEncoder | None,
    field: SparseField,
) -> Iterator[tuple[str, list[Clause]]]:
    yield "bm25", [bm25_query(text, ["text"]) for text in texts]
    if dense is not None:
        yield "dense", [knn_query(vector, 10) for vector in dense.encode_queries(texts)]
    if sparse is None:
        return
    vectors = [vector for vector in sparse.encode_queries(texts) if len(vector)]
    if not vectors:
        return
    if field == "rank_features":
        yield field, [sparse_query(named_weights(sparse, vector)) for vector in vectors]
    else:
        pairs = [dict(zip(v.ids.tolist(), v.weights.tolist(), strict=True)) for v in vectors]
        yield field, [seismic_query(weights, 10) for weights in pairs]
