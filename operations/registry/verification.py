"""Compares what is stored of a version with what was published."""

from collections.abc import Set as AbstractSet

from operations.registry.errors import RegistryError
from operations.registry.manifest import FileEntry, Manifest
from operations.registry.store import Store


def faults_of(store: Store, folder: str, manifest: Manifest, own: AbstractSet[str]) -> list[str]:
    """Read every file of a version.

    Args:
        store: Where it is.
        folder: The version's folder.
        manifest: What was published.
        own: Files of the folder that no manifest lists: the manifest itself.

    Returns:
        One line for each file that is changed, missing or added.
    """
    there = store.sizes(folder)
    faults = [f"{path}: missing" for path in sorted(set(manifest.files) - set(there))]
    faults += [f"{path}: added" for path in sorted(set(there) - set(manifest.files) - own)]
    for path, entry in sorted(manifest.files.items()):
        if path in there and (fault := _fault(store, f"{folder}/{path}", entry)):
            faults.append(f"{path}: {fault}")
    return faults


def _fault(store: Store, path: str, entry: FileEntry) -> str | None:
    try:
        found = store.fingerprint(path)
    except (RegistryError, FileNotFoundError) as error:
        return f"unreadable ({error})"
    if found == entry:
        return None
    return f"changed (SHA-256 {found.sha256[:12]}… instead of {entry.sha256[:12]}…)"
