"""The model registry: versions that never change, tags that move, in a folder or at a URL."""

import os
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from operations.registry.draft import Draft
from operations.registry.errors import RegistryError, TamperedError, VersionNotFoundError
from operations.registry.fetching import Fetched, fetch_version
from operations.registry.ledger import PRODUCTION, Change, Entry, Ledger, State
from operations.registry.manifest import Manifest
from operations.registry.packing import Packed, pack
from operations.registry.provenance import author_of, git_commit, library_versions
from operations.registry.store import Store
from operations.registry.verification import faults_of
from operations.registry.versions import FIRST, Part, Version, is_version

VARIABLE = "TANDEM_REGISTRY"
DEFAULT = "registry"
LATEST = "latest"
MANIFEST = "manifest.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}\Z")


@dataclass(frozen=True, slots=True)
class Registry:
    """A model registry.

    Each model has a folder, each version a folder in it, and beside them the ledger, which says
    which versions exist and where the tags are. Any number of processes and machines may publish
    and tag at the same time.

    Attributes:
        store: Where it is.
    """

    store: Store

    @classmethod
    def open(cls, url: str | Path | None = None) -> "Registry":
        """Open a registry; it need not exist yet.

        Args:
            url: Folder or fsspec URL (``s3://bucket/models``); ``None`` is ``TANDEM_REGISTRY``,
                else ``registry`` in the working folder.

        Raises:
            RegistryError: The protocol is unknown, or its package is not installed.
        """
        place = str(url) if url is not None else os.environ.get(VARIABLE) or DEFAULT
        return cls(Store(str(Path(place).expanduser()) if "://" not in place else place))

    def publish(
        self, name: str, draft: Draft, *, version: Version | None = None, bump: Part = "minor"
    ) -> Manifest:
        """Make a version of a draft.

        What was published with the same content already is found and returned. A publication that
        broke off goes on with the number it had.

        Args:
            name: The model's name in the registry.
            draft: What to publish.
            version: Its number; by default the highest one raised by ``bump``, the first 1.0.0.
            bump: Which part is raised.

        Raises:
            RegistryError: The draft is incomplete, or the number is taken by other content.
            EncoderError: A folder holds no model.
        """
        packed = pack(draft)
        author = author_of(draft.author)
        manifest = _manifest(check_name(name), packed, draft, author)
        ledger = self._ledger(name, author)
        digest = manifest.digest
        reserved = ledger.add(lambda state: _reservation(state, digest, version, bump))
        number = reserved.version_of(digest)
        assert number is not None  # just reserved
        if number in reserved.published:
            return self._manifest(name, number, reserved)
        self._upload(f"{name}/{number}", packed)
        stored = self._store_manifest(replace(manifest, version=number))
        done = Change("publish", number, sha256(stored).hexdigest())
        state = ledger.add(lambda now: None if number in now.published else done)
        return self._manifest(name, number, state)

    def names(self) -> list[str]:
        """Names of the models that have a published version."""
        return [
            name
            for name in self.store.names()
            if _NAME.match(name) and self._ledger(name).state().published
        ]

    def versions(self, name: str) -> list[Version]:
        """Published versions, the lowest first.

        Raises:
            VersionNotFoundError: There is no such model.
        """
        return sorted(self._state(name).published)

    def history(self, name: str) -> list[Entry]:
        """Everything that was ever done to a model's versions and tags, in order."""
        return list(self._state(name).entries)

    def resolve(self, name: str, ref: str) -> Version:
        """The version that ``1.2.0``, a tag or ``latest`` means now.

        Raises:
            VersionNotFoundError: It means none.
        """
        return _resolve(self._state(name), name, ref)

    def manifest(self, name: str, ref: str) -> Manifest:
        """What is known about a version.

        Raises:
            VersionNotFoundError: There is none.
            TamperedError: The manifest is not the one that was published.
        """
        state = self._state(name)
        return self._manifest(name, _resolve(state, name, ref), state)

    def fetch(self, name: str, ref: str) -> Fetched:
        """Have a version's files on this machine, checked.

        A registry in a folder is used in place. Others are copied into the user's cache once; a
        copy that broke off or no longer fits is made anew.

        Raises:
            VersionNotFoundError: There is no such version.
            TamperedError: The files are not what was published.
        """
        manifest = self.manifest(name, ref)
        return fetch_version(self.store, f"{name}/{manifest.version}", manifest, MANIFEST)

    def tags(self, name: str) -> dict[str, Version]:
        """Which version each tag is on."""
        return dict(self._state(name).tags)

    def tag(self, name: str, tag: str, version: Version | str) -> None:
        """Put a tag on a version, taking it from another.

        Raises:
            RegistryError: The tag's name is not allowed.
            VersionNotFoundError: There is no such version.
        """
        wanted = Version.parse(version) if isinstance(version, str) else version
        check_tag(tag)

        def decide(state: State) -> Change | None:
            _require(state, name, wanted)
            return None if state.tags.get(tag) == wanted else Change("tag", wanted, tag=tag)

        self._ledger(name).add(decide)

    def untag(self, name: str, tag: str) -> bool:
        """Take a tag off.

        Returns:
            Whether it was on a version.

        Raises:
            RegistryError: It is ``production``, which only moves.
        """
        if tag == PRODUCTION:
            msg = f"`{PRODUCTION}` is never taken off: promote another version instead."
            raise RegistryError(msg)
        before = self._state(name).tags
        self._ledger(name).add(
            lambda now: Change("untag", now.tags[tag], tag=tag) if tag in now.tags else None
        )
        return tag in before

    def promote(self, name: str, version: Version | str) -> None:
        """Move ``production`` to a version and ``previous`` to the one it was on, in one step.

        Promoting what is in production changes nothing; promoting ``previous`` takes back.

        Raises:
            VersionNotFoundError: There is no such version.
        """
        wanted = Version.parse(version) if isinstance(version, str) else version

        def decide(state: State) -> Change | None:
            _require(state, name, wanted)
            done = state.tags.get(PRODUCTION) == wanted
            return None if done else Change("promote", wanted)

        self._ledger(name).add(decide)

    def verify(self, name: str, ref: str) -> list[str]:
        """Read a version's every byte, and the ledger.

        Returns:
            What is changed, missing or added; empty where all is as published.

        Raises:
            VersionNotFoundError: There is no such version.
        """
        broken = self._ledger(name).verify()
        if broken:
            return broken
        try:
            manifest = self.manifest(name, ref)
        except TamperedError as error:
            return [str(error)]
        return faults_of(self.store, f"{name}/{manifest.version}", manifest, {MANIFEST})

    def _ledger(self, name: str, author: str | None = None) -> Ledger:
        return Ledger(self.store, check_name(name), author_of(author))

    def _state(self, name: str) -> State:
        state = self._ledger(name).state()
        if not state.published:
            known = ", ".join(self.names()) or "none"
            msg = f"The registry {self.store.url} has no model {name!r}; it has: {known}."
            raise VersionNotFoundError(msg)
        return state

    def _manifest(self, name: str, version: Version, state: State) -> Manifest:
        path = f"{name}/{version}/{MANIFEST}"
        try:
            data = self.store.read(path)
        except FileNotFoundError as error:
            msg = f"{path} is missing although it was published. Restore it from a copy."
            raise TamperedError(msg) from error
        if sha256(data).hexdigest() != state.published[version]:
            msg = f"{path} was changed after it was published. Restore it from a copy."
            raise TamperedError(msg)
        return Manifest.from_json(data)

    def _upload(self, folder: str, packed: Packed) -> None:
        there = self.store.sizes(folder)
        for path, source in packed.sources.items():
            # Files appear whole, so what an earlier try left with the right size is that file.
            if there.get(path) != packed.files[path].size:
                self.store.upload(source, f"{folder}/{path}")

    def _store_manifest(self, manifest: Manifest) -> bytes:
        """Write the manifest, unless an earlier try has, and give what is stored."""
        path = f"{manifest.name}/{manifest.version}/{MANIFEST}"
        self.store.create(path, manifest.to_json())
        stored = self.store.read(path)
        if Manifest.from_json(stored).digest != manifest.digest:
            msg = f"{path} holds other content than was reserved. Publish under another number."
            raise TamperedError(msg)
        return stored


def check_name(name: str) -> str:
    """Refuse a model name that a folder, a URL or an index name could not hold.

    Raises:
        RegistryError: The name is not allowed.
    """
    if not _NAME.match(name):
        msg = (
            f"{name!r} is no model name: lower-case letters, digits, - and _, starting with a "
            "letter or digit, at most 100."
        )
        raise RegistryError(msg)
    return name


def check_tag(tag: str) -> None:
    """Refuse a tag that reads as something else.

    Raises:
        RegistryError: It is ``latest``, a version, or has characters that a name may not have.
    """
    if tag == LATEST or is_version(tag) or not _NAME.match(tag):
        msg = (
            f"{tag!r} is no tag: lower-case letters, digits, - and _; `{LATEST}` is always the "
            "highest version."
        )
        raise RegistryError(msg)


def _resolve(state: State, name: str, ref: str) -> Version:
    if ref == LATEST:
        return max(state.published)
    if ref in state.tags:
        return state.tags[ref]
    if not is_version(ref):
        tags = ", ".join(sorted(state.tags)) or "none"
        msg = f"{name} has no tag {ref!r}; its tags: {tags}. Or name a version, or `{LATEST}`."
        raise VersionNotFoundError(msg)
    version = Version.parse(ref)
    _require(state, name, version)
    return version


def _require(state: State, name: str, version: Version) -> None:
    if version in state.published:
        return
    known = ", ".join(map(str, sorted(state.published))) or "none"
    begun = " Its publication has not finished." if version in state.reserved else ""
    msg = f"{name} has no version {version}; published: {known}.{begun}"
    raise VersionNotFoundError(msg)


def _reservation(state: State, digest: str, wanted: Version | None, bump: Part) -> Change | None:
    """The number for this content: the one it has, the one that was asked for, or the next."""
    there = state.version_of(digest)
    if there is not None and wanted in (None, there):
        return None
    if there is not None:
        msg = f"The same content is version {there} already; {wanted} would be a second one."
        raise RegistryError(msg)
    if wanted is not None and wanted in state.reserved:
        kind = "published" if wanted in state.published else "begun"
        msg = (
            f"Version {wanted} was {kind} with other content, and versions never change. Choose "
            "another number, or leave it out."
        )
        raise RegistryError(msg)
    following = max(state.reserved).bump(bump) if state.reserved else FIRST
    return Change("reserve", wanted or following, digest)


def _manifest(name: str, packed: Packed, draft: Draft, author: str) -> Manifest:
    return Manifest(
        name=name,
        version=FIRST,  # until one is reserved
        created=datetime.now(UTC),
        author=author,
        dense=packed.dense,
        sparse=packed.sparse,
        files=packed.files,
        data=packed.data,
        metrics=packed.metrics,
        parity=packed.parity,
        git_commit=git_commit(Path.cwd()),
        libraries=library_versions(),
        notes=draft.notes,
    )
