"""What a run has done: one file, written whole after every step."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from operations.retraining.errors import RetrainingError
from training.run_folder import write_atomically

STATE = "state.json"
FORMAT = 1

Outcome = Literal["done", "refused"]


@dataclass(frozen=True)
class StepRecord:
    """A step that is done.

    Attributes:
        inputs: Digest of everything the steps before it made.
        outputs: File below the step's folder -> its SHA-256.
        result: What the step found, as JSON-ready values.
        began: When it began (ISO, UTC).
        seconds: How long it took in its last start.
        skipped: Why there was nothing to do.
    """

    inputs: str
    outputs: Mapping[str, str]
    result: Mapping[str, Any]
    began: str
    seconds: float
    skipped: str | None = None


@dataclass(frozen=True)
class Failure:
    """Why the last start ended early.

    Attributes:
        step: In which step.
        error: The message.
        at: When (ISO, UTC).
    """

    step: str
    error: str
    at: str


@dataclass(frozen=True)
class RunState:
    """What a run has done.

    Attributes:
        run: Its id, which is also its folder's name.
        job: Digest of the resolved job.
        inputs: What it reads -> digest at its start.
        started: When it was begun (ISO, UTC).
        steps: Step -> what it did, in order.
        running: The step under way, or the one during which the process ended.
        failed: Why the last start ended early.
        outcome: How it ended; ``None`` while it is not finished.
        reason: Why the gate said no.
        finished: When it ended (ISO, UTC).
    """

    run: str
    job: str
    inputs: Mapping[str, str]
    started: str
    steps: Mapping[str, StepRecord] = field(default_factory=dict)
    running: str | None = None
    failed: Failure | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    finished: str | None = None

    def with_step(self, name: str, record: StepRecord) -> "RunState":
        """The state after a step."""
        return replace(self, steps={**self.steps, name: record}, running=None, failed=None)

    def result(self, step: str) -> Mapping[str, Any]:
        """What a step found; empty where it has not run."""
        record = self.steps.get(step)
        return record.result if record else {}


def write_state(folder: Path, state: RunState) -> None:
    """Write a run's state so that a kill leaves the old one or the new one.

    Raises:
        TrainingError: The disk refuses.
    """
    text = json.dumps({"format": FORMAT, **asdict(state)}, ensure_ascii=False, indent=2)
    write_atomically(folder / STATE, text + "\n")


def read_state(folder: Path) -> RunState:
    """Read a run's state.

    Raises:
        RetrainingError: The file is broken or of another version.
    """
    path = folder / STATE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format") != FORMAT:
            raise ValueError(FORMAT)
        steps = {name: StepRecord(**record) for name, record in values.pop("steps").items()}
        failed = values.pop("failed")
        return RunState(steps=steps, failed=Failure(**failed) if failed else None, **values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} cannot be read ({error!r}). Move the folder away to begin a new run."
        raise RetrainingError(msg) from error


def latest_state(output: Path) -> RunState | None:
    """The state of the newest run of a job; ``None`` where there is none.

    Raises:
        RetrainingError: Its file is broken.
    """
    newest = next(iter(run_folders(output)), None)
    return None if newest is None else read_state(newest)


def run_folders(output: Path) -> list[Path]:
    """Folders of a job's runs, the newest first."""
    return sorted((path.parent for path in output.glob(f"*/{STATE}")), reverse=True)


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def stamp() -> str:
    """The time as it stands in files: ISO, UTC, whole seconds."""
    return now().isoformat(timespec="seconds")
