"""Search by models in the cluster: nothing is encoded here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from encoders.lexical import LexicalEncoder
from opensearch.capabilities import detect
from opensearch.encoder_store import load_state
from opensearch.errors import EncoderMismatchError, SettingsError
from opensearch.index_info import IndexInfo
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD
from opensearch.ml.catalogue import ModelInfo, choose_model, list_models
from opensearch.model_queries import QueryModels
from opensearch.pipeline_files.cluster import (
    NONE,
    SETTINGS,
    Kind,
    default_pipelines,
    read_pipelines,
)
from opensearch.pipeline_files.models import check_role
from opensearch.plan import QueryEncoders
from opensearch.search import Searcher

_Reader = Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Names or ids that were given; what is absent is read from the index's pipelines.

    Attributes:
        dense: Dense model.
        sparse: Sparse model of the query side.
        analyzer: Analyzer instead of it.
    """

    dense: str | None = None
    sparse: str | None = None
    analyzer: str | None = None


def open_model_searcher(client: Any, info: IndexInfo, choice: ModelChoice) -> Searcher:
    """A searcher that leaves encoding to the cluster.

    Raises:
        SettingsError: Nothing says which models.
        CapabilityError: The cluster has no queries by analyzer.
        ModelNotFoundError: The cluster holds no such model.
        ModelError: A model encodes documents only.
        EncoderMismatchError: The dense model did not make the index's vectors.
    """
    models = query_models(client, info, choice)
    fingerprint = info.notes.get("word_statistics")
    words = LexicalEncoder.from_state(load_state(client, fingerprint)) if fingerprint else None
    return Searcher(client, info, QueryEncoders(words=words, models=models))


def query_models(client: Any, info: IndexInfo, choice: ModelChoice) -> QueryModels:
    """Ids of the models that encode queries on an index."""
    if choice.analyzer is not None:
        detect(client).require("sparse_analyzer")
    found = pipeline_models(client, info)
    dense = choice.dense or found.get(DENSE_FIELD)
    sparse = choice.sparse or found.get(SPARSE_FIELD) or found.get(TOKENS_FIELD)
    if choice.analyzer is not None:
        if choice.sparse is not None:
            msg = "a sparse query is encoded by a model or by an analyzer: name one of them"
            raise SettingsError(msg)
        sparse = None
    if dense is None and sparse is None and choice.analyzer is None:
        msg = (
            f"No pipeline of the index {info.name!r} says which models encode its queries. Name "
            "them with --dense-model-id and --sparse-model-id, or attach pipelines "
            "(`tandem pipelines init`)."
        )
        raise SettingsError(msg)
    known = list_models(client)
    return QueryModels(
        dense=_dense_id(info, _of_queries(known, dense)) if dense and info.dense else None,
        sparse=_of_queries(known, sparse).id if sparse and info.sparse else None,
        analyzer=choice.analyzer,
    )


def pipeline_models(client: Any, info: IndexInfo) -> dict[str, str]:
    """Model ids per field: of the index's search pipeline, else of its ingest pipeline."""
    settings = default_pipelines(client, info.physical).get(info.physical, {})
    found: dict[str, str] = {}
    readers: tuple[tuple[Kind, _Reader], ...] = (("ingest", _encoded_by), ("search", _queried_by))
    for kind, reader in readers:
        name = settings.get(SETTINGS[kind][0], NONE)
        if name != NONE:
            found.update(reader(read_pipelines(client, kind, name).get(name, {})))
    return found


def _encoded_by(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for processor in body.get("processors", ()):
        for name in ("text_embedding", "sparse_encoding"):
            step = processor.get(name, {})
            for field in step.get("field_map", {}).values():
                if isinstance(field, str):
                    yield field, step["model_id"]


def _queried_by(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for processor in body.get("request_processors", ()):
        enricher = processor.get("neural_query_enricher", {})
        if "default_model_id" in enricher:
            yield DENSE_FIELD, enricher["default_model_id"]
        yield from enricher.get("neural_field_default_id", {}).items()


def _of_queries(known: Sequence[ModelInfo], name: str) -> ModelInfo:
    """A model that encodes queries; ingest pipelines name those of documents."""
    model = choose_model(known, name)
    check_role(model, "queries")
    return model


def _dense_id(info: IndexInfo, model: ModelInfo) -> str:
    """Vectors of another model would be compared with the index's without an error."""
    expected = info.dense.fingerprint if info.dense else None
    if model.fingerprint and expected and model.fingerprint != expected:
        msg = (
            f"The model {model.label} ({model.fingerprint[:12]}) did not make the vectors of "
            f"{info.name!r} ({expected[:12]}). Choose the one that did: `tandem models list`."
        )
        raise EncoderMismatchError(msg)
    return model.id
