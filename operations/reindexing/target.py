"""The body of a new physical index: that of the old one with other encoders. Pure."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from encoders.base import EncoderIdentity
from opensearch.index_info import IndexInfo
from opensearch.index_spec import DenseEngine, IndexSpec
from opensearch.mappings import (
    DEFAULT_PIPELINE,
    DENSE_FIELD,
    META_KEY,
    SPARSE_FIELD,
    TOKENS_FIELD,
    index_body,
    seismic_body,
)
from opensearch.workflows.query_encoders import FUSION_NOTE

# Notes that say something of one physical index, not of what it holds.
STATE_NOTE = "reindex"
SYNCED_NOTE = "synced"
CARRY_NOTE = "carry"
VERSION_NOTE = "version"
_OWN_NOTES = (STATE_NOTE, SYNCED_NOTE, CARRY_NOTE)
# What the server says of an index, and what jobs set for a while.
_OWN_SETTINGS = (
    "uuid",
    "version",
    "creation_date",
    "provided_name",
    "blocks",
    "resize",
    "gc_deletes",
    "refresh_interval",
)
# Pipelines encode by models in the cluster, which are not the new index's encoders.
PIPELINE_SETTINGS = ("default_pipeline", "final_pipeline")


@dataclass(frozen=True, slots=True)
class Changes:
    """In what the new index differs.

    Attributes:
        version: Version of the models.
        dense: The dense encoder.
        sparse: The sparse encoder.
        encoder_options: Options that change what they give.
        changed: Whether an encoder is another one.
        dense_floor: What unrelated texts score, where the dense encoder is another one.
        max_sparse_weight: Largest token weight, where the sparse encoder is another one.
        shards: Primary shards, or ``None`` as before.
        replicas: Copies of each shard, or ``None`` as before.
    """

    version: str
    dense: EncoderIdentity | None
    sparse: EncoderIdentity | None
    encoder_options: Mapping[str, Any]
    changed: bool
    dense_floor: float | None = None
    max_sparse_weight: float = 3.0
    shards: int | None = None
    replicas: int | None = None


def new_body(
    old: Mapping[str, Any], info: IndexInfo, changes: Changes, now: datetime | None = None
) -> dict[str, Any]:
    """Settings and mapping of the new main index.

    Args:
        old: ``{"settings": ..., "mappings": ...}`` of the old one, as the server tells them.
        info: The old index.
        changes: In what it differs.
        now: Creation time for ``_meta``; the clock by default.
    """
    mappings = deepcopy(dict(old["mappings"]))
    properties = mappings["properties"]
    fresh = index_body(_spec(info, changes))["mappings"]["properties"]
    for field, identity in ((DENSE_FIELD, changes.dense), (SPARSE_FIELD, changes.sparse)):
        if identity is None or field not in fresh:
            properties.pop(field, None)
        elif field not in properties:
            properties[field] = fresh[field]
    if changes.dense is not None:
        properties[DENSE_FIELD]["dimension"] = changes.dense.dimension
    mappings["_meta"] = {**mappings["_meta"], META_KEY: new_meta(info, changes, now)}
    settings = _settings(old["settings"]["index"], changes)
    settings.pop("knn", None)
    if changes.dense is not None:
        settings["knn"] = True
    else:
        settings.pop("knn.derived_source", None)
    return {"settings": {"index": settings}, "mappings": mappings}


def new_companion_body(
    old: Mapping[str, Any] | None, info: IndexInfo, changes: Changes, *, kept: bool
) -> dict[str, Any]:
    """The same for the companion with the SEISMIC field.

    Args:
        old: The old companion; ``None`` where there is none.
        info: The old main index.
        changes: In what the new one differs.
        kept: Whether the token weights are copied: their range is then as before.
    """
    fresh = seismic_body(_spec(info, changes))
    if old is None:
        return fresh
    mappings = deepcopy(dict(old["mappings"]))
    mappings["_meta"] = {META_KEY: new_meta(info, changes, None)}
    if not kept:
        mappings["properties"][TOKENS_FIELD] = fresh["mappings"]["properties"][TOKENS_FIELD]
    settings = _settings(old["settings"]["index"], changes)
    return {"settings": {"index": settings}, "mappings": mappings}


def new_meta(info: IndexInfo, changes: Changes, now: datetime | None) -> dict[str, Any]:
    """The notes of the old index with those of the new encoders.

    What was tuned for other encoders says nothing of these, so a tuned fusion is left out.
    """
    identities = {"dense": changes.dense, "sparse": changes.sparse}
    notes = {name: value for name, value in info.notes.items() if name not in _OWN_NOTES}
    if changes.changed:
        notes.pop(FUSION_NOTE, None)
    if not _same(info.dense, changes.dense):
        notes.pop("dense_floor", None)
        if changes.dense is not None:
            notes["dense_floor"] = changes.dense_floor
    return {
        **notes,
        "created": (now or datetime.now(UTC)).isoformat(timespec="seconds"),
        "encoders": {leg: e.as_dict() for leg, e in identities.items() if e is not None},
        "encoder_options": dict(changes.encoder_options),
        VERSION_NOTE: changes.version,
    }


def dropped_pipelines(settings: Mapping[str, Any], changes: Changes) -> list[str]:
    """Pipelines of the old index that are not attached to the new one."""
    return list(_pipelines(settings["index"])) if changes.changed else []


def _pipelines(settings: Mapping[str, Any]) -> dict[str, str]:
    found = {f"index.{name}": settings[name] for name in PIPELINE_SETTINGS if name in settings}
    search = settings.get("search", {}).get("default_pipeline")
    if search not in (None, DEFAULT_PIPELINE):
        found["index.search.default_pipeline"] = search
    return {name: pipeline for name, pipeline in found.items() if pipeline != "_none"}


def _settings(old: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    settings = {name: deepcopy(v) for name, v in old.items() if name not in _OWN_SETTINGS}
    if "routing" in settings:  # says where copies may lie; what it was shrunk from does not
        settings["routing"].get("allocation", {}).pop("initial_recovery", None)
    if changes.changed:
        for name in PIPELINE_SETTINGS:
            settings.pop(name, None)
        if "search" in settings and "default_pipeline" in settings["search"]:
            settings["search"]["default_pipeline"] = DEFAULT_PIPELINE
    wanted = {"number_of_shards": changes.shards, "number_of_replicas": changes.replicas}
    if changes.shards is not None:
        settings.pop("number_of_routing_shards", None)
    return {**settings, **{name: value for name, value in wanted.items() if value is not None}}


def _spec(info: IndexInfo, changes: Changes) -> IndexSpec:
    engine: DenseEngine = "lucene"  # only for a dense field that the old index does not have
    return IndexSpec(
        name=info.name,
        analyzers=info.analyzers,
        dense=changes.dense,
        sparse=changes.sparse,
        sparse_field=info.sparse_field,
        dense_engine=engine,
        compression=info.notes.get("compression", "1x"),
        max_sparse_weight=changes.max_sparse_weight,
        portable=info.portable,
    )


def _same(before: EncoderIdentity | None, after: EncoderIdentity | None) -> bool:
    return (before and before.fingerprint) == (after and after.fingerprint)
