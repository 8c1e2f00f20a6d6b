"""The user's cache folder, and files that appear in it whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def cache_folder() -> Path:
    """``TANDEM_CACHE``, else ``tandem`` in the user's cache folder."""
    own = os.environ.get("TANDEM_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tandem"


def build_once(
    target: Path,
    build: Callable[[Path], None],
    is_whole: Callable[[Path], bool] = Path.is_dir,
) -> Path:
    """Let ``build`` fill a folder, unless an earlier call already has.

    Of several processes one builds and the others wait for it. A build that fails leaves nothing.

    Args:
        target: The folder to have in the end.
        build: Fills the empty folder it is given.
        is_whole: Whether the folder is there and can be used; else it is built anew.
    """
    if is_whole(target):
        return target
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_name(target.name + ".lock")):
        if not is_whole(target):
            _build(target, build)
    return target


def _build(target: Path, build: Callable[[Path], None]) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        build(scratch)
        scratch.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
