"""The models that a cluster holds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opensearch.ml.errors import ModelNotFoundError
from opensearch.ml.groups import GroupInfo, list_groups, note_of
from opensearch.ml.rest import ROOT, Request, search, send
from opensearch.translation import if_allowed

NOTES_KEY = "tandem"
DEPLOYED = frozenset({"DEPLOYED", "PARTIALLY_DEPLOYED", "LOADED", "PARTIALLY_LOADED"})
INCOMPLETE = frozenset({"REGISTERING", "UPLOADING"})
MOST_MODELS = 10_000
# Chunks of a model lie beside it in the same index.
_NO_CHUNKS = {"bool": {"must_not": {"exists": {"field": "chunk_number"}}}}
_FIELDS = (
    "name",
    "model_version",
    "model_group_id",
    "model_state",
    "algorithm",
    "model_format",
    "model_content_size_in_bytes",
    "model_content_hash_value",
    "total_chunks",
    "planning_worker_node_count",
    "current_worker_node_count",
    "created_time",
    "model_config",
    "connector_id",
)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as ML Commons knows it.

    Attributes:
        id: Its id, by which pipelines and queries name it.
        name: Its name; several versions share one.
        version: Counted by ML Commons within the group.
        group_id: Id of the model group.
        group: Name of the model group.
        state: ``REGISTERING`` (half-uploaded), ``REGISTERED``, ``DEPLOYED``, …
        function: ``TEXT_EMBEDDING``, ``SPARSE_ENCODING``, ``SPARSE_TOKENIZE``, ``REMOTE``, …
        format: ``ONNX`` or ``TORCH_SCRIPT``; ``None`` for a remote model.
        size_bytes: Size of what was uploaded.
        content_hash: SHA-256 of what was uploaded.
        chunks: In how many pieces it is stored.
        workers: Nodes that have it deployed.
        planned_workers: Nodes that should.
        memory_bytes: What ML Commons reckons it takes on one node; ``None`` while undeployed.
        config: The ``model_config`` it was registered with.
        notes: What Tandem noted there or in the group: ``model``, ``fingerprint``.
    """

    id: str
    name: str
    version: str
    group_id: str
    group: str
    state: str
    function: str
    format: str | None
    size_bytes: int | None = None
    content_hash: str | None = None
    chunks: int | None = None
    workers: int = 0
    planned_workers: int = 0
    memory_bytes: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of the encoder it is: that of :class:`encoders.base.EncoderIdentity`."""
        found = self.notes.get("fingerprint")
        return str(found) if found else None

    @property
    def deployed(self) -> bool:
        """Whether it answers."""
        return self.state in DEPLOYED

    @property
    def incomplete(self) -> bool:
        """Whether its upload broke off, or still runs."""
        return self.state in INCOMPLETE

    @property
    def label(self) -> str:
        """``name@version``: unlike the name alone, it stands for one model."""
        return f"{self.name}@{self.version}"

    def as_dict(self) -> dict[str, Any]:
        """The model as JSON-ready values."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "group": self.group,
            "state": self.state,
            "function": self.function,
            "format": self.format,
            "size_bytes": self.size_bytes,
            "memory_bytes": self.memory_bytes,
            "workers": self.workers,
            "planned_workers": self.planned_workers,
            "fingerprint": self.fingerprint,
            "content_hash": self.content_hash,
        }


def list_models(client: Any) -> list[ModelInfo]:
    """Every model the user may see, by name and version, with the memory of deployed ones."""
    body = {"query": _NO_CHUNKS, "size": MOST_MODELS, "_source": list(_FIELDS)}
    hits = search(client, "/models", body, "listing models")
    if not hits:
        return []
    groups = list_groups(client)
    memory = memory_by_model(_profile(client))
    found = (read_model_info(hit["_id"], hit["_source"]) for hit in hits)
    models = [
        replace(in_group(model, groups.get(model.group_id)), memory_bytes=memory.get(model.id))
        for model in found
    ]
    return sorted(models, key=lambda model: (model.name, _number(model.version), model.id))


def find_model(client: Any, name_or_id: str) -> ModelInfo:
    """The model of an id, a name (its newest deployed version, else its newest) or name@version.

    Raises:
        ModelNotFoundError: There is none.
    """
    return refreshed(client, choose_model(list_models(client), name_or_id))


def refreshed(client: Any, model: ModelInfo) -> ModelInfo:
    """The model as it is right now: a search may still see it as it was a second ago."""
    source = send(client, Request("GET", f"/models/{model.id}"), f"asking for {model.label}")
    now = read_model_info(model.id, source)
    notes = now.notes or model.notes
    return replace(now, group=model.group, memory_bytes=model.memory_bytes, notes=notes)


def in_group(model: ModelInfo, group: GroupInfo | None) -> ModelInfo:
    """The model with its group's name, and what the group's description says of it."""
    if group is None:
        return model
    note = note_of(group.description, model.content_hash)
    if model.notes or note is None:
        return replace(model, group=group.name)
    notes = {"fingerprint": note.fingerprint, "model": note.source}
    return replace(model, group=group.name, notes=notes)


def choose_model(models: Sequence[ModelInfo], name_or_id: str, *, only: bool = False) -> ModelInfo:
    """What a name stands for among ``models``.

    Args:
        models: As :func:`list_models` sorts them.
        name_or_id: Id, name or ``name@version``.
        only: Refuse a name that stands for several versions instead of taking the newest.

    Raises:
        ModelNotFoundError: There is none, or there are several and ``only`` one may be meant.
    """
    exact = [model for model in models if name_or_id in (model.id, model.label)]
    named = exact or [model for model in models if model.name == name_or_id]
    if not named:
        known = ", ".join(sorted({model.label for model in models})) or "none"
        msg = f"The cluster holds no model {name_or_id!r}. It holds: {known}."
        raise ModelNotFoundError(msg)
    if only and len(named) > 1:
        labels = ", ".join(f"{model.label} ({model.id})" for model in named)
        msg = f"{name_or_id!r} stands for several models: {labels}. Name one of them."
        raise ModelNotFoundError(msg)
    return max(named, key=lambda model: (model.deployed, _number(model.version)))


def read_model_info(model_id: str, source: Mapping[str, Any]) -> ModelInfo:
    """A model from the document that ML Commons keeps of it; its group is known by id only."""
    config = source.get("model_config") or {}
    return ModelInfo(
        id=model_id,
        name=str(source.get("name", "")),
        version=str(source.get("model_version", "")),
        group_id=str(source.get("model_group_id", "")),
        group="",
        state=str(source.get("model_state", "")),
        function=str(source.get("algorithm", "")),
        format=source.get("model_format"),
        size_bytes=source.get("model_content_size_in_bytes"),
        content_hash=source.get("model_content_hash_value"),
        chunks=source.get("total_chunks"),
        workers=int(source.get("current_worker_node_count") or 0),
        planned_workers=int(source.get("planning_worker_node_count") or 0),
        config=config,
        notes=notes_of(config),
    )


def notes_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What Tandem wrote into ``all_config``, which ML Commons keeps of dense models."""
    try:
        found = json.loads(config.get("all_config") or "{}")
    except ValueError:
        return {}
    notes = found.get(NOTES_KEY, {}) if isinstance(found, dict) else {}
    return notes if isinstance(notes, dict) else {}


def stored_chunks(client: Any, model_id: str, total: int) -> set[int]:
    """Numbers of the chunks of a model that the cluster already stores."""
    ids = [f"{model_id}_{number}" for number in range(total)]
    body = {
        "query": {"ids": {"values": ids}},
        "size": max(1, min(total, MOST_MODELS)),
        "_source": ["chunk_number"],
    }
    hits = search(client, "/models", body, "looking for chunks already uploaded")
    return {int(hit["_source"]["chunk_number"]) for hit in hits}


def memory_by_model(profile: Mapping[str, Any]) -> dict[str, int]:
    """Largest reckoned memory of each model on any node."""
    found: dict[str, int] = {}
    for model_id, values in _profiled(profile):
        size = values.get("memory_size_estimation_cpu")
        if size is not None:
            found[model_id] = max(int(size), found.get(model_id, 0))
    return found


def _profiled(profile: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for node in (profile.get("nodes") or {}).values():
        yield from (node.get("models") or {}).items()


def _profile(client: Any) -> Mapping[str, Any]:
    """What the nodes say about deployed models; nothing where the user may not ask."""
    answer = if_allowed(
        "asking for the memory of models",
        lambda: client.transport.perform_request("GET", f"{ROOT}/profile/models"),
    )
    return answer if isinstance(answer, dict) else {}


def _number(version: str) -> tuple[int, str]:
    return (int(version) if version.isdigit() else -1, version)
