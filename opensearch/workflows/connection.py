"""Find the cluster a command should talk to."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opensearch.client import connect
from opensearch.settings import ENVIRONMENT_PREFIX, ClusterSettings, load_settings

if TYPE_CHECKING:
    from opensearch.local.state import EngineState


def open_cluster(url: str | None = None, **overrides: Any) -> Any:
    """Connect to the given cluster, the configured one, or the local engine, in that order.

    Raises:
        SettingsError: No address is known, or a setting is malformed.
    """
    return connect(cluster_settings(url, **overrides))


def cluster_settings(url: str | None = None, **overrides: Any) -> ClusterSettings:
    """The settings behind ``open_cluster``."""
    if url is None and not _configured():
        from opensearch.local.engine import running_engine

        state = running_engine()
        if state is not None:
            return load_settings(**{**_engine_access(state), **overrides})
    return load_settings(url, **overrides)


def _engine_access(state: "EngineState") -> dict[str, Any]:
    """Addresses of the local engine and, where it is secured, its login."""
    access: dict[str, Any] = {"url": ",".join(state.urls)}
    if state.login is not None:
        login = state.login
        access |= {"user": login.user, "password": login.password, "ca_file": login.ca_file}
    return access


def _configured() -> bool:
    from opensearch.settings import CONFIG_FILE, CONFIG_VARIABLE

    names = (ENVIRONMENT_PREFIX + "URL", CONFIG_VARIABLE)
    return any(os.environ.get(name) for name in names) or Path(CONFIG_FILE).is_file()
