"""Where the engine lives: cache for what can be fetched again, state for what cannot."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from opensearch.errors import EngineError
from opensearch.local.account import Account, can_reach

# Used only where the node's account cannot reach the folders of the user who starts it (root's).
SHARED_CACHE = Path("/var/cache/tandem")
SHARED_STATE = Path("/var/lib/tandem")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True)
class CachePaths:
    """Folders shared by all engines.

    Attributes:
        downloads: Fetched artifacts.
        homes: Folder of the assembled homes, one per version.
    """

    downloads: Path
    homes: Path


@dataclass(frozen=True)
class RunPaths:
    """Files that tell whether an engine runs; they lie where the caller keeps its state.

    Attributes:
        state_file: What runs, as JSON.
        run_lock: Held while this engine is started or stopped.
    """

    state_file: Path
    run_lock: Path


def cache_paths(account: Account, cache_root: Path | None = None) -> CachePaths:
    """Choose the shared folders.

    Args:
        account: Who the nodes run as.
        cache_root: Default: `TANDEM_CACHE`, or the user's cache folder.
    """
    cache = (cache_root or default_cache_root()).absolute()
    readable = cache if can_reach(account, cache) else SHARED_CACHE
    return CachePaths(cache / "downloads", readable / "engine")


def run_paths(name: str, state_root: Path | None = None) -> RunPaths:
    """Where the engine `name` is recorded while it runs.

    Args:
        name: Name of the engine.
        state_root: Default: `TANDEM_STATE`, or the user's state folder.

    Raises:
        EngineError: The name cannot be a folder's name.
    """
    engines = _engines(name, state_root)
    return RunPaths(engines / f"{name}.json", engines / f"{name}.lock")


def files_folder(name: str, account: Account, state_root: Path | None = None) -> Path:
    """Folder of the config, data and logs of the engine `name`, readable by its nodes.

    Args:
        name: Name of the engine.
        account: Who its nodes run as.
        state_root: Default: `TANDEM_STATE`, or the user's state folder.

    Raises:
        EngineError: The name cannot be a folder's name.
    """
    engines = _engines(name, state_root)
    if can_reach(account, engines):
        return engines / name
    # Two state folders may hold engines of the same name; their data must not meet.
    digest = hashlib.sha256(os.fsencode(engines)).hexdigest()[:8]
    return SHARED_STATE / "engine" / f"{name}-{digest}"


def default_cache_root() -> Path:
    """`TANDEM_CACHE`, else `tandem` in the user's cache folder."""
    return _root("TANDEM_CACHE", "XDG_CACHE_HOME", ".cache")


def default_state_root() -> Path:
    """`TANDEM_STATE`, else `tandem` in the user's state folder."""
    return _root("TANDEM_STATE", "XDG_STATE_HOME", ".local/state")


def _root(own: str, standard: str, below_home: str) -> Path:
    if chosen := os.environ.get(own):
        return Path(chosen).expanduser()
    if base := os.environ.get(standard):
        return Path(base) / "tandem"
    return Path.home() / below_home / "tandem"


def _engines(name: str, state_root: Path | None) -> Path:
    if not _NAME.fullmatch(name):
        msg = (
            f"{name!r} cannot name an engine: use small letters, digits, '-' and '_', "
            "beginning with a letter or digit."
        )
        raise EngineError(msg)
    return (state_root or default_state_root()).absolute() / "engine"
