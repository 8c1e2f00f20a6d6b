"""What a file, a folder or a value is, as SHA-256: how a run sees that something changed."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from operations.retraining.errors import RetrainingError


def digest_of(value: Any) -> str:
    """Digest of a JSON-ready value; the order of keys does not matter."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Digest of a file's content.

    Raises:
        RetrainingError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise RetrainingError(msg) from error


def path_digest(path: Path) -> str:
    """Digest of a file, or of all files of a folder and their names.

    Raises:
        RetrainingError: It is not there, or cannot be read.
    """
    if path.is_file():
        return file_digest(path)
    if not path.is_dir():
        msg = f"{path} is not there"
        raise RetrainingError(msg)
    return digest_of(folder_digests(path))


def folder_digests(folder: Path, within: Iterable[str] = ("",)) -> dict[str, str]:
    """Relative path -> digest of the files of a folder.

    Args:
        folder: The folder.
        within: Names of files and folders in it that count; by default everything.
    """
    found = {path for name in within for path in _files(folder / name)}
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(found)}


def unchanged(folder: Path, digests: Mapping[str, str]) -> bool:
    """Whether every file is there and has the digest it had."""
    return all(
        (folder / name).is_file() and file_digest(folder / name) == digest
        for name, digest in digests.items()
    )


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for entry in path.rglob("*"):
        hidden = any(part.startswith(".") for part in entry.relative_to(path).parts)
        if entry.is_file() and not hidden and "__pycache__" not in entry.parts:
            yield entry
