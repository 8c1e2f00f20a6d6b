"""Is the cluster set up for models on its nodes?"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearch.capabilities import Capabilities
from opensearch.ml.errors import PreflightError
from opensearch.translation import if_allowed, translated

PLUGIN = "opensearch-ml"
PREFIX = "plugins.ml_commons."
_OFF = 100  # a threshold that no node can pass


@dataclass(frozen=True, slots=True)
class ClusterState:
    """What decides whether a node takes a model; unknown parts are ``None``.

    Attributes:
        settings: Flat settings in effect.
        roles: Roles of each node.
        memory_percent: Used memory of the fullest node.
        local_models: Local models deployed now.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    roles: Sequence[Sequence[str]] | None = None
    memory_percent: int | None = None
    local_models: int = 0


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A setting that stands in the way.

    Attributes:
        setting: Its full name.
        value: What it is.
        wanted: What it should be.
        why: Why.
    """

    setting: str
    value: str
    wanted: Any
    why: str


def require_ml_commons(capabilities: Capabilities) -> None:
    """Refuse a cluster that certainly lacks ML Commons.

    Raises:
        CapabilityError: It does.
    """
    capabilities.require_plugin(PLUGIN, "A model on the cluster's nodes")


def obstacles(state: ClusterState, new_models: int = 1) -> list[Obstacle]:
    """Settings that keep the nodes from taking ``new_models`` more models."""
    checks = (_node_role(state), _local_models(state), _memory(state), _count(state, new_models))
    return [found for found in checks if found is not None]


def settings_body(found: Sequence[Obstacle]) -> dict[str, Any]:
    """Body of the settings call that removes obstacles."""
    return {"persistent": {obstacle.setting: obstacle.wanted for obstacle in found}}


def refuse_obstacles(found: Sequence[Obstacle]) -> None:
    """Refuse to go on, with the call that would help.

    Raises:
        PreflightError: There is an obstacle.
    """
    if not found:
        return
    lines = [f"  {o.setting} is {o.value}: {o.why}" for o in found]
    call = json.dumps(settings_body(found), indent=2)
    msg = "\n".join(
        (
            "The cluster is not set up for models on its nodes:",
            *lines,
            "--apply-settings makes this call, or make it yourself:",
            f"PUT /_cluster/settings\n{call}",
        )
    )
    raise PreflightError(msg)


def apply_settings(client: Any, found: Sequence[Obstacle]) -> None:
    """Remove obstacles.

    Raises:
        SearchBackendError: The user may not change settings.
    """
    with translated("changing cluster settings"):
        client.cluster.put_settings(body=settings_body(found))


def read_state(client: Any, local_models: int) -> ClusterState:
    """Ask for settings, roles and memory; what the user may not ask stays unknown."""
    settings = if_allowed(
        "reading cluster settings",
        lambda: client.cluster.get_settings(include_defaults=True, flat_settings=True),
    )
    nodes = if_allowed(
        "reading node roles", lambda: client.nodes.info(params={"filter_path": "nodes.*.roles"})
    )
    stats = if_allowed(
        "reading node memory",
        lambda: client.nodes.stats(
            metric="os", params={"filter_path": "nodes.*.os.mem.used_percent"}
        ),
    )
    return ClusterState(
        settings=_in_effect(settings or {}),
        roles=None if nodes is None else [n["roles"] for n in nodes.get("nodes", {}).values()],
        memory_percent=None if stats is None else _fullest(stats),
        local_models=local_models,
    )


def _node_role(state: ClusterState) -> Obstacle | None:
    value = _setting(state, "only_run_on_ml_node")
    if value != "true" or state.roles is None or any("ml" in roles for roles in state.roles):
        return None
    why = "models run on nodes with the role `ml` only, and there is none"
    return Obstacle(PREFIX + "only_run_on_ml_node", value, False, why)


def _local_models(state: ClusterState) -> Obstacle | None:
    value = _setting(state, "local_model.enabled")
    if value != "false":
        return None
    why = "models on the nodes are switched off"
    return Obstacle(PREFIX + "local_model.enabled", value, True, why)


def _memory(state: ClusterState) -> Obstacle | None:
    value = _setting(state, "native_memory_threshold")
    used = state.memory_percent
    if value is None or used is None or int(value) >= _OFF or used < int(value):
        return None
    why = f"a node uses {used} % of its memory already, and would refuse; {_OFF} is off"
    return Obstacle(PREFIX + "native_memory_threshold", value, _OFF, why)


def _count(state: ClusterState, new_models: int) -> Obstacle | None:
    value = _setting(state, "max_model_on_node")
    needed = state.local_models + new_models
    if value is None or int(value) >= needed:
        return None
    why = f"{state.local_models} models are deployed, and {new_models} more would not fit"
    return Obstacle(PREFIX + "max_model_on_node", value, needed, why)


def _setting(state: ClusterState, name: str) -> str | None:
    value = state.settings.get(PREFIX + name)
    return None if value is None else str(value).lower()


def _in_effect(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Transient settings win over persistent ones, those over defaults."""
    parts = (answer.get(part, {}) for part in ("defaults", "persistent", "transient"))
    return {key: value for part in parts for key, value in part.items()}


def _fullest(stats: Mapping[str, Any]) -> int | None:
    percents = [node["os"]["mem"]["used_percent"] for node in stats.get("nodes", {}).values()]
    return max(percents, default=None)
