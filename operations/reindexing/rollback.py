"""Take a version back: the alias first, then what was written meanwhile."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from encoders.options import LoadOptions
from opensearch.errors import SearchBackendError
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.indices import write_note
from operations.reindexing.carrying import Carrier, Carry
from operations.reindexing.catalogue import version_infos, version_of
from operations.reindexing.errors import ReindexError
from operations.reindexing.job import Loaders
from operations.reindexing.legs import legs_to
from operations.reindexing.lock import JobLock
from operations.reindexing.naming import parse_physical
from operations.reindexing.patience import Patience
from operations.reindexing.shards import Reader
from operations.reindexing.state import BuildState, note_state, note_synced, read_physical, synced
from operations.reindexing.swapping import (
    block_writes,
    is_blocked,
    keep_tombstones,
    refuse_plain_index,
    swap,
    unblock_writes,
)
from operations.reindexing.target import CARRY_NOTE

# Longer than any carrying takes: until then the server remembers what was deleted meanwhile.
TOMBSTONES = "1d"
NOTED_EVERY_S = 2.0
# The server forgets by a clock that ticks five times a second.
CLOCK_S = 0.5


@dataclass(frozen=True, slots=True)
class RollbackOptions:
    """How a rollback works.

    Attributes:
        load: How the models of the version that comes back are loaded.
        loaders: What loads them.
        patience_s: How long a cluster that is away is waited for.
        stage: Called with a line for people when a stage begins.
    """

    load: LoadOptions = field(default_factory=LoadOptions)
    loaders: Loaders = field(default_factory=Loaders)
    patience_s: float = 300.0
    stage: Callable[[str], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """What a rollback did.

    Attributes:
        index: Logical name.
        before: Physical index that was left.
        after: The one people search now.
        swapped: Whether the alias was moved by this run.
        carried: Passages written since that were carried over.
        removed: Passages deleted since that were deleted too.
        newer: Passages left alone, because somebody wrote or deleted them after the swap.
        abandoned: Whether what was written since was given up.
        blocked_s: How long writes were refused around the swap.
        swapped_s: From the start to the swap.
        seconds: What this run took.
    """

    index: str
    before: str
    after: str
    swapped: bool = False
    carried: int = 0
    removed: int = 0
    newer: int = 0
    abandoned: bool = False
    blocked_s: float = 0.0
    swapped_s: float = 0.0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values; ``from`` and ``to`` are the physical indices."""
        values = asdict(self)
        return {"from": values.pop("before"), "to": values.pop("after"), **values}


def rollback(
    client: Any,
    name: str,
    *,
    to: str | None = None,
    catch_up: bool = True,
    options: RollbackOptions | None = None,
) -> RollbackReport:
    """Swap an old version back in at once, then carry over what was written since.

    Killed and started again, it continues. Doing it again when all is done changes nothing, if
    ``to`` is named.

    Args:
        client: The client.
        name: Logical name.
        to: Physical index or version; the one that the current one was built from by default.
        catch_up: ``False`` gives up what was written since.
        options: How it works.

    Raises:
        BusyError: Another job works on the same index.
        ReindexError: There is no such version, or it was never complete.
        EncoderError: A model of the old version cannot be loaded; the swap is done, and the same
            command carries the rest over later.
    """
    options = options or RollbackOptions()
    with JobLock(client, name, "rollback", Patience(options.patience_s)) as lock:
        return _Rollback(client, name, options, lock).run(to, catch_up=catch_up)


class _Rollback:
    """One run of ``rollback``."""

    def __init__(self, client: Any, name: str, options: RollbackOptions, lock: JobLock) -> None:
        self._client = client
        self._name = name
        self._options = options
        self._lock = lock
        self._patience = Patience(options.patience_s)
        self._began = time.monotonic()
        self._current = self._patience(f"reading {name}", lambda: read_index_info(client, name))
        refuse_plain_index(self._current)

    def run(self, to: str | None, *, catch_up: bool) -> RollbackReport:
        pending = self._current.notes.get(CARRY_NOTE)
        if pending:
            return self._go_on(Carry.of(pending), to, catch_up=catch_up)
        target = self._resolve(to)
        if target.physical == self._current.physical:
            return self._report(target.physical, target.physical)
        before, after = self._current.physical, target.physical
        carry = self._prepare(target, catch_up=catch_up)
        blocked_s = self._swap(target)
        done: dict[str, Any] = {"swapped": True, "blocked_s": blocked_s, "swapped_s": self._seconds}
        self._mark_done(self._reread(after))
        self._options.stage(f"{self._name} is {after} again")
        if not catch_up:
            return self._report(before, after, abandoned=True, **done)
        state = self._carry(self._current, self._reread(after), carry)
        return self._report(before, after, state, **done)

    def _go_on(self, carry: Carry, to: str | None, *, catch_up: bool) -> RollbackReport:
        """The alias is back already; carry over the rest, or give it up."""
        here = self._current
        if to is not None and to not in (here.physical, version_of(here)):
            msg = (
                f"The last rollback of {self._name!r} has not carried over everything yet. Finish "
                f"it first (`tandem rollback {self._name}`), or give the rest up "
                f"(`tandem rollback {self._name} --no-catch-up`)."
            )
            raise ReindexError(msg)
        if not catch_up:
            self._finish(here, carry, complete=False)
            return self._report(carry.source, here.physical, carry, abandoned=True)
        source = self._reread(carry.source)
        return self._report(carry.source, here.physical, self._carry(source, here, carry))

    def _resolve(self, to: str | None) -> IndexInfo:
        infos = self._patience(
            f"listing the versions of {self._name}", lambda: version_infos(self._client, self._name)
        )
        state = BuildState.of(self._current)
        wanted = to if to is not None else (state.source if state else None)
        found = [i for i in infos.values() if wanted in (i.physical, version_of(i))]
        complete = [i for i in found if is_complete(i)]
        if self._current.physical in {i.physical for i in complete}:
            return self._current
        if complete:
            return max(complete, key=lambda i: parse_physical(self._name, i.physical) or ("", 0))
        raise ReindexError(self._nothing_to_return_to(to, wanted, building=bool(found)))

    def _nothing_to_return_to(self, to: str | None, wanted: str | None, *, building: bool) -> str:
        see = f"`tandem versions {self._name}` lists what there is."
        if building:
            return (
                f"{wanted} was never complete. Finish it with `tandem reindex {self._name}`. {see}"
            )
        if to is None and wanted is None:
            here = self._current.physical
            return f"{here} was built from a corpus, not from an older version. {see}"
        return f"{self._name!r} has no version {wanted!r} (any more). {see}"

    def _prepare(self, target: IndexInfo, *, catch_up: bool) -> Carry:
        """Freeze the old version and note what a later run has to do, before anything moves."""
        self._mark_done(self._current)
        block_writes(self._client, target, self._patience)
        reader = Reader(self._client, target.physical, self._patience)
        companion = (
            Reader(self._client, target.seismic, self._patience).settled() if target.seismic else ()
        )
        carry = Carry(
            self._current.physical,
            synced(self._current, target.physical),
            reader.settled(),
            companion,
        )
        if catch_up:
            self._note(target, carry)
            # What was deleted before the swap is forgotten, what is deleted from now on is not.
            keep_tombstones(self._client, target, self._patience, "0s")
            self._patience.sleep(CLOCK_S)
            reader.refresh()
            keep_tombstones(self._client, target, self._patience, TOMBSTONES)
        else:
            self._forget(target.physical, self._current.physical)
        return carry

    def _swap(self, target: IndexInfo) -> float:
        """Freeze the current version, open the old one, move the alias; how long that took."""
        self._lock.renew()
        was_blocked = is_blocked(self._client, self._current)
        began = time.monotonic()
        block_writes(self._client, self._current, self._patience)
        try:
            unblock_writes(self._client, target, self._patience)
            self._patience(
                f"moving {self._name} to {target.physical}",
                lambda: swap(self._client, self._name, target.physical),
            )
        except BaseException:
            self._give_way(was_blocked=was_blocked)
            raise
        return round(time.monotonic() - began, 3)

    def _give_way(self, *, was_blocked: bool) -> None:
        """Let writes through again, unless the alias was moved after all."""
        try:
            here = read_index_info(self._client, self._name).physical
        except SearchBackendError:
            here = self._current.physical
        if here == self._current.physical and not was_blocked:
            unblock_writes(self._client, self._current, self._patience)

    def _carry(self, source: IndexInfo, target: IndexInfo, carry: Carry) -> Carry:
        reader = Reader(self._client, source.physical, self._patience)
        if carry.since != reader.checkpoints():
            self._options.stage(f"carrying over what was written to {source.physical} since")
            load, loaders = self._options.load, self._options.loaders
            legs = legs_to(self._client, source, target, load, loaders)
            carrier = Carrier(self._client, source, target, legs, self._patience)
            noted = _Now(NOTED_EVERY_S)

            def note(state: Carry) -> None:
                self._lock.check()
                if noted.due():
                    self._note(target, state)

            carry = carrier.carry(carry, note)
        self._finish(target, carry, complete=True)
        return carry

    def _finish(self, target: IndexInfo, carry: Carry, *, complete: bool) -> None:
        if complete:
            marks = Reader(self._client, carry.source, self._patience).checkpoints()
            note_synced(self._client, self._patience, carry.source, {target.physical: marks})
            note_synced(self._client, self._patience, target.physical, {carry.source: carry.frozen})
        else:
            self._forget(target.physical, carry.source)
        keep_tombstones(self._client, target, self._patience, None)
        Reader(self._client, target.physical, self._patience).refresh()
        self._note(target, None)

    def _mark_done(self, info: IndexInfo) -> None:
        """A version that was current is no build any more, whatever its job has still noted."""
        state = BuildState.of(info)
        if state is not None and state.phase != "done":
            note_state(self._client, self._patience, info, replace(state, phase="done"))

    def _forget(self, one: str, two: str) -> None:
        """Two versions differ from here on in ways that nobody keeps account of."""
        note_synced(self._client, self._patience, one, {two: None})
        note_synced(self._client, self._patience, two, {one: None})

    def _note(self, target: IndexInfo, carry: Carry | None) -> None:
        value = carry.as_dict() if carry else None
        self._patience(
            f"noting how far {target.physical} is",
            lambda: write_note(self._client, target, CARRY_NOTE, value),
        )

    def _reread(self, physical: str) -> IndexInfo:
        return read_physical(self._client, self._patience, self._name, physical)

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 2)

    def _report(
        self, before: str, after: str, state: Carry | None = None, **values: Any
    ) -> RollbackReport:
        counts = (
            {"carried": state.carried, "removed": state.removed, "newer": state.newer}
            if state
            else {}
        )
        return RollbackReport(
            self._name, before, after, seconds=self._seconds, **{**counts, **values}
        )


def is_complete(info: IndexInfo) -> bool:
    """Whether a version held everything once: as the current one, or as a verified build."""
    state = BuildState.of(info)
    return state is None or state.phase in ("done", "ready")


class _Now:
    """Something to do every few seconds."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time again."""
        now = time.monotonic()
        if now - self._last < self._every_s:
            return False
        self._last = now
        return True
