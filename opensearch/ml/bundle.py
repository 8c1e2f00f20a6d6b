"""The zip file ML Commons stores: the same bytes for the same files."""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 10_000_000  # the largest that ML Commons takes
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time a zip file can hold
_MODE = 0o100644 << 16
_UNIX = 3
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip file ready for upload.

    Attributes:
        path: The file.
        size: Its size in bytes.
        sha256: Hex digest of its content, by which ML Commons checks what arrived.
    """

    path: Path
    size: int
    sha256: str

    @property
    def chunks(self) -> int:
        """In how many pieces it is uploaded."""
        return max(1, -(-self.size // CHUNK_BYTES))

    def read_chunk(self, number: int) -> bytes:
        """One piece, counted from 0."""
        with self.path.open("rb") as file:
            file.seek(number * CHUNK_BYTES)
            return file.read(CHUNK_BYTES)


def write_bundle(files: Sequence[Path], target: Path) -> Bundle:
    """Put files into the root of a zip file.

    Nothing of when, where or by whom it is made enters, and weights are not compressed (they do
    not get smaller, and libraries compress differently), so equal files give equal bytes.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files, key=lambda path: path.name):
            entry = zipfile.ZipInfo(path.name, date_time=_EPOCH)
            entry.create_system = _UNIX
            entry.external_attr = _MODE
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(entry, "w") as sink:
                while block := source.read(_BLOCK):
                    sink.write(block)
    return read_bundle(target)


def read_bundle(path: Path) -> Bundle:
    """Size and digest of a zip file that is there already."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Bundle(path, path.stat().st_size, digest)
