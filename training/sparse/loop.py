"""The training loop of a sparse encoder."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from training.run_folder import RunFolder
from training.sparse import losses
from training.sparse.batches import Batch, Batches
from training.sparse.checkpoint import Progress, latest_checkpoint, save_checkpoint
from training.sparse.config import SparseConfig
from training.sparse.gates import check_loss
from training.sparse.processes import average_gradients
from training.sparse.representations import Step
from training.sparse.steering import Steering, ramp, rate_factor
from training.sparse.teachers import Teachers

logger = logging.getLogger(__name__)

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used
_MEASUREMENTS = 10


@dataclass(frozen=True)
class Events:
    """Whom the loop tells.

    Attributes:
        step: Called after each step with what is logged of it.
        measure: Measures the student in evaluation mode; gives the dev metric and what to log.
    """

    step: Callable[[dict[str, float]], None]
    measure: Callable[[int], tuple[float, dict[str, Any]]]


@dataclass
class Loop:
    """A run's moving parts.

    Attributes:
        config: The resolved configuration.
        student: What is trained (:class:`training.sparse.prior_student.PriorStudent` or
            :class:`training.sparse.splade_student.SpladeStudent`).
        batches: What it is trained on.
        run: Folder of the run.
        teachers: Whose scores are followed.
        bf16: Whether to compute in bfloat16.
        is_main: Whether this process writes.
    """

    config: SparseConfig
    student: Any
    batches: Batches
    run: RunFolder
    teachers: Teachers | None = None
    bf16: bool = False
    is_main: bool = True
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        import torch

        training = self.config.training
        rates = training.rates.model_dump()
        groups = self.student.parameter_groups(rates, training.weight_decay)
        self._optimizer = torch.optim.AdamW(groups)
        self._highest = [group["lr"] for group in groups]
        self._parameters = [p for group in groups for p in group["params"]]
        sparsity = self.config.sparsity
        self._steering = Steering(sparsity.target, sparsity.speed)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        training = self.config.training
        if training.steps is not None:
            return training.steps
        batches = training.epochs * self.batches.per_epoch / training.accumulate
        return max(1, math.ceil(batches))

    @property
    def every(self) -> int:
        """Steps between two measurements."""
        return self.config.evaluation.every or max(1, math.ceil(self.steps / _MEASUREMENTS))

    def resume(self) -> bool:
        """Take up the latest checkpoint that can be read."""
        import torch

        found = latest_checkpoint(self.run)
        if found is None:
            return False
        self.progress, state = found
        self.student.module().load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available() and "cuda_random" in state:
            torch.cuda.set_rng_state(state["cuda_random"])
        self._steering.factor = self.progress.steering
        self.run.cut_log(self.progress.step)
        return True

    def train(self, events: Events) -> Progress:
        """Train to the end, or until nothing gets better.

        Raises:
            TrainingError: A gate closed, or the disk is full; the last checkpoint is whole.
        """
        if not self.progress.measured:
            self._measure(events)
        while self.progress.step < self.steps and not self._patience_over():
            self._step(events)
            if self.progress.step % self.every == 0 or self.progress.step == self.steps:
                self._measure(events)
        return self.progress

    def _step(self, events: Events) -> None:
        training = self.config.training
        number = self.progress.step
        self._set_rates(number)
        self.student.module().train()
        logged: dict[str, float] = {}
        for part in range(training.accumulate):
            batch = self.batches.batch(number * training.accumulate + part)
            with _out_of_memory(self.config):
                loss, values = self.loss(batch)
                check_loss(values["loss"], number + 1)
                (loss / training.accumulate).backward()
            for name, value in values.items():
                logged[name] = logged.get(name, 0.0) + value / training.accumulate
        average_gradients(self._parameters)
        self._update(logged)
        self.progress.step += 1
        self._steering.update(logged["active"])
        self.progress.steering = self._steering.factor
        events.step({"step": self.progress.step, **logged, "rate": self._rate})

    def _update(self, logged: dict[str, float]) -> None:
        from torch.nn.utils import clip_grad_norm_

        norm = clip_grad_norm_(self._parameters, self.config.training.max_grad_norm)
        logged["gradient"] = float(norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.student.after_step()

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, differentiable, and what is logged of it."""
        if self.student.own_loss is not None:
            found: tuple[Tensor, dict[str, float]] = self.student.own_loss(
                batch, self._regulariser()
            )
            return found
        step = self.represent(batch)
        total: Tensor = 0.0
        values: dict[str, float] = {}
        for name, weight, term in self._terms(step):
            total = total + weight * term
            values[name] = float(term.detach())
        values["loss"] = float(total.detach())
        values["lambda"] = self._regulariser()
        values["active"] = float((step.documents.regularised > 0).float().sum(1).mean())
        return total, values

    def represent(self, batch: Batch) -> Step:
        """Everything the terms look at."""
        import torch

        self.student.use_corpus(batch.corpus)
        with self._autocast():
            queries = self.student.queries(list(batch.queries))
            wanted = (queries > 0).any(0)
            documents = self.student.documents(list(batch.documents), wanted)
        device = queries.device
        allowed = torch.ones(len(queries), len(batch.documents), dtype=torch.bool, device=device)
        for row, column in batch.excluded:
            allowed[row, column] = False
        anchors = None
        if self.config.loss.needs_anchors:
            targets = documents.own[: len(queries)].any(0)
            with self._autocast():
                anchors = self.student.documents(list(batch.queries), wanted | targets)
        negatives = batch.negatives
        return Step(
            queries=queries,
            documents=documents,
            targets=torch.arange(len(queries), device=device),
            allowed=allowed,
            query_weights=queries if queries.requires_grad else None,
            teacher=self.teachers.scores(batch, queries, documents) if self.teachers else None,
            anchors=anchors,
            negatives=None if negatives is None else torch.tensor(negatives, device=device),
            idf=self.student.idf() if self.config.sparsity.idf_aware else None,
        )

    def _terms(self, step: Step) -> Iterator[tuple[str, float, Tensor]]:
        loss = self.config.loss
        if loss.info_nce:
            yield "info_nce", loss.info_nce, losses.info_nce(step, loss.temperature)
        if loss.distillation is not None and step.teacher is not None:
            yield "distillation", loss.distillation.weight, self._distilled(step)
        if loss.self_preservation:
            yield "self", loss.self_preservation, losses.self_preservation(step)
        if loss.synonym:
            yield "synonym", loss.synonym, losses.synonym_activation(step)
        if loss.margin:
            yield "margin", loss.margin, losses.cosine_margin(step)
        yield from self._sparsity_terms(step)

    def _distilled(self, step: Step) -> Tensor:
        distillation = self.config.loss.distillation
        if distillation is not None and distillation.objective == "margin-mse":
            return losses.margin_mse(step)
        return losses.distillation_kl(step, self.config.loss.temperature)

    def _sparsity_terms(self, step: Step) -> Iterator[tuple[str, float, Tensor]]:
        import torch

        sparsity = self.config.sparsity
        weight = self._regulariser()
        cost = None if step.idf is None else losses.idf_cost(step.idf)
        texts = [step.documents.regularised]
        if step.anchors is not None:
            texts.append(step.anchors.regularised)
        weights = torch.cat(texts)
        if sparsity.documents:
            term = losses.flops(weights, cost=cost, threshold=sparsity.threshold)
            yield "flops", weight, term
        if sparsity.documents and sparsity.l1:
            yield "l1", weight * sparsity.l1, losses.l1(weights)
        if sparsity.queries and step.query_weights is not None:
            share = sparsity.queries * self._ramp()
            yield "query_flops", share, losses.flops(step.query_weights)

    def _regulariser(self) -> float:
        return self.config.sparsity.documents * self._ramp() * self._steering.factor

    def _ramp(self) -> float:
        return ramp(self.progress.step, self.steps, self.config.sparsity.ramp)

    def _set_rates(self, step: int) -> None:
        training = self.config.training
        self._rate = rate_factor(step, self.steps, training.warmup, training.schedule)
        for group, highest in zip(self._optimizer.param_groups, self._highest, strict=True):
            group["lr"] = highest * self._rate

    def _autocast(self) -> Any:
        """For the network alone: scores and losses stay in float32."""
        import torch

        if not self.bf16:
            return nullcontext()
        return torch.autocast(self.student.device, dtype=torch.bfloat16)

    def _measure(self, events: Events) -> None:
        self.student.module().eval()
        metric, values = events.measure(self.progress.step)
        progress = self.progress
        progress.measured.append({"step": progress.step, **values})
        if metric > progress.best:
            progress.best, progress.best_step, progress.waited = metric, progress.step, 0
        else:
            progress.waited += 1
        if self.is_main:
            keep = self.config.evaluation.keep
            save_checkpoint(self.run, progress, self._state(), keep=keep)

    def _state(self) -> dict[str, Any]:
        import torch

        state = {
            "module": self.student.module().state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        if torch.cuda.is_available():
            state["cuda_random"] = torch.cuda.get_rng_state()
        return state

    def _patience_over(self) -> bool:
        patience = self.config.evaluation.patience
        return patience is not None and self.progress.waited >= patience


@contextmanager
def _out_of_memory(config: SparseConfig) -> Iterator[None]:
    """Say what to lower instead of a driver's message."""
    import torch

    from training.errors import TrainingError

    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        msg = (
            "the GPU ran out of memory. Lower training.batch_size "
            f"({config.training.batch_size}) and raise training.accumulate, or lower "
            f"training.max_tokens ({config.training.max_tokens}); then resume."
        )
        raise TrainingError(msg) from error


def mean(values: Sequence[float]) -> float:
    """Mean over sets: each counts alike."""
    return sum(values) / len(values) if values else 0.0
