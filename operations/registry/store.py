"""Files of a registry, wherever fsspec reaches: written whole, and created by one writer only."""

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from operations.registry.errors import RegistryError
from operations.registry.manifest import FileEntry

_BLOCK = 1 << 20
_LOCAL = ("file", "local")
# Python packages that bring a protocol where fsspec's own message names none.
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs"}
_PART = ".part-"
# What disks without hard links answer.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
# Within one process, look-and-write of a filesystem without a conditional write is one step.
_ONE_WRITER = threading.Lock()


class Store:
    """A folder that fsspec reaches.

    Files appear whole or not at all: on a disk by renaming, on object stores by their nature.
    ``create`` lets one of several writers win: on a disk by a hard link, on S3 and Google Cloud
    Storage by a conditional write. Elsewhere it looks first and reads back what it wrote, which two
    writers in the same moment can defeat.
    """

    def __init__(self, url: str) -> None:
        """Open a folder; it need not exist yet.

        Raises:
            RegistryError: The protocol is unknown, or its package is not installed.
        """
        self.url = url
        self._fs, self._root = _filesystem(url)
        self._local = self._fs.protocol in _LOCAL or bool(set(self._fs.protocol) & set(_LOCAL))

    @property
    def folder(self) -> Path | None:
        """The folder, where it is on this machine."""
        return Path(self._root) if self._local else None

    def read(self, path: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileNotFoundError: There is none.
            RegistryError: It cannot be reached.
        """
        with self._faults(f"reading {path}"):
            self._fs.invalidate_cache()
            return bytes(self._fs.cat_file(self._path(path)))

    def names(self, path: str = "") -> list[str]:
        """Names in a folder, sorted; none where there is no folder."""
        with self._faults(f"listing {path or 'the registry'}"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._path(path), detail=False)
            except FileNotFoundError:
                return []
        here = self._path(path).rstrip("/")
        paths = (str(place).rstrip("/") for place in found)
        return _without_parts(place.rsplit("/", 1)[-1] for place in paths if place != here)

    def sizes(self, path: str) -> dict[str, int]:
        """Size of every file below a folder, by path within it."""
        with self._faults(f"listing {path}"):
            self._fs.invalidate_cache()
            found = self._fs.find(self._path(path), detail=True)
        prefix = self._path(path).rstrip("/") + "/"
        return {
            str(place).removeprefix(prefix): int(details["size"])
            for place, details in found.items()
            if not _is_part(str(place))
        }

    def create(self, path: str, data: bytes) -> bool:
        """Write a file that must not exist yet.

        Returns:
            Whether this call created it; ``False`` where another had.
        """
        with self._faults(f"writing {path}"):
            if self._local:
                return _create_locally(Path(self._path(path)), data)
            return self._create_remotely(self._path(path), data)

    def upload(self, source: Path, path: str) -> None:
        """Copy a file of this machine, whole or not at all."""
        with self._faults(f"writing {path}"):
            target = self._path(path)
            if self._local:
                _copy_durably(source, Path(target))
                return
            self._fs.makedirs(self._fs._parent(target), exist_ok=True)
            self._fs.put_file(str(source), target)

    def download(self, path: str, target: Path) -> FileEntry:
        """Copy a file to this machine.

        Returns:
            What arrived.
        """
        with target.open("wb") as file:
            return self._hand_over(path, file.write)

    def fingerprint(self, path: str) -> FileEntry:
        """Digest and size of a file."""
        return self._hand_over(path, len)

    def _hand_over(self, path: str, take: Callable[[bytes], int]) -> FileEntry:
        digest, size = sha256(), 0
        for block in self._blocks(path):
            digest.update(block)
            size += take(block)
        return FileEntry(digest.hexdigest(), size)

    def _blocks(self, path: str) -> Iterator[bytes]:
        with self._faults(f"reading {path}"), self._fs.open(self._path(path), "rb") as file:
            while block := file.read(_BLOCK):
                yield block

    def _create_remotely(self, path: str, data: bytes) -> bool:
        with _ONE_WRITER:
            self._fs.makedirs(self._fs._parent(path), exist_ok=True)
            try:
                self._fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
        self._fs.invalidate_cache()
        return bytes(self._fs.cat_file(path)) == data

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    @contextmanager
    def _faults(self, action: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            msg = (
                f"The registry {self.url}: {action} failed: {error}. Check the place, the "
                "permissions and the network; nothing half-done is visible, so try again."
            )
            raise RegistryError(msg) from error


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec  # type: ignore[import-untyped]

    try:
        filesystem, root = fsspec.core.url_to_fs(url)
    except ImportError as error:
        protocol = url.partition("://")[0]
        package = _PACKAGES.get(protocol)
        how = f"Install it with: pip install {package}" if package else str(error)
        msg = f"The registry {url} needs a package that is not installed. {how}"
        raise RegistryError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{url!r} is no place for a registry: {error}. Give a folder or an fsspec URL."
        raise RegistryError(msg) from error
    return filesystem, str(root).rstrip("/")


def _is_part(path: str) -> bool:
    return path.rsplit("/", 1)[-1].startswith(_PART)


def _without_parts(names: Iterator[str]) -> list[str]:
    return sorted(name for name in names if not name.startswith(_PART))


def _create_locally(target: Path, data: bytes) -> bool:
    """A hard link to a finished file: whole, and only where there was none (link(2))."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_PART, dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o444)
        target.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_without_links(target, data)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(target.parent)
    return True


def _create_without_links(target: Path, data: bytes) -> bool:
    """For disks without hard links (FAT): created by one writer only, but not all at once."""
    try:
        with target.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def _copy_durably(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_PART, dir=target.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, source.open("rb") as origin:
            while block := origin.read(_BLOCK):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        part.chmod(0o444)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
