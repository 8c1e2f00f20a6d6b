"""From a draft to the files of a version: everything is read and checked, nothing is written."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Literal

from encoders.lexical import NAME as LEXICAL
from encoders.options import LoadOptions
from encoders.service_address import is_service
from operations.registry.draft import Draft
from operations.registry.errors import RegistryError
from operations.registry.manifest import DataEntry, FileEntry, ModelEntry

EXPORTS = "exports"
CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class Packed:
    """A draft, looked at.

    Attributes:
        dense: The dense model.
        sparse: The sparse model.
        sources: File on this machine by path within the version.
        files: Its digest and size by the same path.
        data: Fingerprints of training and evaluation data.
        metrics: As they come back from JSON.
        parity: Likewise.
    """

    dense: ModelEntry | None
    sparse: ModelEntry | None
    sources: Mapping[str, Path]
    files: Mapping[str, FileEntry]
    data: Mapping[str, DataEntry]
    metrics: Mapping[str, Any]
    parity: Mapping[str, Any]


def pack(draft: Draft) -> Packed:
    """Read everything a draft names.

    Raises:
        RegistryError: Something is missing, empty, or cannot be kept.
        EncoderError: A folder holds no model of its kind.
    """
    if draft.dense is None and draft.sparse is None:
        msg = "A version needs a model: a folder or a name for dense, for sparse, or for both."
        raise RegistryError(msg)
    dense, dense_files = _model(draft.dense, "dense")
    sparse, sparse_files = _model(draft.sparse, "sparse")
    sources = {**dense_files, **sparse_files, **_exports(draft.exports)}
    if draft.configuration is not None:
        sources |= _placed(draft.configuration, CONFIGURATION, keep_name=True)
    return Packed(
        dense=dense,
        sparse=sparse,
        sources=sources,
        files={path: file_entry(source) for path, source in sorted(sources.items())},
        data={role: data_entry(role, path) for role, path in sorted(draft.data.items())},
        metrics=_plain(draft.metrics, "metrics"),
        parity=_plain(draft.parity, "parity"),
    )


def file_entry(path: Path) -> FileEntry:
    """Digest and size of a file, read block by block."""
    try:
        with path.open("rb") as file:
            return FileEntry(file_digest(file, "sha256").hexdigest(), file.tell())
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise RegistryError(msg) from error


def data_entry(role: str, path: Path) -> DataEntry:
    """Fingerprint of a file, or of all files of a folder.

    Raises:
        RegistryError: There is nothing.
    """
    if path.is_file():
        entry = file_entry(path)
        return DataEntry(path.name, entry.sha256, entry.size)
    files = {name: file_entry(source) for name, source in _placed(path, "", role=role).items()}
    lines = "".join(f"{entry.sha256}  {name}\n" for name, entry in sorted(files.items()))
    total = sum(entry.size for entry in files.values())
    return DataEntry(path.name, sha256(lines.encode()).hexdigest(), total, len(files))


def _model(
    given: str | Path | None, kind: Literal["dense", "sparse"]
) -> tuple[ModelEntry | None, dict[str, Path]]:
    if given is None:
        return None, {}
    folder = Path(given).expanduser()
    if folder.is_dir():
        return ModelEntry(_identity(str(folder), kind), folder=kind), _placed(folder, kind)
    if isinstance(given, Path):
        msg = f"{folder} is no folder; the {kind} model is a folder, or a name such as a preset."
        raise RegistryError(msg)
    if is_service(given) or given == LEXICAL:
        return ModelEntry({"kind": kind, "model": given}, preset=given), {}
    return ModelEntry(_identity(given, kind), preset=given), {}


def _identity(model: str, kind: Literal["dense", "sparse"]) -> dict[str, Any]:
    """Fingerprint and dimension, from the model's files and without loading its weights."""
    from encoders.export.precision import encoder_identity
    from encoders.registry import read_model

    return encoder_identity(read_model(model, LoadOptions(), kind)).as_dict()


def _exports(exports: Mapping[str, Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, path in sorted(exports.items()):
        if not name or "/" in name or name.startswith("."):
            msg = f"{name!r} is no name for an export: no slash, no dot in front, not empty."
            raise RegistryError(msg)
        found |= _placed(path, f"{EXPORTS}/{name}", keep_name=True)
    return found


def _placed(path: Path, folder: str, *, keep_name: bool = False, role: str = "") -> dict[str, Path]:
    """Files below a path by their place in the version; of one file, its name in the folder."""
    what = f"{role or folder}: {path}"
    if path.is_file():
        return {f"{folder}/{path.name}" if keep_name else folder: path}
    if not path.is_dir():
        msg = f"{what} does not exist. Name a file or a folder."
        raise RegistryError(msg)
    prefix = f"{folder}/" if folder else ""
    files = {prefix + file.relative_to(path).as_posix(): file for file in _files(path)}
    if not files:
        msg = f"{what} is an empty folder. Name one with files, or leave it out."
        raise RegistryError(msg)
    return files


def _files(folder: Path) -> Iterator[Path]:
    """Files of a folder; what a writer has not finished and what an editor hides is left out."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _plain(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The value as JSON gives it back, so that what is published equals what is read."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        msg = f"{what} can only hold what JSON can (no NaN, string keys): {error}"
        raise RegistryError(msg) from error
    return plain
