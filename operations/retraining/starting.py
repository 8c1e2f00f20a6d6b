"""Which run a start belongs to: the one that was interrupted, a new one, or none."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from operations.retraining.digests import digest_of, path_digest
from operations.retraining.job import RetrainingJob
from operations.retraining.recipes import settings_paths
from operations.retraining.state import RunState, latest_state, now, stamp, write_state
from training.config import Section

How = Literal["new", "continued", "nothing to do"]


@dataclass(frozen=True)
class Start:
    """What a start does.

    Attributes:
        how: Whether it goes on, begins anew, or has nothing to do.
        why: The same as a sentence.
        state: The run.
    """

    how: How
    why: str
    state: RunState


def choose_run(job: RetrainingJob, *, force: bool = False, probe: str | None = None) -> Start:
    """Find the run to go on with, or describe a new one; nothing is written.

    Args:
        job: The job.
        force: Begin anew, whatever there is.
        probe: Digest of live sources now; a finished run is repeated where it changed.

    Raises:
        RetrainingError: What the job reads is not there, or the last run's state is broken.
    """
    fresh = _fresh(job)
    before = None if force else latest_state(job.output)
    if before is None:
        return Start("new", "begun because --force asks for it" if force else "begun", fresh)
    changes = list(_changes(before, fresh))
    if changes:
        why = f"begun anew, since {', '.join(changes)} changed after the run {before.run}"
        return Start("new", why, fresh)
    if before.outcome is None:
        return Start("continued", f"going on with the run {before.run}", before)
    if before.result("collect").get("probe") != probe:
        return Start("new", f"begun, since there is new feedback after the run {before.run}", fresh)
    return Start("nothing to do", f"nothing changed since the run {before.run}", before)


def open_run(output: Path, start: Start) -> Path:
    """The run's folder, with its state; made where the run is new."""
    folder = output / start.state.run
    if start.how == "new":
        folder.mkdir(parents=True, exist_ok=True)
        write_state(folder, start.state)
    return folder


def job_digest(job: RetrainingJob) -> str:
    """What the job says; where its runs are kept does not matter."""
    return digest_of(job.model_dump(mode="json", exclude={"output"}))


def input_paths(job: RetrainingJob) -> list[Path]:
    """Files and folders whose content a run depends on, each once.

    Logged feedback is none of them: it grows all the time, and a run takes what is there when it
    begins.
    """
    collect = job.collect.model_copy(update={"feedback": None})
    known = job.model_copy(update={"output": None, "collect": collect})
    return sorted({*_paths(known), *settings_paths(job.train)})


def _fresh(job: RetrainingJob) -> RunState:
    digest = job_digest(job)
    inputs = {str(path): path_digest(path) for path in input_paths(job)}
    run = f"{now():%Y%m%d-%H%M%S-%f}-{digest_of([digest, inputs])[:8]}"
    return RunState(run=run, job=digest, inputs=inputs, started=stamp())


def _changes(before: RunState, fresh: RunState) -> Iterator[str]:
    if before.job != fresh.job:
        yield "the job"
    names = {**before.inputs, **fresh.inputs}
    yield from (name for name in names if before.inputs.get(name) != fresh.inputs.get(name))


def _paths(value: object) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Section):
        for name in type(value).model_fields:
            yield from _paths(getattr(value, name))
    elif isinstance(value, tuple):
        for entry in value:
            yield from _paths(entry)
