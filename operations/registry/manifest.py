"""The manifest: everything that is known about a version, as it was when it was published."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from operations.registry.errors import TamperedError
from operations.registry.versions import Version

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file as it was.

    Attributes:
        sha256: Digest over its bytes.
        size: Bytes.
    """

    sha256: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON-ready values."""
        return {"sha256": self.sha256, "size": self.size}


@dataclass(frozen=True, slots=True)
class DataEntry:
    """A training or evaluation file, or a folder of them, of which only the fingerprint is kept.

    Attributes:
        name: Name of the file or folder, without its place.
        sha256: Of a file, over its bytes; of a folder, over the names and digests of its files.
        size: Bytes in all.
        files: Files in it; 1 for a file.
    """

    name: str
    sha256: str
    size: int
    files: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON-ready values."""
        return {"name": self.name, "sha256": self.sha256, "size": self.size, "files": self.files}


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One of a version's models.

    Attributes:
        identity: ``EncoderIdentity.as_dict()``; of an encoder that has none before it meets a
            corpus or a network (lexical, services), only ``kind`` and ``model``.
        folder: Folder within the version; ``None`` where the model is kept by name.
        preset: That name: a preset, hub id, service or ``lexical``; ``None`` for a folder.
    """

    identity: Mapping[str, Any]
    folder: str | None = None
    preset: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON-ready values."""
        return {"identity": dict(self.identity), "folder": self.folder, "preset": self.preset}

    def content(self) -> dict[str, Any]:
        """The same without where the model lay when it was published."""
        kept = {k: v for k, v in self.identity.items() if k != "model"}
        return {"identity": kept, "folder": self.folder, "preset": self.preset}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A published version.

    Attributes:
        name: Model's name in the registry.
        version: Its version.
        created: When it was published, UTC.
        author: Who published it.
        dense: The dense model.
        sparse: The sparse model.
        files: Every file of the version's folder by path, the manifest itself excepted.
        data: Fingerprints of training and evaluation data by role.
        metrics: What was measured.
        parity: How close exports are to the model.
        git_commit: Commit of the working folder, ``+changes`` behind it where files differed;
            ``None`` outside a repository.
        libraries: Versions of what made the model.
        notes: Why this version exists.
    """

    name: str
    version: Version
    created: datetime
    author: str
    dense: ModelEntry | None = None
    sparse: ModelEntry | None = None
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    data: Mapping[str, DataEntry] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    git_commit: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)
    notes: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 over what the version is, not over who published it, when, or from where."""
        return hashlib.sha256(_canonical(self._content())).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files.values())

    def _content(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "dense": self.dense.content() if self.dense else None,
            "sparse": self.sparse.content() if self.sparse else None,
            "files": {path: entry.as_dict() for path, entry in self.files.items()},
            "data": {role: entry.as_dict() for role, entry in self.data.items()},
            "metrics": dict(self.metrics),
            "parity": dict(self.parity),
            "notes": self.notes,
        }

    def as_dict(self) -> dict[str, Any]:
        """The manifest as JSON-ready values."""
        return {
            **self._content(),
            "name": self.name,
            "version": str(self.version),
            "digest": self.digest,
            "created": self.created.isoformat(timespec="seconds"),
            "author": self.author,
            "dense": self.dense.as_dict() if self.dense else None,
            "sparse": self.sparse.as_dict() if self.sparse else None,
            "git_commit": self.git_commit,
            "libraries": dict(self.libraries),
        }

    def to_json(self) -> bytes:
        """The bytes that are stored."""
        text = json.dumps(self.as_dict(), ensure_ascii=False, indent=2, sort_keys=True)
        return text.encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> "Manifest":
        """Read what ``to_json`` wrote.

        Raises:
            TamperedError: It is no manifest, or not the one that was published.
        """
        try:
            manifest = _read(json.loads(data))
            declared = json.loads(data)["digest"]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = f"a manifest cannot be read: {error!r}. Restore it from a copy of the registry."
            raise TamperedError(msg) from error
        if manifest.digest != declared:
            msg = (
                f"the manifest of {manifest.name} {manifest.version} was changed after it was "
                "published. Restore it from a copy of the registry."
            )
            raise TamperedError(msg)
        return manifest


def _read(value: Mapping[str, Any]) -> Manifest:
    if value["schema"] != SCHEMA:
        msg = f"schema {value['schema']} instead of {SCHEMA}"
        raise ValueError(msg)
    return Manifest(
        name=value["name"],
        version=Version.parse(value["version"]),
        created=datetime.fromisoformat(value["created"]),
        author=value["author"],
        dense=_model(value["dense"]),
        sparse=_model(value["sparse"]),
        files={path: FileEntry(**entry) for path, entry in value["files"].items()},
        data={role: DataEntry(**entry) for role, entry in value["data"].items()},
        metrics=value["metrics"],
        parity=value["parity"],
        git_commit=value["git_commit"],
        libraries=value["libraries"],
        notes=value["notes"],
    )


def _model(value: Mapping[str, Any] | None) -> ModelEntry | None:
    return ModelEntry(**value) if value else None


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
