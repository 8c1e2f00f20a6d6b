"""Who makes a version, with what, from which commit."""

import getpass
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "tandem-search",
    "accelerate",
    "datasets",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "opensearch-py",
    "peft",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
)
_GIT_TIMEOUT_S = 10


def author_of(given: str | None = None) -> str:
    """Who publishes: as given, else ``TANDEM_AUTHOR``, else the user and the machine's name."""
    named = given or os.environ.get("TANDEM_AUTHOR")
    if named:
        return named
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{platform.node() or 'unknown'}"


def git_commit(folder: Path) -> str | None:
    """Commit of the repository a folder lies in; ``+changes`` behind it where files differ.

    Returns:
        ``None`` outside a repository, or where git is not installed or refuses.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if changes else commit


def library_versions() -> dict[str, str]:
    """Versions of Python and of what models are made with, as installed here."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  # fixed arguments, no shell
            [program, "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
