"""Build a new version of an index beside the old one and swap it in, without a gap in service."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from opensearch.errors import SearchBackendError
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.indices import physical_indices
from operations.reindexing.building import Build, open_build, read_body
from operations.reindexing.catalogue import version_of
from operations.reindexing.copying import Copier, Pace
from operations.reindexing.errors import CheckRefusedError, ReindexError
from operations.reindexing.job import (
    ReindexEvents,
    ReindexJob,
    ReindexProgress,
    ReindexReport,
    Stage,
)
from operations.reindexing.legs import Legs, plan_legs
from operations.reindexing.lock import JobLock
from operations.reindexing.patience import Patience
from operations.reindexing.retention import prune
from operations.reindexing.shards import Reader
from operations.reindexing.state import BuildState, note_state, note_synced
from operations.reindexing.swapping import (
    block_writes,
    is_blocked,
    refuse_plain_index,
    swap,
    unblock_writes,
)
from operations.reindexing.sweeping import Span, suspects, sweep
from operations.reindexing.target import CARRY_NOTE
from operations.reindexing.verification import (
    Copies,
    verify_mapping,
    verify_sample,
    verify_whole,
)

NOTED_EVERY_S = 2.0
# A pass this small is quickly repeated while writes are held back.
SMALL_PASS = 200
MAX_PASSES = 20


def reindex(client: Any, job: ReindexJob, events: ReindexEvents | None = None) -> ReindexReport:
    """Build a new version of an index from its stored texts, and swap it in.

    Killed at any moment and started again, it continues. People search the old version until the
    new one holds the same documents; then the alias moves in one step.

    Raises:
        BusyError: Another job works on the same index.
        CheckRefusedError: The job's check said no; nothing was swapped.
        VerificationError: The new index is not what it must be; nothing was swapped.
        ReindexError: The job cannot start or go on.
        EncoderError: A model cannot be loaded.
        SearchBackendError: OpenSearch refused.
    """
    patience = Patience(job.patience_s)
    with JobLock(client, job.index, "re-index", patience) as lock:
        run = _Reindex(client, job, events or ReindexEvents(), lock)
        return run.run()


class _Reindex:
    """One run of ``reindex``."""

    def __init__(self, client: Any, job: ReindexJob, events: ReindexEvents, lock: JobLock) -> None:
        self._client = client
        self._job = job
        self._events = events
        self._lock = lock
        self._patience = Patience(job.patience_s)
        self._began = time.monotonic()
        self._info = self._read_current()
        self._legs = plan_legs(client, self._info, job)

    def run(self) -> ReindexReport:
        if self._is_current():
            return self._nothing_to_do()
        build = open_build(self._client, self._job, self._legs, self._patience)
        work = _Work(self, build)
        work.prepare()
        work.catch_up("copying")
        verified = work.verify()
        work.consult()
        report = work.report()
        if not self._job.swap:
            work.note("ready")
            return replace(report, verified=verified, seconds=self.seconds)
        blocked_s = work.swap_in()
        dropped = prune(self._client, self._job.index, self._job.keep)
        return replace(
            work.report(),
            verified=verified,
            swapped=True,
            blocked_s=round(blocked_s, 3),
            dropped=tuple(dropped),
            seconds=self.seconds,
        )

    @property
    def seconds(self) -> float:
        """What this run has taken so far."""
        return round(time.monotonic() - self._began, 1)

    def _read_current(self) -> IndexInfo:
        name = self._job.index
        info = self._patience(f"reading {name}", lambda: read_index_info(self._client, name))
        refuse_plain_index(info)
        if info.notes.get(CARRY_NOTE):
            msg = (
                f"A rollback of {name!r} has not carried over everything yet. Finish it first: "
                f"`tandem rollback {name}`."
            )
            raise ReindexError(msg)
        return info

    def _is_current(self) -> bool:
        job = self._job
        if job.rebuild or self._legs.changed or version_of(self._info) != job.version:
            return False
        settings = read_body(self._client, self._info.physical, self._patience)["settings"]
        wanted = {"number_of_shards": job.shards, "number_of_replicas": job.replicas}
        return all(v is None or int(settings["index"][n]) == v for n, v in wanted.items())

    def _nothing_to_do(self) -> ReindexReport:
        """The version is current: a job that was killed right behind the swap is rounded off."""
        state = BuildState.of(self._info)
        if state is not None and state.phase != "done":
            note_state(self._client, self._patience, self._info, replace(state, phase="done"))
        dropped = prune(self._client, self._job.index, self._job.keep)
        physical = self._info.physical
        return ReindexReport(
            self._job.index,
            self._job.version,
            before=state.source if state else physical,
            after=physical,
            unchanged=True,
            dropped=tuple(dropped),
            seconds=self.seconds,
        )

    # What the work below needs of the run.
    @property
    def parts(self) -> tuple[Any, ReindexJob, ReindexEvents, JobLock, Patience]:
        return self._client, self._job, self._events, self._lock, self._patience

    @property
    def legs(self) -> Legs:
        return self._legs


class _Work:
    """Fills one new index from one old one."""

    def __init__(self, run: _Reindex, build: Build) -> None:
        self._client, self._job, self._events, self._lock, self._patience = run.parts
        self._legs = run.legs
        self._before = run.legs.before
        self._build = build
        self._state = build.state
        self._source = Reader(self._client, self._before.physical, self._patience)
        self._target = Reader(self._client, build.info.physical, self._patience)
        self._copier = Copier(self._client, self._before, build.info, self._legs, self._patience)
        self._pace = Pace(self._job.rate)
        self._total = 0
        self._noted = 0.0

    def prepare(self) -> None:
        """Undo what a run that was killed in the short window before its swap left behind."""
        if self._state.phase == "swapping":
            unblock_writes(self._client, self._before, self._patience)
        self.note("building")
        self._total = self._source.count()

    def catch_up(self, stage: Stage) -> None:
        """Copy what is not copied yet, again and again, until little is left."""
        physical = self._build.info.physical
        how = "continuing" if self._build.resumed else "filling"
        self._tell(stage, f"{how} {physical} from {self._before.physical}")
        for turn in range(MAX_PASSES):
            moved = self._pass(self._source.checkpoints())
            self._sweep()
            if moved <= SMALL_PASS:
                return
            self._tell("catching-up", f"pass {turn + 2}: what was written meanwhile")

    def _pass(self, upto: Sequence[int]) -> int:
        """Copy everything up to the marks; how many passages that were."""
        self._copier.fields.take_over()
        done = list(self._state.done)
        moved = 0
        for batch in self._copier.copy(self._state.done, upto, self._pace):
            self._lock.check()
            done[batch.shard] = batch.upto
            moved += batch.copied
            state = self._state
            self._state = replace(
                state,
                done=tuple(done),
                copied=state.copied + batch.copied,
                encoded=state.encoded + batch.encoded,
                caught_up=state.caught_up + (batch.copied if state.whole else 0),
                long=state.long + batch.long,
            )
            self._progress()
            if time.monotonic() - self._noted > NOTED_EVERY_S:
                self.note()
        self._state = replace(self._state, done=tuple(upto), whole=True)
        if moved:
            self.note()
        return moved

    def _progress(self) -> None:
        state = self._state
        self._events.progress(ReindexProgress(state.copied, self._total, state.encoded))

    def _sweep(self) -> None:
        """Delete what was deleted meanwhile; equal counts say that nothing was.

        Everything of the source is copied, so what the copy holds beyond its count is surplus.
        """
        self._source.refresh()
        self._target.refresh()
        surplus = self._target.count() - self._source.count()
        if surplus > 0:
            removed = sweep(self._target, self._source, self._build.info, surplus)
            self._target.refresh()
            self._state = replace(self._state, removed=self._state.removed + removed)
            self.note()

    def verify(self) -> int:
        """Compare mapping and a sample; how many passages were compared."""
        self._tell("verifying", f"encoding {self._job.sample} passages again to compare them")
        verify_mapping(self._client, self._before, self._build.info, self._legs)
        return verify_sample(self._copier, self._copies(), self._job.sample, self._state.done)

    def consult(self) -> None:
        """Let the job's own check look at the new index.

        Raises:
            CheckRefusedError: It said no.
        """
        self._restore_refresh()
        if self._job.check is None:
            return
        info = self._build.info
        self._tell("checking", f"checking {info.physical}")
        self._target.refresh()
        reason = self._job.check(self._client, info)
        if reason is not None:
            msg = (
                f"{info.physical} was not swapped in: {reason}. It stays as it is; drop it with "
                f"`tandem versions {info.name} --drop {info.physical}`."
            )
            raise CheckRefusedError(msg)
        self.catch_up("catching-up")

    def swap_in(self) -> float:
        """Hold writes back, copy the last of them, move the alias; how long that took, in s."""
        name, info = self._job.index, self._build.info
        was_blocked = is_blocked(self._client, self._before)
        # What the short window asks is asked once before: the first time costs the most.
        for _ in suspects(self._target, self._source, Span(), self._target.count()):
            break
        self._lock.renew()
        if not was_blocked:
            self.note("swapping")
        began = time.monotonic()
        block_writes(self._client, self._before, self._patience)
        try:
            self._tell("blocked", f"copying the last writes to {self._before.physical}")
            marks = self._finish_copy()
            self._lock.renew()
            self._patience(
                f"moving {name} to {info.physical}", lambda: swap(self._client, name, info.physical)
            )
        except BaseException:
            self._give_way(was_blocked=was_blocked)
            raise
        blocked_s = time.monotonic() - began
        self._tell("swapped", f"{name} is {info.physical} now")
        self._round_off(marks)
        return blocked_s

    def _finish_copy(self) -> tuple[int, ...]:
        """The last pass; returns up to where the new index was written."""
        upto = self._source.settled()
        self._source.refresh()
        self._pass(upto)
        self._sweep()
        verify_whole(self._client, self._copies(), self._patience)
        return self._target.settled()

    def _give_way(self, *, was_blocked: bool) -> None:
        """Let writes through again, unless the alias was moved after all."""
        with suppress(SearchBackendError):
            if read_index_info(self._client, self._job.index).physical != self._before.physical:
                return
        if not was_blocked:
            unblock_writes(self._client, self._before, self._patience)
        self.note("building")

    def _round_off(self, marks: tuple[int, ...]) -> None:
        """Note what both versions have in common, for a rollback."""
        before, after = self._before.physical, self._build.info.physical
        note_synced(self._client, self._patience, after, {before: marks})
        note_synced(self._client, self._patience, before, {after: self._state.done})
        self.note("done")

    def note(self, phase: Any = None) -> None:
        """Keep the state with the index, so that a killed job goes on from there."""
        self._state = replace(self._state, phase=phase or self._state.phase)
        note_state(self._client, self._patience, self._build.info, self._state)
        self._noted = time.monotonic()

    def _restore_refresh(self) -> None:
        body = {"index": {"refresh_interval": self._build.refresh_interval}}
        for physical in physical_indices(self._build.info):
            self._patience(
                f"setting the refresh interval of {physical}",
                lambda physical=physical: self._client.indices.put_settings(  # type: ignore[misc]
                    index=physical, body=body
                ),
            )

    def _copies(self) -> Copies:
        return Copies(self._source, self._target, self._build.info)

    def _tell(self, stage: Stage, line: str) -> None:
        self._events.stage(stage, line)

    def report(self) -> ReindexReport:
        """What the build has done, over all of its runs."""
        state = self._state
        return ReindexReport(
            self._job.index,
            self._job.version,
            before=self._before.physical,
            after=self._build.info.physical,
            copied=state.copied,
            encoded=state.encoded,
            caught_up=state.caught_up,
            removed=state.removed,
            resumed=self._build.resumed,
            warnings=(*self._build.warnings, *_length_warning(state)),
        )


def _length_warning(state: BuildState) -> list[str]:
    if not state.long:
        return []
    return [
        f"{state.long} of {state.encoded} passages are longer than an encoder reads: their ends "
        "are found by words only. Passages stay cut as they are stored; `tandem index` with "
        "--chunk-size cuts them anew from the corpus."
    ]
