"""Who uses a model: pipelines and indices that name it, indices its encoder built."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from opensearch.mappings import META_KEY
from opensearch.ml.catalogue import ModelInfo
from opensearch.ml.errors import ModelInUseError
from opensearch.translation import if_allowed

_INGEST_SETTINGS = ("index.default_pipeline", "index.final_pipeline")
_SEARCH_SETTING = "index.search.default_pipeline"


@dataclass(frozen=True, slots=True)
class ClusterUse:
    """Everything in the cluster that can name a model, as the cluster answers it.

    Attributes:
        ingest: Ingest pipelines by name.
        search: Search pipelines by name.
        mappings: Mapping of each index.
        settings: Flat settings of each index.
        unknown: What the user may not ask.
    """

    ingest: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Who uses one model.

    Attributes:
        ingest_pipelines: Ingest pipelines that name it.
        search_pipelines: Search pipelines that name it.
        indices: Indices whose mapping names it, or whose default pipeline does.
        same_encoder: Indices built with the encoder that it is; they work without it, except for
            queries by its id.
        unknown: What could not be asked.
    """

    ingest_pipelines: tuple[str, ...] = ()
    search_pipelines: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()
    same_encoder: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def in_use(self) -> bool:
        """Whether something would break without the model."""
        return bool(self.ingest_pipelines or self.search_pipelines or self.indices)

    def as_dict(self) -> dict[str, list[str]]:
        """The names as JSON-ready values."""
        return {
            "ingest_pipelines": list(self.ingest_pipelines),
            "search_pipelines": list(self.search_pipelines),
            "indices": list(self.indices),
            "same_encoder": list(self.same_encoder),
            "unknown": list(self.unknown),
        }


def read_use(client: Any) -> ClusterUse:
    """Ask for everything that can name a model; what the user may not ask stays unknown."""
    questions: dict[str, Callable[[], Any]] = {
        "ingest pipelines": lambda: _pipelines(client, "/_ingest/pipeline"),
        "search pipelines": lambda: _pipelines(client, "/_search/pipeline"),
        "mappings": lambda: client.indices.get_mapping(index="*", expand_wildcards="all"),
        "index settings": lambda: client.indices.get_settings(
            index="*", flat_settings=True, expand_wildcards="all"
        ),
    }
    answers = {what: if_allowed(f"reading {what}", call) for what, call in questions.items()}
    unknown = tuple(what for what, answer in answers.items() if answer is None)
    ingest, search, mappings, settings = (answer or {} for answer in answers.values())
    return ClusterUse(ingest, search, mappings, settings, unknown)


def _pipelines(client: Any, path: str) -> Any:
    """Where there is none the server answers 404, some versions with an error and some without."""
    answer = client.transport.perform_request("GET", path, params={"ignore": 404})
    return {} if "error" in answer else answer


def usage_of(model: ModelInfo, use: ClusterUse) -> Usage:
    """Who uses a model, from what the cluster answered."""
    ingest = sorted(name for name, body in use.ingest.items() if names(body, model.id))
    search = sorted(name for name, body in use.search.items() if names(body, model.id))
    indices = {
        name
        for name, body in use.mappings.items()
        if names(body.get("mappings", {}).get("properties", {}), model.id)
    }
    for name, body in use.settings.items():
        settings = body.get("settings", {})
        if any(settings.get(key) in ingest for key in _INGEST_SETTINGS):
            indices.add(name)
        if settings.get(_SEARCH_SETTING) in search:
            indices.add(name)
    return Usage(
        ingest_pipelines=tuple(ingest),
        search_pipelines=tuple(search),
        indices=tuple(sorted(indices)),
        same_encoder=tuple(sorted(_built_with(model, use))),
        unknown=use.unknown,
    )


def refuse_in_use(model: ModelInfo, usage: Usage, consequence: str) -> None:
    """Refuse to take away what something names.

    Raises:
        ModelInUseError: Something does.
    """
    if not usage.in_use:
        return
    users = [
        f"{what} {', '.join(found)}"
        for what, found in (
            ("ingest pipeline", usage.ingest_pipelines),
            ("search pipeline", usage.search_pipelines),
            ("index", usage.indices),
        )
        if found
    ]
    msg = (
        f"{model.label} ({model.id}) is in use: {'; '.join(users)}. {consequence} Change them "
        "first, or insist with --force."
    )
    raise ModelInUseError(msg)


def names(body: Any, model_id: str) -> bool:
    """Whether a model's id stands anywhere in a body; ids are too random to be other words."""
    return any(value == model_id for value in _strings(body))


def _strings(body: Any) -> Iterator[str]:
    if isinstance(body, str):
        yield body
    elif isinstance(body, Mapping):
        for value in body.values():
            yield from _strings(value)
    elif isinstance(body, list):
        for value in body:
            yield from _strings(value)


def _built_with(model: ModelInfo, use: ClusterUse) -> Iterator[str]:
    if model.fingerprint is None:
        return
    for name, body in use.mappings.items():
        meta = body.get("mappings", {}).get("_meta", {}).get(META_KEY, {})
        encoders = meta.get("encoders", {}).values()
        if model.fingerprint in {encoder.get("fingerprint") for encoder in encoders}:
            yield name
