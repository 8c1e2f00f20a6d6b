"""A retraining run from its first step to its report, in as many starts as it takes."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from opensearch.local.file_lock import file_lock
from operations.retraining.context import Context
from operations.retraining.errors import RunningError, StepFailedError
from operations.retraining.feedback import feedback_probe
from operations.retraining.job import RetrainingJob
from operations.retraining.machine import Step, advance
from operations.retraining.report import headline, write_report
from operations.retraining.run_log import RunLog
from operations.retraining.starting import Start, choose_run, open_run
from operations.retraining.state import RunState, read_state, run_folders
from operations.retraining.steps.collecting import collect_step
from operations.retraining.steps.evaluating import evaluate_step
from operations.retraining.steps.exporting import export_step, parity_step
from operations.retraining.steps.gating import gate_step
from operations.retraining.steps.indexing import reindex_step, swap_step
from operations.retraining.steps.mining import mine_step
from operations.retraining.steps.preparing import prepare_step
from operations.retraining.steps.publishing import publish_step, push_step
from operations.retraining.steps.reporting import report_step
from operations.retraining.steps.training import train_step

LOCK = ".lock"
STEPS = (
    Step("collect", "collecting records and feedback", collect_step),
    Step("prepare", "cleaning and splitting", prepare_step),
    Step("mine", "finding hard negatives", mine_step, resumable=True),
    Step("train", "training the candidate", train_step, resumable=True),
    Step("evaluate", "holding the candidate against production", evaluate_step),
    Step("gate", "asking the gate", gate_step),
    Step("export", "exporting", export_step),
    Step("parity", "comparing exports with their models", parity_step),
    Step("publish", "publishing", publish_step),
    Step("push", "pushing into the cluster", push_step),
    Step("reindex", "building the new index beside the old one", reindex_step),
    Step("swap", "taking it into production", swap_step, changes_production=True),
    Step("report", "writing the report", report_step, always=True),
)
STEP_NAMES = tuple(step.name for step in STEPS)


@dataclass(frozen=True)
class Options:
    """How a start is carried out.

    Attributes:
        url: The cluster.
        until: The last step to run.
        force: Begin anew, whatever there is.
        echo: Told a line for people, as it stands in ``job.log``.
    """

    url: str | None = None
    until: str | None = None
    force: bool = False
    echo: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Retrained:
    """What a start did.

    Attributes:
        how: Whether a run was begun or continued, or there was nothing to do.
        folder: The run's folder.
        state: The run.
        headline: What came of it, in one line.
    """

    how: Literal["new", "continued", "nothing to do"]
    folder: Path
    state: RunState
    headline: str

    @property
    def refused(self) -> bool:
        """Whether the gate said no."""
        return self.state.reason is not None


def retrain(job: RetrainingJob, options: Options | None = None) -> Retrained:
    """Run a job, or go on with the run that was interrupted.

    Args:
        job: The job.
        options: How.

    Raises:
        RunningError: Another start of this job is under way.
        StepFailedError: A step failed; the next start goes on with it.
        RetrainingError: What the job reads is not there.
    """
    options = options or Options()
    with file_lock(job.output / LOCK, lambda: _refuse(job)):
        probe = feedback_probe(job.collect.feedback, options.url)
        start = choose_run(job, force=options.force, probe=probe)
        if start.how == "nothing to do":
            options.echo(start.why)
            return _retrained(job, start, job.output / start.state.run, start.state)
        return _go(job, start, options)


def _go(job: RetrainingJob, start: Start, options: Options) -> Retrained:
    folder = open_run(job.output, start)
    log = RunLog(folder, options.echo)
    log(f"run {start.state.run}: {start.why}")
    context = Context(job, folder, start.state, log, options.url)
    try:
        state = advance(STEPS, context, until=options.until)
    except StepFailedError:
        write_report(folder, job, context.state)
        raise
    if state.outcome is not None:
        write_report(folder, job, state)
        tidy(job.output, job.keep)
    log(headline(job, state))
    return _retrained(job, start, folder, state)


def tidy(output: Path, keep: int) -> None:
    """Remove what the steps of older finished runs made; state, log and report stay.

    Versions are in the registry: nothing in service reads a run's folder.
    """
    finished = [f for f in run_folders(output) if read_state(f).outcome is not None]
    for folder in finished[keep:]:
        for name in STEP_NAMES:
            shutil.rmtree(folder / name, ignore_errors=True)


def _retrained(job: RetrainingJob, start: Start, folder: Path, state: RunState) -> Retrained:
    return Retrained(start.how, folder, state, headline(job, state))


def _refuse(job: RetrainingJob) -> None:
    msg = (
        f"Another start of this job is under way (it holds {job.output / LOCK}). Wait until it is "
        "done; nothing needs to be removed."
    )
    raise RunningError(msg)
