"""Duplicates, found without holding what was seen in memory."""

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ingest.records import Document, Reject
from ingest.rejects import KEPT_OF_RAW

DIGEST_BYTES = 16
ROWS_PER_COMMIT = 10_000
CACHE_KIBIBYTES = 8 * 1024


def reject_duplicates(
    items: Iterable[Document | Reject], *, by_content: bool = False, folder: Path | None = None
) -> Iterator[Document | Reject]:
    """Pass the first document of each id and turn later ones into rejects.

    Args:
        items: Documents, and rejects of earlier stages, which pass through.
        by_content: Also reject documents whose title and text say the same as an earlier one's.
        folder: Where the table of what was seen is kept meanwhile; default: the system's.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tandem-seen-", dir=folder) as place,
        closing(_connect(Path(place) / "seen.sqlite")) as connection,
    ):
        ids = SeenTable(connection, "ids")
        contents = SeenTable(connection, "contents")
        for item in items:
            yield (
                item
                if isinstance(item, Reject)
                else _judge(item, ids, contents if by_content else None)
            )


@dataclass(slots=True)
class SeenTable:
    """Keys on disk, each with a note of where it stood first."""

    connection: sqlite3.Connection
    name: str
    _pending: int = 0

    def __post_init__(self) -> None:
        self.connection.execute(
            f"CREATE TABLE {self.name} (key BLOB PRIMARY KEY, place TEXT) WITHOUT ROWID"
        )

    def first_place(self, key: bytes, place: str) -> str | None:
        """Note a key; returns where it stood first, or None when it is new."""
        added = self.connection.execute(
            f"INSERT OR IGNORE INTO {self.name} VALUES (?, ?)",  # noqa: S608 - our own names
            (key, place),
        )
        if added.rowcount:
            self._commit_now_and_then()
            return None
        found = self.connection.execute(
            f"SELECT place FROM {self.name} WHERE key = ?",  # noqa: S608
            (key,),
        )
        return str(found.fetchone()[0])

    def _commit_now_and_then(self) -> None:
        self._pending += 1
        if self._pending >= ROWS_PER_COMMIT:
            self.connection.commit()
            self._pending = 0


def _judge(document: Document, ids: SeenTable, contents: SeenTable | None) -> Document | Reject:
    place = str(document.origin).encode(errors="backslashreplace").decode()
    first = ids.first_place(_digest(document.id), place)
    if first is not None:
        return _reject(document, f"duplicate id: first seen at {first}")
    if contents is not None:
        key = bytes.fromhex(document.content_hash())[:DIGEST_BYTES]
        first = contents.first_place(key, f'"{document.id}" at {place}')
        if first is not None:
            return _reject(document, f"same content as another document: {first}")
    return document


def _reject(document: Document, reason: str) -> Reject:
    return Reject(document.origin, reason, document.id, document.text[:KEPT_OF_RAW])


def _digest(doc_id: str) -> bytes:
    """Ids are of any length; 16 bytes tell 2**64 of them apart."""
    return hashlib.blake2b(doc_id.encode(), digest_size=DIGEST_BYTES).digest()


def _connect(path: Path) -> sqlite3.Connection:
    """A scratch database: nothing in it outlives the run, so nothing is journalled or synced."""
    # Generators may be closed by another thread than the one that ran them.
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    return connection
