"""Lock files: which artifacts make up one version of the engine, by coordinates and SHA-256."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import PurePosixPath

from opensearch.errors import EngineError

LIB = "lib"
PLUGIN = "plugins (unpacked)"
NATIVE = "plugins/opensearch-ml + data cache"
JNI = "data cache"
_MODULE = re.compile(r"modules/[a-z0-9-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COLUMNS = 3


@dataclass(frozen=True)
class Artifact:
    """One file of a Maven repository.

    Attributes:
        group: Group of the coordinates, dotted.
        name: Artifact id.
        version: Exact version.
        extension: File name extension (`jar`, `zip`).
        classifier: Classifier, empty where there is none.
        sha256: Expected digest, 64 hexadecimal digits.
        place: Where in the engine's home it goes, as the lock file says it.
    """

    group: str
    name: str
    version: str
    extension: str
    classifier: str
    sha256: str
    place: str

    @property
    def file_name(self) -> str:
        """Name of the file in a repository, and in our cache."""
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{suffix}.{self.extension}"

    @property
    def path(self) -> PurePosixPath:
        """Path below a repository's root (the layout that Maven 2 introduced)."""
        folder = PurePosixPath(*self.group.split("."), self.name, self.version)
        return folder / self.file_name

    @property
    def coordinates(self) -> str:
        """`group:name:version:extension[:classifier]`, as in the lock file."""
        parts = [self.group, self.name, self.version, self.extension]
        return ":".join([*parts, self.classifier] if self.classifier else parts)


def parse_lock(text: str, source: str) -> tuple[Artifact, ...]:
    """Read a lock file's text.

    Args:
        text: Lines of `sha256  coordinates  place`, columns two blanks apart; `#` begins a comment.
        source: Name of the file, for messages.

    Raises:
        EngineError: A line is malformed, or two lines would write the same file.
    """
    lines = enumerate(text.splitlines(), start=1)
    artifacts = tuple(
        _parse_line(line, f"{source}, line {number}")
        for number, line in lines
        if line.strip() and not line.startswith("#")
    )
    _refuse_duplicates(artifacts, source)
    return artifacts


def read_lock(version: str) -> tuple[Artifact, ...]:
    """The artifacts of one OpenSearch version, from the lock file in this package.

    Raises:
        EngineError: There is no lock file for that version, or it is damaged.
    """
    if version not in known_versions():
        msg = (
            f"No lock file for OpenSearch {version}. "
            f"The local engine can be: {', '.join(known_versions())}."
        )
        raise EngineError(msg)
    name = f"{version}.lock"
    return parse_lock(files(__package__).joinpath("locks", name).read_text("utf-8"), name)


def known_versions() -> tuple[str, ...]:
    """The OpenSearch versions that have a lock file, oldest first."""
    folder = files(__package__).joinpath("locks")
    names = (entry.name for entry in folder.iterdir() if entry.name.endswith(".lock"))
    versions = (name.removesuffix(".lock") for name in names)
    return tuple(sorted(versions, key=lambda text: [int(part) for part in text.split(".")]))


def _parse_line(line: str, where: str) -> Artifact:
    columns = re.split(r"\s{2,}", line.strip())
    coordinates = columns[1].split(":") if len(columns) == _COLUMNS else []
    if len(coordinates) not in (4, 5) or not _SHA256.fullmatch(columns[0]):
        msg = f"{where}: expected `sha256  group:name:version:extension[:classifier]  place`."
        raise EngineError(msg)
    if not (columns[2] in (LIB, PLUGIN, NATIVE, JNI) or _MODULE.fullmatch(columns[2])):
        msg = f"{where}: unknown place {columns[2]!r}."
        raise EngineError(msg)
    if any(part in ("", ".", "..") or "/" in part for part in coordinates):
        msg = f"{where}: {columns[1]!r} are not coordinates."
        raise EngineError(msg)
    group, name, version, extension, *rest = coordinates
    classifier = rest[0] if rest else ""
    return Artifact(group, name, version, extension, classifier, columns[0], columns[2])


def _refuse_duplicates(artifacts: Iterable[Artifact], source: str) -> None:
    seen: set[tuple[str, str]] = set()
    for artifact in artifacts:
        key = (artifact.place, artifact.file_name)
        if key in seen:
            msg = f"{source}: {artifact.file_name} is listed twice for {artifact.place!r}."
            raise EngineError(msg)
        seen.add(key)
