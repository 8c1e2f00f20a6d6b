"""Pipelines and default pipelines of indices, as a cluster holds them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from opensearch.errors import ForbiddenError, IndexNotFoundError, SearchBackendError
from opensearch.mappings import DEFAULT_PIPELINE, META_KEY
from opensearch.translation import translated

Kind = Literal["ingest", "search"]
KINDS: tuple[Kind, ...] = ("ingest", "search")
PATHS: Mapping[Kind, str] = MappingProxyType(
    {"ingest": "/_ingest/pipeline", "search": "/_search/pipeline"}
)
SETTINGS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "ingest": ("index.default_pipeline", "index.final_pipeline"),
        "search": ("index.search.default_pipeline",),
    }
)
NONE = "_none"


@dataclass(frozen=True, slots=True)
class Use:
    """An index that sends its writers or searches through a pipeline.

    Attributes:
        index: Physical name.
        setting: Setting that says so.
    """

    index: str
    setting: str


def read_pipelines(client: Any, kind: Kind, names: str = "*") -> dict[str, dict[str, Any]]:
    """Pipelines of one kind by name; those that do not exist are absent."""
    with translated(f"reading {kind} pipelines"):
        answer = client.transport.perform_request(
            "GET", f"{PATHS[kind]}/{names}", params={"ignore": 404}
        )
    # A 404 answers an error object, or nothing at all.
    return {} if "error" in answer else dict(answer)


def write_pipeline(client: Any, kind: Kind, name: str, body: Mapping[str, Any]) -> None:
    """Create a pipeline, or write it anew."""
    with translated(f"writing the {kind} pipeline {name}"):
        client.transport.perform_request("PUT", f"{PATHS[kind]}/{name}", body=dict(body))


def delete_pipeline(client: Any, kind: Kind, name: str) -> None:
    """Remove a pipeline."""
    with translated(f"removing the {kind} pipeline {name}"):
        client.transport.perform_request("DELETE", f"{PATHS[kind]}/{name}")


def default_pipelines(client: Any, index: str = "_all") -> dict[str, dict[str, str]]:
    """Settings that name a pipeline, by physical index.

    Raises:
        ForbiddenError: The user may not see all of the indices.
    """
    wanted = ",".join(setting for settings in SETTINGS.values() for setting in settings)
    with translated("reading index settings"):
        answer = client.indices.get_settings(
            index=index, name=wanted, params={"flat_settings": "true", "expand_wildcards": "all"}
        )
    return {name: dict(found["settings"]) for name, found in answer.items()}


def all_default_pipelines(client: Any) -> dict[str, dict[str, str]]:
    """The same for every index, where the user may see them or the cluster's state.

    Raises:
        ForbiddenError: The user may see neither.
    """
    try:
        return default_pipelines(client)
    except ForbiddenError:
        return _defaults_in_state(client)


def _defaults_in_state(client: Any) -> dict[str, dict[str, str]]:
    """From the cluster's state, which is one permission and not one for every index."""
    wanted = [setting for settings in SETTINGS.values() for setting in settings]
    paths = ",".join(f"metadata.indices.*.settings.{setting}" for setting in wanted)
    with translated("reading the cluster's state"):
        answer = client.transport.perform_request(
            "GET", "/_cluster/state/metadata", params={"filter_path": paths}
        )
    found: dict[str, dict[str, str]] = {}
    for name, body in answer.get("metadata", {}).get("indices", {}).items():
        values = {setting: _at(body["settings"], setting) for setting in wanted}
        found[name] = {key: str(value) for key, value in values.items() if value is not None}
    return found


def _at(settings: Mapping[str, Any], path: str) -> Any:
    """A value of settings that are not flat."""
    found: Any = settings
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def users_of(defaults: Mapping[str, Mapping[str, str]], kind: Kind, name: str) -> list[Use]:
    """Indices that use a pipeline."""
    return [
        Use(index, setting)
        for index, settings in sorted(defaults.items())
        for setting in SETTINGS[kind]
        if settings.get(setting) == name
    ]


def defaults_of(client: Any, index: str) -> dict[str, dict[str, str]]:
    """The same for every index behind a name or alias, those without such a setting too.

    Raises:
        IndexNotFoundError: There are none.
    """
    with translated(f"looking for {index}"):
        if not client.indices.exists(index=index):
            msg = f"There is no index or alias {index!r}; make it first, or leave `index` out."
            raise IndexNotFoundError(msg)
        names = sorted(client.indices.get_settings(index=index))
    found = default_pipelines(client, index)
    return {name: found.get(name, {}) for name in names}


def attach(client: Any, use: Use, name: str | None) -> None:
    """Set, or with ``None`` unset, an index's default pipeline."""
    with translated(f"setting {use.setting} of {use.index}"):
        client.indices.put_settings(index=use.index, body={use.setting: name})


def detach(client: Any, use: Use) -> None:
    """Unset an index's default pipeline; an index of Tandem's gets back its own for searches."""
    own = None
    if use.setting in SETTINGS["search"] and _is_ours(client, use.index):
        own = DEFAULT_PIPELINE if read_pipelines(client, "search", DEFAULT_PIPELINE) else None
    attach(client, use, own)


def _is_ours(client: Any, index: str) -> bool:
    with translated(f"reading the mapping of {index}"):
        answer = client.indices.get_mapping(index=index)
    return META_KEY in answer[index]["mappings"].get("_meta", {})


def check_name(name: str) -> None:
    """Refuse a pipeline name that a URL or OpenSearch would read as something else.

    Raises:
        SearchBackendError: It holds a wildcard, a comma or a slash, or starts with ``_``.
    """
    if not name or name.startswith("_") or any(c in name for c in "*,/?#% "):
        msg = f"{name!r} is no name of a pipeline: no spaces and none of * , / ? # %, no _ in front"
        raise SearchBackendError(msg)
