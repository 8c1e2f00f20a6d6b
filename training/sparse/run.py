"""A sparse training run from its configuration to its result."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from encoders.options import LoadOptions
from training.comparing import compare_values
from training.config import save_config
from training.data.records import TrainingRecord
from training.dev_sets import DevSet, load_sets
from training.errors import TrainingError
from training.precision import choose_precision
from training.run_folder import RunFolder
from training.sparse import processes
from training.sparse.batches import Batches, RecordSet
from training.sparse.checkpoint import Progress, read_checkpoint
from training.sparse.config import SparseConfig
from training.sparse.gates import check_sparsity
from training.sparse.loop import Events, Loop, mean
from training.sparse.measures import Measured, measure, synonym_scores
from training.sparse.report import write_card, write_curves
from training.sparse.sources import load_record_sets, load_triplets
from training.sparse.students import build_student, saved_copy
from training.sparse.teachers import Teachers

logger = logging.getLogger(__name__)

START = "start"


@dataclass(frozen=True)
class Sets:
    """What was read for a run.

    Attributes:
        train: Records.
        left_out: Records left out because their query is an evaluation query.
        dev: Sets that choose the checkpoint.
        floor: Sets that must not be lost.
        triplets: For the synonym metrics.
    """

    train: list[RecordSet]
    left_out: int
    dev: list[DevSet]
    floor: list[DevSet]
    triplets: list[TrainingRecord]


@dataclass
class Watcher:
    """Logs steps and measures the student.

    Attributes:
        config: The resolved configuration.
        run: The run's folder.
        sets: What to measure on.
        student: What is trained.
        is_main: Whether this process writes.
        tell: Called with each line of the log.
    """

    config: SparseConfig
    run: RunFolder
    sets: Sets
    student: Any
    is_main: bool
    tell: Callable[[dict[str, Any]], None]
    started: float = field(default_factory=time.monotonic)

    def step(self, values: dict[str, float]) -> None:
        """Log a training step."""
        self._log({**values, "seconds": round(time.monotonic() - self.started, 1)})

    def measure(self, step: int) -> tuple[float, dict[str, Any]]:
        """Measure the dev sets (first the floor as well) and refuse a collapsed encoder."""
        adapt = self.config.data.adapt
        found = measured(self.student, self.sets.dev, adapt=adapt)
        floor = [] if step else measured(self.student, self.sets.floor, adapt=adapt)
        encoder = self.student.encoder()
        values: dict[str, Any] = {"dev": {entry.name: entry.as_dict() for entry in found}}
        metric = mean([entry.ndcg for entry in found])
        if self.sets.triplets:
            scores = synonym_scores(encoder, self.sets.triplets, self.config.evaluation.top_tokens)
            values["synonyms"] = scores.as_dict()
            # Without a dev set there is nothing better to choose by.
            metric = metric if found else scores.combined
        if step:
            check_sparsity(found, encoder.identity.dimension, self.config.gates)
        self._log({"step": step, "metric": metric, **values})
        kept = {
            "floor": {entry.name: entry.as_dict() for entry in floor},
            "by_query": {entry.name: list(entry.by_query) for entry in (*found, *floor)},
        }
        return metric, {"metric": metric, **values, **kept}

    def _log(self, entry: dict[str, Any]) -> None:
        if self.is_main:
            self.run.append_log(entry)
            self.tell(entry)


def train_sparse(
    config: SparseConfig,
    *,
    resume: bool = False,
    tell: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Train a sparse encoder.

    Args:
        config: The resolved configuration.
        resume: Go on from the last whole checkpoint.
        tell: Called with each line of the log, for a progress bar.

    Returns:
        What ``result.json`` holds.

    Raises:
        TrainingError: Data, configuration or disk do not allow it, or a gate closed.
        EncoderError: A model cannot be loaded.
    """
    with processes.process_group() as (rank, count):
        return _train(config, rank, count, resume, tell)


def _train(
    config: SparseConfig, rank: int, count: int, resume: bool, tell: Callable[[Any], None]
) -> dict[str, Any]:
    run = RunFolder(config.output)
    sets = _read(config)
    if rank == 0:
        run.prepare(resume=resume)
        save_config(config, run.config)
    _seed(config.training.seed + rank)
    with processes.first_alone():
        student = build_student(config, run.root / START)
    loop = _loop(config, student, sets, run, (rank, count))
    if resume and not loop.resume():
        logger.warning("%s holds no checkpoint that can be read; starting anew", run.root)
    watcher = Watcher(config, run, sets, student, rank == 0, tell)
    loop.train(Events(watcher.step, watcher.measure))
    if rank:
        return {}
    return _finish(loop, sets, time.monotonic() - watcher.started)


def _read(config: SparseConfig) -> Sets:
    data, seed = config.data, config.training.seed
    dev, floor = load_sets(data.dev, seed), load_sets(data.floor, seed)
    triplets = load_triplets(data.synonyms)
    if not dev and not triplets:
        msg = "data.dev names no set and data.synonyms no file: nothing could choose a checkpoint"
        raise TrainingError(msg)
    train, left_out = load_record_sets(data, [*dev, *floor])
    return Sets(train, left_out, dev, floor, triplets)


def _seed(seed: int) -> None:
    import torch

    torch.manual_seed(seed)


def _loop(
    config: SparseConfig, student: Any, sets: Sets, run: RunFolder, place: tuple[int, int]
) -> Loop:
    training, distillation = config.training, config.loss.distillation
    batches = Batches(sets.train, training.batch_size, training.negatives, training.seed, *place)
    precision = choose_precision(training.precision)
    logger.info("computing in %s", precision.note)
    options = LoadOptions(device="cpu" if student.device == "cpu" else "auto")
    return Loop(
        config=config,
        student=student,
        batches=batches,
        run=run,
        teachers=Teachers.load(distillation, options) if distillation else None,
        bf16=precision.bf16,
        is_main=place[0] == 0,
    )


def measured(student: Any, sets: list[DevSet], *, adapt: bool) -> list[Measured]:
    """Measure a student on sets, each with its own corpus's statistics where ``adapt``."""
    student.module().eval()
    found = []
    for dev_set in sets:
        student.use_corpus(dev_set.corpus if adapt else None)
        found.append(measure(student.encoder(), dev_set))
    student.use_corpus(None)
    return found


def _finish(loop: Loop, sets: Sets, seconds: float) -> dict[str, Any]:
    """Keep the best checkpoint, measure it, and write everything people and programs read."""
    run, student, progress = loop.run, loop.student, loop.progress
    _take_best(run, student, progress)
    saved_copy(student, run.model)
    first = progress.measured[0]
    best = next(entry for entry in progress.measured if entry["step"] == progress.best_step)
    floor = measured(student, sets.floor, adapt=loop.config.data.adapt)
    after = {
        **{name: best["by_query"][name] for name in best["dev"]},
        **{entry.name: entry.by_query for entry in floor},
    }
    result = {
        "recipe": loop.config.recipe,
        "model": loop.config.model,
        "seed": loop.config.training.seed,
        "steps": progress.step,
        "best_step": progress.best_step,
        "metric": progress.best,
        "left_out": sets.left_out,
        "seconds": round(seconds, 1),
        "records": sum(len(entry.records) for entry in sets.train),
        "before": _without_details(first),
        "after": _without_details(best),
        "floor_before": first["floor"],
        "floor_after": {entry.name: entry.as_dict() for entry in floor},
        "comparisons": {
            name: found.as_dict()
            for name, found in compare_values(first["by_query"], after).items()
        },
    }
    if progress.best_step == 0:
        logger.warning("no checkpoint was better than the untrained model, which was kept")
    run.write_result(result)
    write_curves(run)
    write_card(run, loop.config, result)
    return result


def _without_details(measurement: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in measurement.items() if k not in ("floor", "by_query")}


def _take_best(run: RunFolder, student: Any, progress: Progress) -> None:
    if progress.best_step == progress.step:
        return
    folder = run.checkpoints / f"checkpoint-{progress.best_step}"
    student.module().load_state_dict(read_checkpoint(folder)["module"])
