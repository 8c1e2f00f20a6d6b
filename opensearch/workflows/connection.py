"""Find the cluster a command should talk to."""

import os
from pathlib import Path
from typing import Any

from opensearch.client import connect
from opensearch.settings import ENVIRONMENT_PREFIX, ClusterSettings, load_settings


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
        url = state.url if state else None
    return load_settings(url, **overrides)


def _configured() -> bool:
    from opensearch.settings import CONFIG_FILE, CONFIG_VARIABLE

    names = (ENVIRONMENT_PREFIX + "URL", CONFIG_VARIABLE)
    return any(os.environ.get(name) for name in names) or Path(CONFIG_FILE).is_file()
