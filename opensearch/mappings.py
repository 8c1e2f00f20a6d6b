"""Index bodies: pure functions from an ``IndexSpec`` to settings and mappings."""

from datetime import UTC, datetime
from typing import Any

from opensearch.index_spec import IndexSpec
from opensearch.languages import CJK_ANALYSIS, SEARCH_ANALYZERS

META_KEY = "tandem"
SCHEMA = 1
DENSE_FIELD = "dense"
SPARSE_FIELD = "sparse"
TOKENS_FIELD = "tokens"
PASSAGE_FIELD = "passage"
DEFAULT_PIPELINE = "tandem-default"

_KEYWORD = {"type": "keyword"}
# The longest value Lucene takes is 32,766 bytes; a longer one is kept but not searchable.
_EXACT = {"type": "keyword", "ignore_above": 8191}
_METADATA_TEMPLATE = {
    "metadata_strings": {
        "path_match": "metadata.*",
        "match_mapping_type": "string",
        "mapping": _EXACT,
    }
}


def index_body(spec: IndexSpec, now: datetime | None = None) -> dict[str, Any]:
    """Settings and mapping of the main index: text, vectors and, by default, token weights.

    Args:
        spec: What to create.
        now: Creation time for ``_meta``; the clock by default.
    """
    properties: dict[str, Any] = {
        "doc_id": _KEYWORD,
        "ordinal": {"type": "integer"},
        "level": _KEYWORD,
        "parent": {"type": "keyword", "doc_values": False},
        "start": {"type": "integer", "index": False},
        "end": {"type": "integer", "index": False},
        "fingerprint": {"type": "keyword", "index": False, "doc_values": False},
        "encoder": _KEYWORD,
        "exact": _EXACT,
        "exact_title": _EXACT,
        "title": _text_field(spec),
        "text": _text_field(spec),
        "metadata": {"type": "object", "dynamic": True},
    }
    if spec.portable:
        properties[PASSAGE_FIELD] = _text_field(spec)
        for field in ("title", "text"):
            properties[field] = {**properties[field], "copy_to": PASSAGE_FIELD}
    settings: dict[str, Any] = _shards(spec)
    if set(spec.analyzers.values()) & set(CJK_ANALYSIS["analyzer"]):
        settings["analysis"] = dict(CJK_ANALYSIS)
    if spec.dense is not None:
        properties[DENSE_FIELD] = _knn_vector(spec)
        settings["index.knn"] = True
    if spec.sparse is not None and spec.sparse_field == "rank_features":
        properties[SPARSE_FIELD] = {"type": "rank_features"}
    # A hybrid query without a normalisation pipeline answers sentinel scores instead of an error.
    settings["index.search.default_pipeline"] = DEFAULT_PIPELINE
    return {"settings": settings, "mappings": _mapping(spec, properties, now)}


def seismic_body(spec: IndexSpec, now: datetime | None = None) -> dict[str, Any]:
    """Settings and mapping of the companion index with the ``sparse_vector`` field.

    One index cannot hold both an HNSW and a SEISMIC field: their codecs exclude each other.
    """
    ceiling = max(1.0, float(spec.max_sparse_weight))
    parameters = {"quantization_ceiling_ingest": ceiling, "quantization_ceiling_search": 64.0}
    properties = {
        "doc_id": _KEYWORD,
        "level": _KEYWORD,
        TOKENS_FIELD: {
            "type": "sparse_vector",
            "method": {"name": "seismic", "parameters": parameters},
        },
        "metadata": {"type": "object", "dynamic": True},
    }
    settings = {**_shards(spec), "index.sparse": True}
    return {"settings": settings, "mappings": _mapping(spec, properties, now)}


def _shards(spec: IndexSpec) -> dict[str, Any]:
    return {
        "number_of_shards": spec.shards,
        "number_of_replicas": spec.replicas,
        # "n/a" in a numeric field costs that value its filter, not the passage its place.
        "index.mapping.ignore_malformed": True,
    }


def _mapping(spec: IndexSpec, properties: dict[str, Any], now: datetime | None) -> dict[str, Any]:
    return {
        "dynamic": "strict",
        "_meta": {META_KEY: index_meta(spec, now)},
        "dynamic_templates": [_METADATA_TEMPLATE],
        "properties": properties,
    }


def index_meta(spec: IndexSpec, now: datetime | None = None) -> dict[str, Any]:
    """What a later search must know about the index, kept in the mapping's ``_meta``."""
    identities = {"dense": spec.dense, "sparse": spec.sparse}
    return {
        "schema": SCHEMA,
        "name": spec.name,
        "created": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        # Pairs: OpenSearch does not keep the order of an object's keys; the first is the main.
        "analyzers": [[script, analyzer] for script, analyzer in spec.analyzers.items()],
        "sparse_field": spec.sparse_field,
        "encoders": {leg: e.as_dict() for leg, e in identities.items() if e is not None},
        **({"portable": True} if spec.portable else {}),
        **({"compression": spec.compression} if spec.compression != "1x" else {}),
        **spec.notes,
    }


def _text_field(spec: IndexSpec) -> dict[str, Any]:
    (_, main), *others = spec.analyzers.items()
    fields = {script: _analyzed(name) for script, name in others}
    return {**_analyzed(main), "fields": fields} if fields else _analyzed(main)


def _analyzed(analyzer: str) -> dict[str, Any]:
    field = {"type": "text", "analyzer": analyzer}
    searched = SEARCH_ANALYZERS.get(analyzer)
    return {**field, "search_analyzer": searched} if searched else field


def _knn_vector(spec: IndexSpec) -> dict[str, Any]:
    assert spec.dense is not None  # checked by the caller; vectors are unit length
    return {
        "type": "knn_vector",
        "dimension": spec.dense.dimension,
        **({"compression_level": spec.compression} if spec.compression != "1x" else {}),
        "space_type": "innerproduct",
        "method": {
            "name": "hnsw",
            # Never the server's default, faiss: without native libraries it kills the node.
            "engine": spec.dense_engine,
            "parameters": {"m": spec.m, "ef_construction": spec.ef_construction},
        },
    }
