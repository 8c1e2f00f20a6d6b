"""The training loop: the trainer of Sentence Transformers with our measurements and checks."""

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from training.checkpoints import last_whole, seal, step_of
from training.dense.config import DenseConfig
from training.dense.examples import NEGATIVE, POSITIVE, QUERY, weights_of
from training.dense.measuring import Measurer, mean, primary
from training.dense.sampling import weighted_batches
from training.dev_sets import DevSet
from training.errors import TrainingError
from training.precision import Precision
from training.run_folder import RunFolder

logger = logging.getLogger(__name__)

METRIC = "dev_ndcg@10"
_SET_METRIC = "set/"
_EVALUATIONS = 10
# Other processes wait while the first one measures the base model.
_PATIENCE_S = 6 * 3600


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a progress display shows.

    Attributes:
        step: Steps done.
        total: Steps of the run.
        loss: Of the last logged step.
        learning_rate: Of the last logged step.
        dev: Mean NDCG@10 over the dev sets when last measured.
    """

    step: int
    total: int
    loss: float | None = None
    learning_rate: float | None = None
    dev: float | None = None


class Progress(Protocol):
    """Takes reports of a run."""

    def stage(self, text: str) -> None:
        """A new stage begins."""
        ...

    def step(self, report: StepReport) -> None:
        """A step was done, or a measurement."""
        ...


class Silence:
    """Reports to nobody."""

    def stage(self, text: str) -> None:
        """Ignore a stage."""

    def step(self, report: StepReport) -> None:
        """Ignore a step."""


@dataclass(frozen=True)
class Job:
    """Everything a training loop needs.

    Attributes:
        config: The run's configuration.
        run: The run's folder.
        model: The ``SentenceTransformer`` with its adapter attached.
        loss: What is minimised.
        examples: Name -> dataset, in the order of ``config.data.train``.
        dev: Sets that choose the best checkpoint.
        measurer: Measures them.
        precision: Numbers to compute in.
        base_dev: Mean NDCG@10 of the base model over the dev sets: the first to beat. Needed in
            the first of several processes only.
        progress: Who is told.
    """

    config: DenseConfig
    run: RunFolder
    model: Any
    loss: Any
    examples: Any
    dev: Sequence[DevSet]
    measurer: Measurer
    precision: Precision
    base_dev: float | None = None
    progress: Progress = field(default_factory=Silence)


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a training loop ended.

    Attributes:
        steps: Steps done.
        best_step: Step of the best checkpoint; 0 where none was better than the base model.
        checkpoint: The best checkpoint.
        seconds: Time in the loop of this call.
        seconds_per_step: Median over the logged steps of this call, without measurements.
        main: Whether this process writes results (one of several does).
    """

    steps: int
    best_step: int
    checkpoint: Path
    seconds: float
    seconds_per_step: float | None
    main: bool


def fit(job: Job, *, resume: bool = False) -> Fitted:
    """Train, and measure the dev sets on the way.

    Args:
        job: What to train on what.
        resume: Go on from the last whole checkpoint.

    Raises:
        TrainingError: The loss is no number, memory or disk is full, or a checkpoint is damaged.
            Checkpoints written before are whole.
    """
    checkpoint = last_whole(job.run) if resume else None
    trainer = _trainer(job)
    if checkpoint is not None and trainer.is_world_process_zero():
        job.run.cut_log(step_of(checkpoint))
    started = time.monotonic()
    with translated_faults(job.run.checkpoints):
        job.progress.stage("training")
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    best = _best(job.run, trainer)
    return Fitted(
        steps=trainer.state.global_step,
        best_step=trainer.state.best_global_step or 0,
        checkpoint=best,
        seconds=round(time.monotonic() - started, 1),
        seconds_per_step=_median_seconds(job.run, checkpoint),
        main=trainer.is_world_process_zero(),
    )


@contextmanager
def translated_faults(folder: Path) -> Iterator[None]:
    """Turn what libraries raise on full disks and memories into messages with a way out."""
    import torch
    from safetensors import SafetensorError

    whole = "Checkpoints written before are whole: --resume goes on from the last one."
    try:
        yield
    except torch.OutOfMemoryError as error:
        msg = (
            f"the device is out of memory ({error}). Lower training.mini_batch_size (the batch "
            "keeps its negatives), training.max_tokens or training.batch_size, or set "
            f"training.gradient_checkpointing = true. {whole}"
        )
        raise TrainingError(msg) from error
    except (OSError, SafetensorError) as error:
        msg = f"writing to {folder} failed: {error}. Make room on the disk. {whole}"
        raise TrainingError(msg) from error
    except RuntimeError as error:
        if "writing file" not in str(error) and "file write failed" not in str(error):
            raise
        msg = f"writing to {folder} failed: {error}. Make room on the disk. {whole}"
        raise TrainingError(msg) from error


def total_steps(config: DenseConfig, rows: int, processes: int) -> int:
    """Optimiser steps of a run."""
    if config.training.steps is not None:
        return config.training.steps
    per_epoch = max(1, math.ceil(rows / (config.training.batch_size * processes)))
    return max(1, math.ceil(per_epoch * config.training.epochs))


def _trainer(job: Job) -> Any:
    from sentence_transformers import SentenceTransformerTrainer
    from transformers import PrinterCallback, ProgressCallback

    class CheckedTrainer(SentenceTransformerTrainer):  # type: ignore[misc]
        """Stops at the first loss that is no number, before it spoils the weights.

        Model cards are ours: the trainer's own would be made anew at each checkpoint.
        """

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().training_step(*args, **kwargs)
            if not loss.isfinite():
                msg = (
                    f"the loss is {loss.item()} at step {self.state.global_step + 1}. Lower "
                    "training.learning_rate, or set training.precision = 'fp32'. The last "
                    f"checkpoint in {job.run.checkpoints} is from before."
                )
                raise TrainingError(msg)
            return loss

        def get_multi_dataset_batch_sampler(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
            sizes = [len(rows) for rows in dataset.datasets]
            weights = weights_of(job.config.data.train, sizes)
            return weighted_batches(weights)(dataset, *args, **kwargs)

        def add_model_card_callback(self, default_args_dict: Any) -> None:
            pass

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            folder = output_dir or self.args.output_dir
            self.model.save_pretrained(folder, create_model_card=False)

    arguments = _arguments(job)
    trainer = CheckedTrainer(
        model=job.model,
        args=arguments,
        train_dataset=job.examples,
        loss=job.loss,
        evaluator=_evaluator(job),
        data_collator=_collator(job),
        callbacks=[_callback(job)],
    )
    for shown in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(shown)
    return trainer


def _arguments(job: Job) -> Any:
    import torch
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.base.training_args import BatchSamplers

    config, training = job.config, job.config.training
    sizes = [len(rows) for rows in job.examples.values()]
    on_cpu = not torch.cuda.is_available()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(job.run.checkpoints),
        per_device_train_batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        max_grad_norm=training.max_grad_norm,
        seed=training.seed,
        bf16=job.precision.bf16,
        use_cpu=on_cpu,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        logging_strategy="steps",
        logging_steps=config.log.every,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        save_strategy="steps",
        save_total_limit=config.evaluation.keep,
        metric_for_best_model=f"eval_{METRIC}",
        greater_is_better=True,
        report_to=list(config.log.report_to) or "none",
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
        ddp_timeout=_PATIENCE_S,
        dataloader_pin_memory=not on_cpu,
    )
    names = ("activation_checkpointing", "gradient_checkpointing")  # the new name, the old one
    name = next(name for name in names if hasattr(arguments, name))
    setattr(arguments, name, training.gradient_checkpointing)
    return _with_schedule(arguments, config, total_steps(config, sum(sizes), arguments.world_size))


def _with_schedule(arguments: Any, config: DenseConfig, steps: int) -> Any:
    training = config.training
    every = config.evaluation.every or max(1, steps // _EVALUATIONS)
    arguments.max_steps = steps
    arguments.eval_steps = arguments.save_steps = every
    # The trainer's own name for "stays after the warm-up".
    names = {"constant": "constant_with_warmup"}
    from transformers import SchedulerType

    arguments.lr_scheduler_type = SchedulerType(names.get(training.schedule, training.schedule))
    arguments.warmup_steps = round(training.warmup * steps)
    return arguments


def _collator(job: Job) -> Any:
    from sentence_transformers.sentence_transformer.data_collator import (
        SentenceTransformerDataCollator,
    )

    prompts = job.model.prompts
    columns = {name for rows in job.examples.values() for name in rows.column_names}
    by_column = {QUERY: prompts.get("query") or ""}
    for name in columns:
        if name == POSITIVE or name.startswith(NEGATIVE):
            by_column[name] = prompts.get("document") or ""
    return SentenceTransformerDataCollator(
        preprocess_fn=job.model.preprocess,
        prompts={name: prompt for name, prompt in by_column.items() if prompt},
        max_length=job.config.training.max_tokens,
    )


def _evaluator(job: Job) -> Any:
    from sentence_transformers.base.evaluation import BaseEvaluator

    class DevEvaluator(BaseEvaluator):  # type: ignore[misc]
        """NDCG@10 of each dev set, and their mean."""

        def __call__(self, model: Any, *args: Any, **kwargs: Any) -> Mapping[str, float]:
            values = primary(job.measurer.measure(model, job.dev))
            return {METRIC: mean(values), **{_SET_METRIC + n: v for n, v in values.items()}}

    return DevEvaluator()


class RunWatch:
    """What happens around the steps: logs, reports, sealed checkpoints, an early end.

    A mixin for the trainer's callback class, which is imported only when a run begins.

    Args:
        job: The run.
        base: Dev metric of the base model, the same in all processes: they decide together which
            checkpoint is the best.
    """

    def __init__(self, job: Job, base: float | None) -> None:
        self.job = job
        self.base = base
        self.step_started = 0.0
        self.step_seconds = 0.0
        self.last: dict[str, Any] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The base model is the first to beat; a resumed run knows that already."""
        if state.best_metric is None and self.base is not None:
            state.best_metric = self.base
            state.log_history.append({"step": 0, f"eval_{METRIC}": self.base})
        self.last["dev"] = self.base
        self._report(state)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take the time."""
        self.step_started = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The last step is logged, measured and kept, wherever it falls."""
        self.step_seconds = time.monotonic() - self.step_started
        if state.global_step >= state.max_steps:
            control.should_log = control.should_evaluate = control.should_save = True
        self._report(state)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any, **kwargs: Any) -> None:
        """Write a line for a logged step."""
        if not state.is_world_process_zero or "loss" not in logs:
            return
        self.last.update(loss=logs["loss"], learning_rate=logs["learning_rate"])
        keys = ("loss", "learning_rate", "grad_norm", "epoch")
        entry = {key: _rounded(logs[key]) for key in keys if key in logs}
        seconds = round(self.step_seconds, 4)
        self.job.run.append_log({"step": state.global_step, **entry, "seconds": seconds})
        self._report(state)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any, **kwargs: Any) -> None:
        """Write a line for a measurement; end a run that no longer gets better."""
        self.last["dev"] = metrics[f"eval_{METRIC}"]
        if state.is_world_process_zero:
            self.job.run.append_log({"step": state.global_step, **_dev_entry(metrics)})
        self._report(state)
        patience = self.job.config.evaluation.patience
        if patience is not None and _without_gain(state) >= patience:
            control.should_training_stop = control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Seal a checkpoint, all of whose files are written now."""
        if state.is_world_process_zero:
            seal(self.job.run.checkpoints / f"checkpoint-{state.global_step}")

    def _report(self, state: Any) -> None:
        if state.is_world_process_zero:
            self.job.progress.step(StepReport(state.global_step, state.max_steps, **self.last))


def _callback(job: Job) -> Any:
    from accelerate.utils import broadcast_object_list
    from transformers import TrainerCallback

    base = broadcast_object_list([job.base_dev])[0]
    return type("RunCallback", (RunWatch, TrainerCallback), {})(job, base)


def _dev_entry(metrics: Mapping[str, float]) -> dict[str, Any]:
    prefix = f"eval_{_SET_METRIC}"
    sets = {k.removeprefix(prefix): _rounded(v) for k, v in metrics.items() if k.startswith(prefix)}
    return {"dev": _rounded(metrics[f"eval_{METRIC}"]), "sets": sets}


def _without_gain(state: Any) -> int:
    """Measurements since the best one; from the trainer's log, which a resumed run has too."""
    values = [entry[f"eval_{METRIC}"] for entry in state.log_history if f"eval_{METRIC}" in entry]
    return len(values) - 1 - values.index(max(values))


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _best(run: RunFolder, trainer: Any) -> Path:
    step = trainer.state.best_global_step or trainer.state.global_step
    best = run.checkpoints / f"checkpoint-{step}"
    if trainer.is_world_process_zero() and not best.is_dir():
        msg = f"{best}, the best checkpoint, is gone. Train again, and leave the folder alone."
        raise TrainingError(msg)
    return best


def _median_seconds(run: RunFolder, checkpoint: Path | None) -> float | None:
    first = step_of(checkpoint) if checkpoint else 0
    entries = [e for e in run.read_log() if "seconds" in e and e["step"] > first]
    seconds = sorted(entry["seconds"] for entry in entries)
    return seconds[len(seconds) // 2] if seconds else None
