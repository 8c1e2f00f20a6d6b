"""Train: the recipe of the job, going on from its last checkpoint."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operations.retraining.context import Context
from operations.retraining.errors import RetrainingError
from operations.retraining.job import Leg
from operations.retraining.machine import Done
from operations.retraining.recipes import TrainingData, training_config
from operations.retraining.steps.mining import training_records
from training.config import EvaluationSet
from training.data.preparation import DEV

if TYPE_CHECKING:
    from training.dense.fitting import StepReport

RUN = "run"
LINE_EVERY_S = 30.0


def train_step(context: Context, folder: Path) -> Done:
    """Train the candidate.

    Raises:
        TrainingError: The data or the settings do not allow it.
    """
    train = context.job.train
    data = TrainingData(
        records=training_records(context),
        dev=_dev_sets(context),
        output=folder / RUN,
        model=_start(context),
    )
    config = training_config(train, data)
    models = _TRAINERS[train.recipe](config, context.tell)
    legs = ", ".join(models)
    result = {"models": {leg: str(path) for leg, path in models.items()}}
    files = tuple(path.relative_to(folder).as_posix() for path in models.values())
    return Done(result, files, f"{legs} by the recipe {train.recipe}")


def candidate_models(context: Context) -> dict[Leg, Path]:
    """Leg -> folder of what was trained."""
    return {leg: Path(path) for leg, path in context.result("train")["models"].items()}


def config_file(context: Context) -> Path:
    """The resolved configuration of the training run."""
    return context.step_folder("train") / RUN / "config.toml"


def _dev_sets(context: Context) -> list[EvaluationSet]:
    own = context.step_folder("prepare") / DEV
    sets = [EvaluationSet(path=own)] if context.result("prepare").get("dev_queries") else []
    return [*sets, *context.job.train.dev]


def _start(context: Context) -> str | None:
    train = context.job.train
    if train.start == "base":
        return None
    models: Mapping[str, str] = context.result("collect")["production"]["models"]
    if train.recipe not in models:
        msg = (
            f"train.start = 'production', but production has no {train.recipe} model. Start from "
            "the recipe's own: leave it out."
        )
        raise RetrainingError(msg)
    return models[train.recipe]


def _dense(config: Any, tell: Callable[[str], None]) -> dict[Leg, Path]:
    from training.dense.run import Options, train_dense

    train_dense(config, Options(resume=True, progress=DenseProgress(tell)))
    return {"dense": config.output / "model"}


def _sparse(config: Any, tell: Callable[[str], None]) -> dict[Leg, Path]:
    from training.run_folder import RunFolder
    from training.sparse.run import train_sparse

    # This trainer has no answer of its own to a run that is complete.
    if not RunFolder(config.output).result.is_file():
        train_sparse(config, resume=True, tell=_Now(tell).sparse)
    return {"sparse": config.output / "model"}


def _static(config: Any, tell: Callable[[str], None]) -> dict[Leg, Path]:
    from training.static.run import train_static

    train_static(config, StaticProgress(tell), resume=True)
    return {leg: config.output / leg for leg in config.model.legs}


_TRAINERS: Mapping[str, Callable[[Any, Callable[[str], None]], dict[Leg, Path]]] = {
    "dense": _dense,
    "sparse": _sparse,
    "static": _static,
}


class _Now:
    """A line now and then."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._last = time.monotonic()

    def sparse(self, entry: Mapping[str, Any]) -> None:
        """A line of the sparse trainer's log."""
        metric = entry.get("metric")
        shown = f"dev NDCG@10 {metric:.4f}" if metric is not None else ""
        self.say(f"step {entry['step']} {shown}", always=metric is not None)

    def say(self, text: str, *, always: bool = False) -> None:
        """Tell, unless the last line is young."""
        if always or time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            self._tell(f"train: {text}")


class StaticProgress:
    """Tells stages, measurements, and a step now and then."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._now = _Now(tell)

    def stage(self, text: str) -> None:
        """A stage begins."""
        self._now.say(text, always=True)

    def step(self, leg: str, entry: Mapping[str, Any], total: int) -> None:
        """Something was logged."""
        dev = entry.get("dev")
        shown = f", dev NDCG@10 {dev:.4f}" if dev is not None else ""
        self._now.say(f"{leg}: step {entry['step']} of {total}{shown}", always=dev is not None)


class DenseProgress:
    """The same for the dense trainer."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._now = _Now(tell)

    def stage(self, text: str) -> None:
        """A stage begins."""
        self._now.say(text, always=True)

    def step(self, report: "StepReport") -> None:
        """A step was done, or a measurement."""
        shown = f", dev NDCG@10 {report.dev:.4f}" if report.dev is not None else ""
        self._now.say(f"step {report.step} of {report.total}{shown}")
