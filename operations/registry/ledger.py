"""The ledger of a model: numbered entries that are only ever added, and what follows from them.

Who adds entry *n* has seen all entries before it, because only one writer can create a number and
every writer reads on before it tries the next. So reservations, publications and tags of any number
of writers stand in one order, and no update is lost. Each entry holds the digest of the one before:
an entry that was changed, removed or slipped in later breaks the chain.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal, TypeAlias

from operations.registry.errors import RegistryError, TamperedError
from operations.registry.store import Store
from operations.registry.versions import Version

Action: TypeAlias = Literal["reserve", "publish", "tag", "untag", "promote"]
PRODUCTION = "production"
PREVIOUS = "previous"
FOLDER = "ledger"
_DIGITS = 8
_PATIENCE_S = 60.0
_PAUSE_S = 0.005


@dataclass(frozen=True, slots=True)
class Change:
    """What a writer wants to add.

    Attributes:
        action: What is done.
        version: The version it is done to; for ``untag``, the one that loses the tag.
        digest: With ``reserve``, that of the content; with ``publish``, SHA-256 of the manifest.
        tag: With ``tag`` and ``untag``.
    """

    action: Action
    version: Version
    digest: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger.

    Attributes:
        number: Its place, from 1.
        change: What was done.
        author: By whom.
        at: When, UTC.
        previous: SHA-256 of the entry before; empty for the first.
        sha256: Of this entry as it is stored.
    """

    number: int
    change: Change
    author: str
    at: datetime
    previous: str
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """The entry as JSON-ready values."""
        return {
            "number": self.number,
            "action": self.change.action,
            "version": str(self.change.version),
            "tag": self.change.tag,
            "digest": self.change.digest,
            "author": self.author,
            "at": self.at.isoformat(timespec="seconds"),
        }


@dataclass(frozen=True, slots=True)
class State:
    """What the entries amount to.

    Attributes:
        entries: All of them, in order.
        reserved: Content digest of every version that was ever begun.
        published: SHA-256 of the manifest of every version that exists.
        tags: Which version each tag is on.
    """

    entries: Sequence[Entry] = ()
    reserved: Mapping[Version, str] = field(default_factory=dict)
    published: Mapping[Version, str] = field(default_factory=dict)
    tags: Mapping[str, Version] = field(default_factory=dict)

    def version_of(self, digest: str) -> Version | None:
        """The version that was begun, or published, with this content."""
        return next((v for v, found in self.reserved.items() if found == digest), None)


class Ledger:
    """The ledger of one model."""

    def __init__(self, store: Store, name: str, author: str) -> None:
        """Open a ledger; nothing is read or written yet."""
        self._store = store
        self._folder = f"{name}/{FOLDER}"
        self._author = author
        self._entries: list[Entry] = []

    def state(self) -> State:
        """Read what is new, and say what all entries amount to.

        Raises:
            TamperedError: An entry is missing, or is not what it was.
        """
        numbers = sorted(_number(name) for name in self._store.names(self._folder))
        if numbers != list(range(1, len(numbers) + 1)):
            missing = sorted(set(range(1, max(numbers) + 1)) - set(numbers))
            msg = f"{self._folder}: entries {missing} are missing. Restore them from a copy."
            raise TamperedError(msg)
        for number in numbers[len(self._entries) :]:
            self._entries.append(self._read(number))
        return _amount(self._entries)

    def verify(self) -> list[str]:
        """Read every entry anew; what is wrong with them, if anything."""
        self._entries = []
        try:
            self.state()
        except TamperedError as error:
            return [str(error)]
        return []

    def add(self, decide: Callable[[State], Change | None]) -> State:
        """Add what ``decide`` makes of the present state; it is asked again when another was first.

        Args:
            decide: Gives the change, or ``None`` where nothing is to be done. May raise.

        Returns:
            The state after it.

        Raises:
            RegistryError: Others are always first.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            state = self.state()
            change = decide(state)
            if change is None or self._append(change):
                return self.state() if change else state
            time.sleep(_PAUSE_S)
        msg = f"{self._folder} is written to all the time; try again later."
        raise RegistryError(msg)

    def _append(self, change: Change) -> bool:
        last = self._entries[-1].sha256 if self._entries else ""
        number = len(self._entries) + 1
        value = {
            "action": change.action,
            "version": str(change.version),
            "digest": change.digest,
            "tag": change.tag,
            "author": self._author,
            "at": datetime.now(UTC).isoformat(),
            # Whoever reads back what it wrote can tell its own entry from an equal one.
            "nonce": secrets.token_hex(8),
            "previous": last,
        }
        data = json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"
        return self._store.create(f"{self._folder}/{number:0{_DIGITS}d}.json", data)

    def _read(self, number: int) -> Entry:
        data = self._store.read(f"{self._folder}/{number:0{_DIGITS}d}.json")
        try:
            entry = _entry(number, data)
        except (KeyError, TypeError, ValueError, RegistryError) as error:
            msg = f"{self._folder}: entry {number} cannot be read ({error!r}). Restore it."
            raise TamperedError(msg) from error
        expected = self._entries[-1].sha256 if self._entries else ""
        if entry.previous != expected:
            msg = f"{self._folder}: entry {number - 1} is not what it was when {number} was added."
            raise TamperedError(msg)
        return entry


def _number(name: str) -> int:
    stem, dot, kind = name.partition(".")
    if not stem.isdigit() or f"{dot}{kind}" != ".json":
        msg = f"{name!r} is no entry of a ledger; remove it from the folder."
        raise TamperedError(msg)
    return int(stem)


def _entry(number: int, data: bytes) -> Entry:
    value = json.loads(data)
    change = Change(value["action"], Version.parse(value["version"]), value["digest"], value["tag"])
    at = datetime.fromisoformat(value["at"])
    digest = sha256(data).hexdigest()
    return Entry(number, change, value["author"], at, value["previous"], digest)


def _amount(entries: Sequence[Entry]) -> State:
    reserved: dict[Version, str] = {}
    published: dict[Version, str] = {}
    tags: dict[str, Version] = {}
    for entry in entries:
        change = entry.change
        if change.action == "reserve":
            reserved[change.version] = change.digest
        elif change.action == "publish":
            published[change.version] = change.digest
        else:
            _move_tags(tags, change)
    return State(tuple(entries), reserved, published, tags)


def _move_tags(tags: dict[str, Version], change: Change) -> None:
    if change.action == "tag":
        tags[change.tag] = change.version
    elif change.action == "untag":
        tags.pop(change.tag, None)
    else:
        if PRODUCTION in tags:
            tags[PREVIOUS] = tags[PRODUCTION]
        tags[PRODUCTION] = change.version
