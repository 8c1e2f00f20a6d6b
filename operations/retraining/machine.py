"""Runs steps in order, each once: whatever ends the process, the next start goes on.

Before a step its name is written down, after it what it made. A step that was interrupted runs
again: either its folder is emptied first, or it knows how to go on (``resumable``). A step whose
files changed since, or came to be other ones because an earlier step had to run again, runs again.
"""

import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from encoders.errors import ParityError
from operations.known_errors import OUR_ERRORS
from operations.retraining.context import Context
from operations.retraining.digests import digest_of, folder_digests, unchanged
from operations.retraining.errors import RefusedError, StepFailedError
from operations.retraining.state import Failure, Outcome, RunState, StepRecord, stamp, write_state

_KNOWN_ERRORS = (*OUR_ERRORS, OSError)  # OSError: a full disk
UNTOUCHED = "Production is untouched"


@dataclass(frozen=True)
class Done:
    """What a step did.

    Attributes:
        result: What it found, as JSON-ready values.
        files: Names below its folder whose content is its output.
        summary: One line for people.
        skipped: Why there was nothing to do.
        refused: Why the candidate must not go on.
    """

    result: Mapping[str, Any]
    files: tuple[str, ...] = ()
    summary: str = ""
    skipped: str | None = None
    refused: str | None = None


Action = Callable[[Context, Path], Done]


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name: Its name, and that of its folder.
        does: What it does, for the plan.
        action: Does it; given the context and the step's folder.
        resumable: Goes on from what it left when it was interrupted.
        always: Runs even after the gate said no.
        changes_production: From here on production may be another one than before.
    """

    name: str
    does: str
    action: Action
    resumable: bool = False
    always: bool = False
    changes_production: bool = False


def advance(steps: Sequence[Step], context: Context, *, until: str | None = None) -> RunState:
    """Run every step that is not done.

    Args:
        steps: In order.
        context: The run; its ``state`` moves on.
        until: The last step to run; by default all.

    Returns:
        The state; finished unless ``until`` ended the run early.

    Raises:
        StepFailedError: A step failed; what was done before stays done.
    """
    stepper = _Stepper(context, {step.name for step in steps if step.changes_production})
    for step in steps:
        if step.always or not context.state.reason:
            stepper.take(step)
        else:
            stepper.leave_out(step)
        # After a "no" only the report is left, and it is worth having.
        if until == step.name and step is not steps[-1] and not context.state.reason:
            return context.state
    outcome: Outcome = "refused" if context.state.reason else "done"
    return _save(context, replace(context.state, outcome=outcome, finished=stamp()))


class _Stepper:
    def __init__(self, context: Context, changing: Collection[str]) -> None:
        self._context = context
        self._changing = changing
        state = context.state
        self._chain = digest_of([state.job, dict(state.inputs)])
        began = {name for name, record in state.steps.items() if not record.skipped}
        self._untouched = not {*began, state.running} & {*changing}

    def take(self, step: Step) -> None:
        """Run a step, or see that it is done."""
        context = self._context
        record = context.state.steps.get(step.name)
        folder = context.step_folder(step.name)
        if record and self._stands(step, record, folder):
            context.tell(f"{step.name}: done before")
        else:
            record = self._run(step, folder)
        self._chain = digest_of([self._chain, step.name, dict(record.outputs)])

    def leave_out(self, step: Step) -> None:
        """Pass a step over after the gate said no; what it had made before still counts."""
        if record := self._context.state.steps.get(step.name):
            self._chain = digest_of([self._chain, step.name, dict(record.outputs)])

    def _stands(self, step: Step, record: StepRecord, folder: Path) -> bool:
        if record.inputs != self._chain:
            self._context.tell(f"{step.name}: an earlier step made something else; running again")
            return False
        if not unchanged(folder, record.outputs):
            self._context.tell(f"{step.name}: its files in {folder} changed; running again")
            return False
        return True

    def _run(self, step: Step, folder: Path) -> StepRecord:
        context, began, started = self._context, stamp(), time.monotonic()
        _make_ready(step, folder, context.state)
        self._untouched = self._untouched and step.name not in self._changing
        _save(context, replace(context.state, running=step.name, failed=None))
        context.tell(f"{step.name}: {step.does}")
        done = self._act(step, folder)
        record = StepRecord(
            inputs=self._chain,
            outputs=folder_digests(folder, done.files) if done.files else {},
            result=done.result,
            began=began,
            seconds=round(time.monotonic() - started, 3),
            skipped=done.skipped,
        )
        # One write: the step and its "no" are never seen apart.
        after = context.state.with_step(step.name, record)
        _save(context, replace(after, reason=done.refused or after.reason))
        said = f"nothing to do: {done.skipped}" if done.skipped else done.summary
        context.tell(f"{step.name}: {said or 'done'} ({record.seconds:.1f} s)")
        return record

    def _act(self, step: Step, folder: Path) -> Done:
        try:
            return step.action(self._context, folder)
        except (RefusedError, ParityError) as error:
            # A "no" is a result: it is written down, and the report says it.
            return Done({}, summary="refused", refused=str(error))
        except _KNOWN_ERRORS as error:
            raise self._failed(step, error) from error
        except BaseException as error:
            self._failed(step, error)
            raise

    def _failed(self, step: Step, error: BaseException) -> StepFailedError:
        context = self._context
        text = str(error) or type(error).__name__
        _save(context, replace(context.state, failed=Failure(step.name, text, stamp())))
        stands = f"{UNTOUCHED}. " if self._untouched else ""
        msg = f"{step.name} failed: {text}\n{stands}Start the job again to go on with this step."
        context.tell(msg)
        return StepFailedError(msg)


def _make_ready(step: Step, folder: Path, state: RunState) -> None:
    interrupted = state.running == step.name or (state.failed and state.failed.step == step.name)
    if folder.exists() and not (step.resumable and interrupted):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _save(context: Context, state: RunState) -> RunState:
    context.state = state
    write_state(context.folder, state)
    return state
