"""What a dense training run can be told; every key is checked before anything is loaded."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from encoders.presets import DEFAULT_DENSE
from training.config import DataSettings, Section

Objective = Literal["contrastive", "margin-mse", "kl"]


class AdapterSettings(Section):
    """Which weights move.

    Attributes:
        method: ``lora`` trains a small adapter (Hu et al., 2021), ``full`` the weights themselves.
        side: ``query`` leaves documents to the base model: an index of its vectors stays valid.
        rank: Width r of the adapter's matrices.
        alpha: The adapter's change is scaled by alpha / r.
        dropout: Share of the adapter's inputs dropped while training.
        targets: ``all-linear``, or endings of the names of the layers that get an adapter.
        last_layers: Train only so many of the last layers; by default all.
    """

    method: Literal["lora", "full"] = "lora"
    side: Literal["both", "query"] = "both"
    rank: int = Field(default=32, ge=1)
    alpha: float = Field(default=64, gt=0)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    last_layers: int | None = Field(default=None, ge=1)


class FalseNegatives(Section):
    """Leaves out negatives that a guide finds as good as the positive (GISTEmbed, 2024).

    Attributes:
        guide: A dense model; by default the base model as it was before training.
        margin: How much below the positive a negative must score.
        strategy: Whether the margin is a difference or a share of the positive's score.
    """

    guide: str | None = None
    margin: float = Field(default=0.05, ge=0)
    strategy: Literal["absolute", "relative"] = "relative"


class LossSettings(Section):
    """What is minimised.

    Attributes:
        objective: ``contrastive`` tells positives from negatives; ``margin-mse`` and ``kl`` follow
            a teacher's scores, which the records must carry.
        scale: Factor on cosines before the softmax: 1 / temperature.
        teacher_scale: Factor on the teacher's scores.
        matryoshka: Shorter vectors to train as well, in components.
        false_negatives: Which negatives to leave out; by default none.
        gather_across_devices: Negatives from all processes, not only a process's own.
    """

    objective: Objective = "contrastive"
    scale: float = Field(default=20.0, gt=0)
    teacher_scale: float = Field(default=1.0, gt=0)
    matryoshka: tuple[int, ...] = ()
    false_negatives: FalseNegatives | None = None
    gather_across_devices: bool = False


class TrainingSettings(Section):
    """How long, how fast and how much at a time.

    Attributes:
        steps: Optimiser steps; without it ``epochs`` decides.
        epochs: Passes over the records.
        batch_size: Queries per step and process.
        mini_batch_size: Texts at a time in memory; the batch keeps its size and its negatives
            (gradient caching, Gao et al., 2021). By default the whole batch, which is faster.
        negatives: Hard negatives per query, drawn from its own; random ones fill what is missing.
        max_tokens: Cut training texts here; by default where the model does.
        learning_rate: At its highest, after the warm-up.
        schedule: How it falls.
        warmup: Share of the steps in which it rises.
        weight_decay: Pull of the weights towards 0 (AdamW).
        max_grad_norm: Longer gradients are shortened to this.
        precision: ``auto`` is bfloat16 where the device computes in it, else float32.
        gradient_checkpointing: Less memory, more time.
        seed: Of data order, drawing of negatives, dropout and the adapter's first weights.
    """

    steps: int | None = Field(default=None, ge=1)
    epochs: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=32, ge=2)
    mini_batch_size: int | None = Field(default=None, ge=1)
    negatives: int = Field(default=1, ge=0)
    max_tokens: int | None = Field(default=None, ge=4)
    learning_rate: float = Field(default=1e-4, gt=0)
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    gradient_checkpointing: bool = False
    seed: int = Field(default=0, ge=0)


class EvaluationSettings(Section):
    """When the dev sets are measured, and when that ends the run.

    Attributes:
        every: Steps between measurements, each with a checkpoint; by default ten per run.
        patience: Stop after so many measurements without a better one; by default never.
        batch_size: Texts encoded at a time.
        keep: Checkpoints kept beside the best one.
    """

    every: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=32, ge=1)
    keep: int = Field(default=2, ge=1)


class MergeSettings(Section):
    """How much of the change goes into the merged model: base + w * change.

    Attributes:
        scales: Values of w that are measured.
        max_mean_floor_loss: Mean relative loss of NDCG@10 over the floor sets that is allowed.
        max_floor_loss: Relative loss on any one of them that is allowed.
    """

    scales: tuple[float, ...] = Field(default=(0.25, 0.5, 0.75, 1.0), min_length=1)
    max_mean_floor_loss: float = Field(default=0.01, ge=0)
    max_floor_loss: float = Field(default=0.025, ge=0)

    @model_validator(mode="after")
    def _within_bounds(self) -> "MergeSettings":
        if not all(0 < scale <= 1 for scale in self.scales):
            msg = f"scales must lie above 0 and not above 1, not {list(self.scales)}"
            raise ValueError(msg)
        return self


class LogSettings(Section):
    """Where the run is reported.

    Attributes:
        every: Steps between two lines of the log.
        report_to: Integrations of the trainer: ``tensorboard``, ``wandb``, ``mlflow``, …
    """

    every: int = Field(default=1, ge=1)
    report_to: tuple[str, ...] = ()


class DenseConfig(Section):
    """A dense training run.

    Attributes:
        model: Preset, folder or hub id of the model to start from.
        output: Folder of the run.
        data: What it learns from and is measured on.
        query_prompt: Replaces the model's own query prompt.
        document_prompt: Replaces the model's own document prompt.
        trust_remote_code: Run Python code that ships with the model.
    """

    model: str = DEFAULT_DENSE
    output: Path = Path("runs/dense")
    query_prompt: str | None = None
    document_prompt: str | None = None
    trust_remote_code: bool = False
    data: DataSettings
    training: TrainingSettings = TrainingSettings()
    adapter: AdapterSettings = AdapterSettings()
    loss: LossSettings = LossSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    merge: MergeSettings = MergeSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "DenseConfig":
        if not self.data.dev:
            msg = "data.dev: name at least one set that chooses the best checkpoint"
            raise ValueError(msg)
        if self.loss.objective != "contrastive" and self.training.negatives < 1:
            msg = f"{self.loss.objective} compares with negatives: training.negatives must be >= 1"
            raise ValueError(msg)
        self._refuse_combinations()
        return self

    def _refuse_combinations(self) -> None:
        contrastive = self.loss.objective == "contrastive"
        if self.loss.false_negatives and not contrastive:
            msg = "loss.false_negatives is for the contrastive objective only"
            raise ValueError(msg)
        if self.adapter.side == "query" and (
            not contrastive or self.loss.false_negatives or self.loss.matryoshka
        ):
            msg = (
                "adapter.side = 'query' works with the plain contrastive loss: no teacher scores, "
                "no false_negatives, no matryoshka (document vectors keep their width)"
            )
            raise ValueError(msg)
