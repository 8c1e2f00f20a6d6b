"""Checkpoints of a sparse run: everything a resumed run needs to go on as if never stopped."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.checkpoints import check, last_whole, seal
from training.run_folder import RunFolder, replacing_folder

_STATE = "state.pt"


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        step: Optimiser steps done.
        best_step: Step of the best dev metric; 0 is the untrained model.
        best: The best dev metric.
        waited: Measurements since.
        steering: Factor of the regulariser's weight.
        measured: Every measurement: step and its values.
    """

    step: int = 0
    best_step: int = 0
    best: float = float("-inf")
    waited: int = 0
    steering: float = 1.0
    measured: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(
    run: RunFolder, progress: Progress, state: Mapping[str, Any], *, keep: int
) -> None:
    """Write a checkpoint whole or not at all, and remove those no longer needed.

    Args:
        run: The run's folder.
        progress: Where the run is.
        state: State of module, optimiser and random numbers.
        keep: Latest checkpoints that stay beside the best one.

    Raises:
        TrainingError: The disk refuses; earlier checkpoints are whole.
    """
    import torch

    target = run.checkpoints / f"checkpoint-{progress.step}"
    with replacing_folder(target) as folder:
        try:
            torch.save({**state, "progress": vars(progress)}, folder / _STATE)
            seal(folder)
        except RuntimeError as error:  # what PyTorch's writer makes of a full disk
            raise OSError(str(error)) from error
    for old in run.checkpoint_folders()[keep:]:
        if old.name != f"checkpoint-{progress.best_step}":
            shutil.rmtree(old, ignore_errors=True)


def latest_checkpoint(run: RunFolder) -> tuple[Progress, dict[str, Any]] | None:
    """The latest checkpoint that was written to its end; ``None`` where there is none.

    Raises:
        CheckpointError: It is damaged.
    """
    folder = last_whole(run)
    if folder is None:
        return None
    state = read_checkpoint(folder)
    return Progress(**state.pop("progress")), state


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The state in a checkpoint's folder.

    Raises:
        CheckpointError: It is damaged.
    """
    import torch

    check(folder)
    state: dict[str, Any] = torch.load(folder / _STATE, map_location="cpu", weights_only=True)
    return state
