"""How far a build has come: a note in the ``_meta`` of the index that is built.

It lies in the cluster, so that a build that was killed goes on from any machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from opensearch.index_info import IndexInfo, info_from_meta, read_index_info
from opensearch.indices import write_note
from operations.reindexing.patience import Patience
from operations.reindexing.shards import NOTHING
from operations.reindexing.target import STATE_NOTE, SYNCED_NOTE

Phase = Literal["building", "swapping", "ready", "done"]


@dataclass(frozen=True, slots=True)
class BuildState:
    """What a build has done.

    Attributes:
        phase: ``swapping`` from before the writes are blocked until the alias is moved; ``ready``
            is a verified index nobody searches yet; ``done`` was current once.
        source: Physical index it is copied from.
        source_id: That index's UUID: another one of the same name is not the same.
        done: Per shard of the source, up to which sequence number everything is copied.
        whole: Whether everything was copied once, so that what follows is catching up.
        copied: Passages written.
        encoded: Passages of them that an encoder read.
        caught_up: Passages of them that were written meanwhile.
        removed: Passages deleted meanwhile.
        long: Passages of which an encoder did not read the end.
    """

    phase: Phase
    source: str
    source_id: str
    done: tuple[int, ...]
    whole: bool = False
    copied: int = 0
    encoded: int = 0
    caught_up: int = 0
    removed: int = 0
    long: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The state as JSON-ready values."""
        return {**asdict(self), "done": list(self.done)}

    @classmethod
    def of(cls, info: IndexInfo) -> "BuildState | None":
        """The state in an index's notes; ``None`` for one that `tandem index` created."""
        stored = info.notes.get(STATE_NOTE)
        return None if stored is None else cls(**{**stored, "done": tuple(stored["done"])})


def first_state(source: str, source_id: str, shards: int) -> BuildState:
    """A build that has copied nothing."""
    return BuildState("building", source, source_id, (NOTHING,) * shards)


def note_state(client: Any, patience: Patience, info: IndexInfo, state: BuildState) -> None:
    """Keep the state with the index it is about."""
    patience(
        f"noting how far {info.physical} is",
        lambda: write_note(client, info, STATE_NOTE, state.as_dict()),
    )


def synced(info: IndexInfo, other: str) -> tuple[int, ...] | None:
    """Up to where everything in an index is also in another one; ``None`` if nothing says so."""
    found: Mapping[str, Sequence[int]] = info.notes.get(SYNCED_NOTE, {})
    return tuple(found[other]) if other in found else None


def note_synced(
    client: Any, patience: Patience, physical: str, marks: Mapping[str, Sequence[int] | None]
) -> None:
    """Note up to where everything in an index is in others; ``None`` forgets one."""

    def write() -> None:
        info = read_index_info(client, physical)
        known = {**info.notes.get(SYNCED_NOTE, {}), **marks}
        kept = {other: list(mark) for other, mark in known.items() if mark is not None}
        write_note(client, info, SYNCED_NOTE, kept or None)

    patience(f"noting what {physical} has in common", write)


def read_physical(client: Any, patience: Patience, name: str, physical: str) -> IndexInfo:
    """A physical index under its logical name."""
    found = patience(f"reading {physical}", lambda: read_index_info(client, physical))
    return info_from_meta(found.notes, name=name, physical=physical)
