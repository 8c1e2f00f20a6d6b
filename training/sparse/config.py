"""What a sparse training run can be told; every key is checked before anything is loaded."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from encoders.presets import DEFAULT_DENSE
from training.config import EvaluationSet, Section, TrainSet

Recipe = Literal["sentence-encoder", "splade"]


class SparseTrainSet(TrainSet):
    """Records to train on.

    Attributes:
        teacher: Whether the teachers' scores are followed on this set; off where they are poor.
        corpus: Corpus file or BEIR folder whose IDF and average length count in this set's batches;
            by default the statistics of the whole run.
    """

    teacher: bool = True
    corpus: Path | None = None


class SparseData(Section):
    """What a run learns from and what it is measured on.

    Attributes:
        train: Records.
        corpus: Texts whose statistics the query weights start from; by default the corpora of the
            BEIR folders among ``train`` and ``dev``, else the records' own texts.
        dev: Chooses the best checkpoint; never trained on.
        floor: Sets on which the trained model must not lose: unlike the training data.
        synonyms: Triplets (anchor, synonym, hard negative) the seed metrics are measured on.
        adapt: Whether each set is measured with the IDF and average length of its own corpus, as
            a model is when it is adapted to an index.
    """

    train: tuple[SparseTrainSet, ...] = Field(min_length=1)
    corpus: tuple[Path, ...] = ()
    dev: tuple[EvaluationSet, ...] = ()
    floor: tuple[EvaluationSet, ...] = ()
    synonyms: Path | None = None
    adapt: bool = False


class HeadSettings(Section):
    """How the untrained head of a sentence encoder is made.

    Attributes:
        expansion_rank: The threshold starts where a document's word of this rank is.
        gamma: Weight of the expansion at the start.
        top_k: Entries a document keeps.
        max_tokens: Longest document the finished model reads; by default the encoder's own limit.
        words: Words a document may be expanded to: all of the ``vocabulary``, or those that the
            ``corpus`` holds, which is faster.
    """

    expansion_rank: int = Field(default=70, ge=1)
    gamma: float = Field(default=0.3, gt=0)
    top_k: int = Field(default=150, ge=1)
    max_tokens: int | None = Field(default=None, ge=8)
    words: Literal["vocabulary", "corpus"] = "vocabulary"


class SpladeSettings(Section):
    """How a masked language model becomes SPLADE.

    Attributes:
        query_side: ``inference-free`` weighs a query's tokens by a table, ``bi-encoder`` by the
            model itself.
        query_table: Whether the table stays the corpus's IDF or is trained.
        activation: ``log1p_log1p_relu`` is the double logarithm of arXiv 2504.14839.
        gradient: ``exact`` keeps the best position of each word alone; ``cached`` is Sentence
            Transformers' CachedSpladeLoss.
        mini_batch_size: Texts at a time in memory with ``cached``.
        head: What to do where the model has no masked-language head: ``refuse``, or start one
            from its token embeddings (``tied``).
    """

    query_side: Literal["inference-free", "bi-encoder"] = "inference-free"
    query_table: Literal["fixed", "learned"] = "fixed"
    activation: Literal["log1p_relu", "log1p_log1p_relu"] = "log1p_relu"
    gradient: Literal["exact", "cached"] = "exact"
    mini_batch_size: int = Field(default=16, ge=1)
    head: Literal["refuse", "tied"] = "refuse"


class PretrainingSettings(Section):
    """Masked-language training on the corpus before the retrieval training; off at 0 steps.

    Attributes:
        steps: Optimiser steps.
        batch_size: Texts per step.
        learning_rate: At its highest.
        masked: Share of tokens to guess.
    """

    steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=5e-5, gt=0)
    masked: float = Field(default=0.15, gt=0, lt=1)


class TeacherSettings(Section):
    """One teacher.

    Attributes:
        model: A dense model; ``bm25`` is the model's own lexical part; ``records`` are the scores
            that the records carry.
        scale: Factor on its scores.
    """

    model: str
    scale: float = Field(default=1.0, gt=0)


class DistillationSettings(Section):
    """Following teachers' scores.

    Attributes:
        objective: Divergence of the softmax over the batch, or squared error of margins.
        teachers: Their scores are added, or averaged after ``min-max``.
        normalise: ``min-max`` brings each query's scores to 0..1 first.
        scale: Factor on the ensemble's scores.
        weight: Of the term.
    """

    objective: Literal["kl", "margin-mse"] = "kl"
    teachers: tuple[TeacherSettings, ...] = Field(min_length=1)
    normalise: Literal["none", "min-max"] = "none"
    scale: float = Field(default=1.0, gt=0)
    weight: float = Field(default=1.0, gt=0)


class SparsitySettings(Section):
    """What keeps representations short.

    Attributes:
        documents: Weight of FLOPS on documents (on the expansion alone with a lexical prior).
        queries: Weight of FLOPS on queries that need the network.
        l1: Weight of L1 beside FLOPS, as a share of ``documents``.
        idf_aware: Make entries of frequent words cost more.
        threshold: Documents with fewer active entries are not asked for more sparsity.
        ramp: Share of the steps in which the weights rise quadratically from 0.
        target: Active entries a document should have at most; the weight is steered to it.
        speed: How fast the weight is steered.
    """

    documents: float = Field(default=0.003, ge=0)
    queries: float = Field(default=0.0, ge=0)
    l1: float = Field(default=0.0, ge=0)
    idf_aware: bool = False
    threshold: int | None = Field(default=None, ge=1)
    ramp: float = Field(default=1 / 3, ge=0, le=1)
    target: float | None = Field(default=None, gt=0)
    speed: float = Field(default=0.05, gt=0, le=1)


class LossSettings(Section):
    """Weights of the terms; 0 leaves one out.

    Attributes:
        info_nce: Telling the positive from the batch's other documents.
        temperature: Scores are divided by it.
        self_preservation: An anchor keeps its own pieces (seed metric's loss).
        synonym: An anchor activates its synonym's pieces.
        margin: Cosine margin of synonym over negative.
        distillation: Following teachers.
    """

    info_nce: float = Field(default=1.0, ge=0)
    temperature: float = Field(default=1.0, gt=0)
    self_preservation: float = Field(default=0.0, ge=0)
    synonym: float = Field(default=0.0, ge=0)
    margin: float = Field(default=0.0, ge=0)
    distillation: DistillationSettings | None = None

    @property
    def needs_anchors(self) -> bool:
        """Whether a term looks at queries through the document side."""
        return bool(self.self_preservation or self.synonym or self.margin)


class RateSettings(Section):
    """Learning rates at their highest; 0 freezes a part.

    Attributes:
        backbone: The network.
        projection: The head's linear layer.
        gain: Gain of the document's own pieces.
        thresholds: Thresholds and weight of the expansion.
        words: Word vectors of the head.
        queries: Query weights.
    """

    backbone: float = Field(default=4e-5, ge=0)
    projection: float = Field(default=3e-4, ge=0)
    gain: float = Field(default=1e-3, ge=0)
    thresholds: float = Field(default=1e-2, ge=0)
    words: float = Field(default=0.0, ge=0)
    queries: float = Field(default=0.0, ge=0)


class TrainingSettings(Section):
    """How long, how fast and how much at a time.

    Attributes:
        steps: Optimiser steps; without it ``epochs`` decides.
        epochs: Passes over the records.
        batch_size: Queries per step and process.
        negatives: Hard negatives per query, drawn from its own.
        max_tokens: Cut training texts here; by default where the model does.
        rates: Learning rates.
        schedule: How they fall.
        warmup: Share of the steps in which they rise.
        weight_decay: Of the network (AdamW).
        max_grad_norm: Longer gradients are shortened to this.
        accumulate: Batches per optimiser step.
        dropout: Of the network; ``None`` keeps the model's own.
        precision: ``auto`` is bfloat16 where the device computes in it, else float32.
        device: Where to train.
        seed: Of everything that is drawn.
    """

    steps: int | None = Field(default=None, ge=1)
    epochs: float = Field(default=1.0, gt=0)
    batch_size: int = Field(default=14, ge=1)
    negatives: int = Field(default=1, ge=0)
    max_tokens: int | None = Field(default=128, ge=4)
    rates: RateSettings = RateSettings()
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    accumulate: int = Field(default=1, ge=1)
    dropout: float | None = Field(default=0.0, ge=0, lt=1)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = Field(default=0, ge=0)


class EvaluationSettings(Section):
    """When the dev sets are measured, each time with a checkpoint.

    Attributes:
        every: Steps between measurements; by default ten per run.
        patience: Stop after so many measurements without a better one; by default never.
        keep: Checkpoints kept beside the best one.
        top_tokens: An anchor's heaviest tokens that the synonym metrics look at.
    """

    every: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    keep: int = Field(default=2, ge=1)
    top_tokens: int = Field(default=15, ge=1)


class GateSettings(Section):
    """What stops a run.

    Attributes:
        min_active: A document's mean active entries below this: collapsed.
        max_active_share: ... or above this share of the vocabulary.
    """

    min_active: float = Field(default=5.0, ge=0)
    max_active_share: float = Field(default=0.2, gt=0, le=1)


class SparseConfig(Section):
    """A sparse training run.

    Attributes:
        recipe: ``sentence-encoder`` puts a vocabulary head with a lexical prior on a dense model;
            ``splade`` trains a masked language model.
        model: Preset, folder or hub id of the model to start from; for ``sentence-encoder`` a dense
            model, or a folder such a run has written.
        output: Folder of the run.
        trust_remote_code: Run Python code that ships with the model.
    """

    recipe: Recipe = "sentence-encoder"
    model: str = DEFAULT_DENSE
    output: Path = Path("runs/sparse")
    trust_remote_code: bool = False
    data: SparseData
    head: HeadSettings = HeadSettings()
    splade: SpladeSettings = SpladeSettings()
    pretraining: PretrainingSettings = PretrainingSettings()
    training: TrainingSettings = TrainingSettings()
    loss: LossSettings = LossSettings()
    sparsity: SparsitySettings = SparsitySettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    gates: GateSettings = GateSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "SparseConfig":
        loss = self.loss
        if not (loss.info_nce or loss.distillation or loss.needs_anchors):
            msg = "loss: every term is switched off; there is nothing to learn"
            raise ValueError(msg)
        if loss.distillation and loss.distillation.objective == "margin-mse":
            if self.training.negatives < 1:
                msg = "margin-mse compares with negatives: training.negatives must be >= 1"
                raise ValueError(msg)
        if self.recipe == "sentence-encoder" and self.splade != SpladeSettings():
            msg = "splade: these settings are for recipe = 'splade'"
            raise ValueError(msg)
        self._refuse_cached()
        return self

    def _refuse_cached(self) -> None:
        if self.recipe != "splade" or self.splade.gradient != "cached":
            return
        loss, sparsity = self.loss, self.sparsity
        extra = loss.needs_anchors or loss.distillation
        if (
            extra
            or sparsity.l1
            or sparsity.idf_aware
            or sparsity.target
            or self.training.accumulate > 1
        ):
            msg = (
                "splade.gradient = 'cached' goes with info_nce and FLOPS alone; take 'exact' for "
                "other terms"
            )
            raise ValueError(msg)
