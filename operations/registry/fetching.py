"""A version's files on this machine, every byte checked."""

from dataclasses import dataclass
from pathlib import Path

from encoders.cache import build_once, cache_folder
from operations.registry.errors import RegistryError, TamperedError
from operations.registry.manifest import Manifest, ModelEntry
from operations.registry.packing import file_entry
from operations.registry.store import Store
from operations.registry.verification import faults_of

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """A version on this machine.

    Attributes:
        manifest: What is known about it.
        folder: Its files.
        dense: What ``load_dense`` takes; ``None`` where it has no dense model.
        sparse: What ``load_sparse`` takes; ``None`` where it has no sparse model.
    """

    manifest: Manifest
    folder: Path
    dense: str | None
    sparse: str | None


def fetch_version(store: Store, folder: str, manifest: Manifest, own: str) -> Fetched:
    """Use a version in place where the registry is on this machine, else copy it into the cache.

    Args:
        store: Where the registry is.
        folder: The version's folder in it.
        manifest: What was published.
        own: File name of the manifest.

    Raises:
        TamperedError: The files are not what was published.
    """
    if store.folder is not None:
        faults = faults_of(store, folder, manifest, {own})
        _refuse(manifest, faults)
        return _fetched(manifest, store.folder.resolve() / folder)
    target = cache_folder() / "registry" / manifest.name / manifest.digest
    build_once(
        target,
        lambda scratch: _download(store, folder, manifest, scratch),
        lambda copy: _is_whole(copy, manifest),
    )
    return _fetched(manifest, target)


def _is_whole(folder: Path, manifest: Manifest) -> bool:
    try:
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        return set(files) == set(manifest.files) and all(
            file_entry(files[path]) == entry for path, entry in manifest.files.items()
        )
    except (OSError, RegistryError):  # another process replaces a damaged copy
        return False


def _download(store: Store, folder: str, manifest: Manifest, target: Path) -> None:
    faults = []
    for path, entry in manifest.files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            arrived = store.download(f"{folder}/{path}", place)
        except FileNotFoundError:
            faults.append(f"{path}: missing")
            continue
        if arrived != entry:
            faults.append(f"{path}: changed")
    _refuse(manifest, faults)


def _refuse(manifest: Manifest, faults: list[str]) -> None:
    if faults:
        shown = "; ".join(faults[:_SHOWN]) + ("; …" if len(faults) > _SHOWN else "")
        msg = (
            f"{manifest.name} {manifest.version} is not what was published: {shown}. Restore it "
            "from a copy of the registry, or publish the model anew."
        )
        raise TamperedError(msg)


def _fetched(manifest: Manifest, folder: Path) -> Fetched:
    return Fetched(
        manifest, folder, _loadable(manifest.dense, folder), _loadable(manifest.sparse, folder)
    )


def _loadable(entry: ModelEntry | None, folder: Path) -> str | None:
    if entry is None:
        return None
    return entry.preset if entry.folder is None else str(folder / entry.folder)
