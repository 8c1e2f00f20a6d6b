"""The training loop of one leg: the same for both, able to go on after a kill."""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from training.checkpoints import last_whole, seal, step_of
from training.errors import TrainingError
from training.evaluation.metrics import Evaluated
from training.run_folder import RunFolder, replacing_folder
from training.static.batches import Batch, draw_batch
from training.static.config import Leg, TrainingSettings
from training.static.examples import Examples
from training.static.measuring import mean_ndcg

Module: TypeAlias = Any
Tensor: TypeAlias = Any

_STATE = "state.pt"
_KEPT = 2
_LOG_EVERY = 10
# Weights of single tokens move faster than vectors.
_SINGLE = frozenset({"log_weights", "thresholds", "gamma", "own", "query_gain"})


class Progress(Protocol):
    """Who is told how a run goes."""

    def stage(self, text: str) -> None:
        """A stage begins."""
        ...

    def step(self, leg: Leg, entry: Mapping[str, Any], total: int) -> None:
        """Something was logged."""
        ...


@dataclass(frozen=True)
class Job:
    """One leg's training.

    Attributes:
        leg: Which model.
        network: The network as it starts; it is trained in place.
        sets: What it learns from.
        loss: Loss of a batch.
        measure: Metrics on the dev sets.
        settings: How.
        folder: Log and checkpoints.
        progress: Who is told.
    """

    leg: Leg
    network: Module
    sets: Sequence[Examples]
    loss: Callable[[Module, Batch, np.random.Generator], Tensor]
    measure: Callable[[Module], Mapping[str, Evaluated]]
    settings: TrainingSettings
    folder: RunFolder
    progress: Progress


@dataclass
class _State:
    """Where the training is.

    Attributes:
        step: Steps done.
        best_step: The step with the best dev metric.
        best: The metric.
        weights: The network then.
    """

    step: int = 0
    best_step: int = 0
    best: float = -math.inf
    weights: dict[str, Tensor] | None = None


def fit(job: Job, start: Mapping[str, Evaluated], *, resume: bool) -> int:
    """Train; the network has the weights of the best measurement in the end.

    Args:
        job: What to train on what.
        start: Metrics of the network as it starts.
        resume: Go on from the last checkpoint, where there is one.

    Returns:
        The step they are from: the last one where there are no dev sets.

    Raises:
        TrainingError: The loss is no number, or the disk refuses; checkpoints stay.
    """
    optimizer = _optimizer(job.network, job.settings)
    state = _restore(job, optimizer) if resume else None
    if state is None:
        state = _State()
        job.folder.cut_log(-1)
        _note(job, state, start)
    else:
        job.folder.cut_log(state.step)
    for step in range(state.step + 1, job.settings.steps + 1):
        _step(job, optimizer, step)
        state.step = step
        if step % job.settings.evaluate_every == 0 or step == job.settings.steps:
            _note(job, state, job.measure(job.network))
            _save(job, optimizer, state)
    if state.weights is not None:
        job.network.load_state_dict(state.weights)
    return state.best_step


def _optimizer(network: Module, settings: TrainingSettings) -> Any:
    import torch

    named = list(network.named_parameters())
    groups = [
        {"params": [p for n, p in named if n not in _SINGLE], "peak": settings.learning_rate},
        {"params": [p for n, p in named if n in _SINGLE], "peak": settings.weight_learning_rate},
    ]
    return torch.optim.Adam(groups, lr=settings.learning_rate, fused=True)


def _step(job: Job, optimizer: Any, step: int) -> None:
    # Everything drawn in a step comes from its number, so that a resumed run repeats it.
    random = np.random.default_rng([job.settings.seed, step])
    share = rate_share(step, job.settings)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share
    loss = job.loss(job.network, draw_batch(job.sets, job.settings.batch_size, random), random)
    value = float(loss.detach())
    if not math.isfinite(value):
        msg = (
            f"the loss of the {job.leg} model is {value} at step {step}. Lower "
            "training.learning_rate; --resume goes on from the last checkpoint."
        )
        raise TrainingError(msg)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % _LOG_EVERY == 0 or step == job.settings.steps:
        rate = job.settings.learning_rate * share
        _log(job, {"step": step, "loss": round(value, 5), "learning_rate": rate})


def rate_share(step: int, settings: TrainingSettings) -> float:
    """Share of the learning rate at a step: a linear rise, then a cosine down to 0."""
    warm = max(1.0, settings.warmup * settings.steps)
    if step <= warm:
        return step / warm
    done = (step - warm) / max(1.0, settings.steps - warm)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _note(job: Job, state: _State, measured: Mapping[str, Evaluated]) -> None:
    metric = mean_ndcg(measured) if measured else None
    if metric is not None:
        _log(job, {"step": state.step, "dev": round(metric, 6)})
    # Without dev sets the last weights are the best there are.
    if metric is None or metric > state.best:
        state.best_step, state.best = state.step, -math.inf if metric is None else metric
        state.weights = {n: t.detach().clone() for n, t in job.network.state_dict().items()}


def _log(job: Job, entry: Mapping[str, Any]) -> None:
    job.folder.append_log(entry)
    job.progress.step(job.leg, entry, job.settings.steps)


def _save(job: Job, optimizer: Any, state: _State) -> None:
    import torch

    values = {
        "network": job.network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best_step": state.best_step,
        "best": state.best,
        "weights": state.weights,
    }
    target = job.folder.checkpoints / f"checkpoint-{state.step}"
    with replacing_folder(target) as folder:
        torch.save(values, folder / _STATE)
        seal(folder)
    for old in job.folder.checkpoint_folders()[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _restore(job: Job, optimizer: Any) -> _State | None:
    import torch

    checkpoint = last_whole(job.folder)
    if checkpoint is None:
        return None
    values = torch.load(checkpoint / _STATE, weights_only=True)
    job.network.load_state_dict(values["network"])
    optimizer.load_state_dict(values["optimizer"])
    step = step_of(checkpoint)
    return _State(step, values["best_step"], values["best"], values["weights"])
