"""What a retraining job can be told: one TOML file, every key checked before anything runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, model_validator

from encoders.export.options import Precision, Target
from encoders.options import Runtime
from training.config import EvaluationSet, Section, TrainSet, load_config

Recipe = Literal["dense", "sparse", "static"]
Leg = Literal["dense", "sparse"]
SearchLeg = Literal["bm25", "dense", "sparse", "hybrid"]


class FeedbackSettings(Section):
    """Logged queries and clicks, as :mod:`operations.feedback` reads them.

    Attributes:
        files: Logs as JSON lines; by default the cluster's UBI indices are read.
        corpus: BEIR folder with the texts of the documents; by default the index has them.
        since: Only what was logged from here on: an ISO date, or a span up to now such as ``30d``.
        fresh: Share of the queries that is kept apart: never trained on, and what the candidate is
            held against beside the frozen sets.
        fresh_since: Instead of a share, everything from this moment on is kept apart.
        min_clients: Queries that fewer clients issued are left out.
        min_impressions: Clients who must have been shown a document before its clicks count.
        min_clicks: Clients who must have clicked it before it counts as relevant.
        eta: How examination falls with the rank; by default it is estimated.
    """

    files: tuple[Path, ...] = ()
    corpus: Path | None = None
    since: str | None = None
    fresh: float = Field(default=0.2, ge=0, lt=1)
    fresh_since: str | None = None
    min_clients: int | None = Field(default=None, ge=1)
    min_impressions: int | None = Field(default=None, ge=1)
    min_clicks: int | None = Field(default=None, ge=1)
    eta: float | None = Field(default=None, ge=0)


class CollectSettings(Section):
    """Where records come from.

    Attributes:
        records: Files of records, and BEIR folders.
        feedback: Logged queries and clicks.
        minimum: With fewer records there is nothing worth training on: the run stops.
    """

    records: tuple[TrainSet, ...] = ()
    feedback: FeedbackSettings | None = None
    minimum: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _something(self) -> "CollectSettings":
        if not self.records and self.feedback is None:
            msg = "name records = [{path = …}], or a table [collect.feedback], or both"
            raise ValueError(msg)
        return self


class MixedSet(TrainSet):
    """Other records that become a share of the training data.

    Attributes:
        share: Of the training data.
    """

    share: float = Field(gt=0, lt=1)


class PrepareSettings(Section):
    """How records are cleaned and split.

    Attributes:
        dev_share: Share of the records that chooses the checkpoint.
        near: Least resemblance of two queries that are nearly the same.
        mixed: Other sets, against forgetting.
        seed: Of split and mix.
    """

    dev_share: float = Field(default=0.1, ge=0, lt=1)
    near: float = Field(default=0.8, ge=0.3, le=1)
    mixed: tuple[MixedSet, ...] = ()
    seed: int = 42


class MineSettings(Section):
    """How hard negatives are found.

    Attributes:
        corpus: BEIR folder, or corpus file, that is searched exactly by ``model``; without it the
            index is searched by ``leg``.
        model: Dense model for ``corpus``; by default the one in production.
        leg: Leg of the index that searches.
        from_rank: First rank taken.
        to_rank: Last rank taken.
        margin: A negative scores at most this share of the relevant text.
        negatives: Per query.
        seed: Of what is drawn.
    """

    corpus: Path | None = None
    model: str | None = None
    leg: SearchLeg = "bm25"
    from_rank: int = Field(default=5, ge=1)
    to_rank: int = Field(default=50, ge=1)
    margin: float = Field(default=0.95, gt=0, le=1)
    negatives: int = Field(default=4, ge=1, le=64)
    seed: int = 42


class TrainSettings(Section):
    """What is trained, and how.

    Attributes:
        recipe: Which trainer.
        preset: Packaged recipe to start from.
        config: File of the trainer's own form; its values come before the preset's.
        settings: The same inline; these come before both.
        start: ``base`` starts from the model that the recipe names, ``production`` from the one in
            production.
        dev: Further sets that choose the checkpoint.
    """

    recipe: Recipe
    preset: str | None = None
    config: Path | None = None
    settings: Mapping[str, Any] = Field(default_factory=dict)
    start: Literal["base", "production"] = "base"
    dev: tuple[EvaluationSet, ...] = ()

    @model_validator(mode="after")
    def _start_fits(self) -> "TrainSettings":
        if self.recipe == "static" and self.start == "production":
            msg = "start: static encoders start from their corpus; leave it out"
            raise ValueError(msg)
        return self


class EvaluateSettings(Section):
    """What production and candidate are measured on, by exact search.

    Attributes:
        frozen: Sets that never change: the candidate must be better here.
        guard: Sets unlike the training data (another language, another kind of text): what a
            candidate may have forgotten.
        seed: Of sets that are drawn from.
        latency_queries: Queries that are encoded one by one to measure latency.
    """

    frozen: tuple[EvaluationSet, ...] = Field(min_length=1)
    guard: tuple[EvaluationSet, ...] = ()
    seed: int = 13
    latency_queries: int = Field(default=100, ge=1)


class GateSettings(Section):
    """What a candidate must keep to; every rule holds for each trained leg.

    Attributes:
        min_gain: Least relative gain of NDCG@10 over the frozen sets' queries together.
        p: The gain must be significant at this level (paired randomisation test); 1 asks for none.
        max_set_loss: Largest relative loss of NDCG@10 on a single frozen set.
        max_guard_loss: ... on a guard set.
        max_feedback_loss: ... on fresh feedback.
        min_feedback_queries: With fewer judged queries fresh feedback decides nothing.
        max_query_ms: Longest median time for encoding one query, in milliseconds.
        max_query_slowdown: ... as a multiple of what the encoder in production takes.
        max_entries: Most entries of a sparse document, on average.
        max_passage_bytes: Most bytes of a passage's vector.
        max_parity_loss: Largest ``1 - cosine`` between model and export; by default the
            precision's own.
    """

    min_gain: float = 0.0
    p: float = Field(default=0.05, gt=0, le=1)
    max_set_loss: float = Field(default=0.02, ge=0)
    max_guard_loss: float = Field(default=0.025, ge=0)
    max_feedback_loss: float = Field(default=0.0, ge=0)
    min_feedback_queries: int = Field(default=50, ge=1)
    max_query_ms: float | None = Field(default=None, gt=0)
    max_query_slowdown: float | None = Field(default=None, gt=0)
    max_entries: float | None = Field(default=None, gt=0)
    max_passage_bytes: float | None = Field(default=None, gt=0)
    max_parity_loss: float | None = Field(default=None, gt=0, le=1)


class ExportSettings(Section):
    """What is exported of each trained leg.

    Attributes:
        targets: Forms; ``runtime`` is what Tandem itself loads without PyTorch.
        precision: Of the weights.
        texts: Texts of the frozen sets on which exports are compared with PyTorch, besides the
            fixed ones.
    """

    targets: tuple[Target, ...] = ("runtime",)
    precision: Precision = "fp32"
    texts: int = Field(default=32, ge=0)


class PushSettings(Section):
    """Whether the model goes into the cluster's nodes.

    Attributes:
        enabled: Push it.
        group: Model group; by default the model's name.
        apply_settings: Change cluster settings that stand in the way.
    """

    enabled: bool = False
    group: str | None = None
    apply_settings: bool = False


class IndexCheck(EvaluationSet):
    """Judged queries over the index's own documents: searched before and after, in the index.

    Attributes:
        mode: How the indices are searched.
        max_loss: Largest relative loss of NDCG@10 of the new index.
    """

    mode: SearchLeg = "hybrid"
    max_loss: float = Field(default=0.02, ge=0)


class ReindexSettings(Section):
    """How the index is built anew.

    Attributes:
        check: Judged queries that the new index must answer as well as the old one.
        rate: Most passages a second.
        keep: Older index versions that are kept.
        swap: Take the new index into service; off leaves it beside the old one.
    """

    check: IndexCheck | None = None
    rate: float | None = Field(default=None, gt=0)
    keep: int = Field(default=2, ge=1)
    swap: bool = True


class RetrainingJob(Section):
    """A retraining job.

    Attributes:
        name: The model's name in the registry.
        output: Folder of the runs.
        registry: Folder or URL of the registry; by default ``TANDEM_REGISTRY``.
        index: The index that gets the new model; without one the run ends with the published
            version.
        production: Encoders that the candidate is held against where neither the registry nor the
            index names any.
        bump: Part of the version that goes up.
        runtime: What runs encoders.
        store: Keep the measurements in the cluster, too (index ``tandem-quality``).
        keep: Finished runs whose files stay; of older ones only state, log and report do.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$")
    output: Path = Path("retraining")
    registry: str | None = None
    index: str | None = None
    production: Mapping[Leg, str] = Field(default_factory=dict)
    bump: Literal["major", "minor", "patch"] = "minor"
    runtime: Runtime = "auto"
    store: bool = False
    keep: int = Field(default=5, ge=1)
    collect: CollectSettings
    prepare: PrepareSettings = PrepareSettings()
    mine: MineSettings | None = None
    train: TrainSettings
    evaluate: EvaluateSettings
    gate: GateSettings = GateSettings()
    export: ExportSettings = ExportSettings()
    push: PushSettings = PushSettings()
    reindex: ReindexSettings = ReindexSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> "RetrainingJob":
        if self.mine and self.mine.corpus is None and self.index is None:
            msg = 'mine: without an index, name a corpus to search: corpus = "FOLDER"'
            raise ValueError(msg)
        feedback = self.collect.feedback
        if feedback and feedback.corpus is None and self.index is None:
            msg = 'collect.feedback: without an index, name the texts: corpus = "FOLDER"'
            raise ValueError(msg)
        return self


def load_job(path: Path) -> RetrainingJob:
    """Read a job; its relative paths are taken from the file's own folder.

    The trainer's settings are resolved and checked, too: afterwards ``train.settings`` is all that
    the trainer is told, ``train.preset`` and ``train.config`` are in it.

    Raises:
        ConfigError: The file cannot be read, or a value does not fit; one line for each fault.
    """
    from operations.retraining.recipes import resolved_settings

    base = path.resolve().parent
    job = rebased(load_config(path, RetrainingJob), base)
    settings = resolved_settings(job.train, base)
    train = job.train.model_copy(update={"settings": settings, "preset": None, "config": None})
    changes: dict[str, Any] = {"train": train}
    if job.registry and "://" not in job.registry:
        changes["registry"] = str(base / job.registry)
    return job.model_copy(update=changes)


S = TypeVar("S", bound=Section)


def rebased(section: S, base: Path) -> S:
    """The section with every relative path below ``base``."""
    changes = {name: _rebased(getattr(section, name), base) for name in type(section).model_fields}
    return section.model_copy(update=changes)


def _rebased(value: Any, base: Path) -> Any:
    if isinstance(value, Path):
        return base / value.expanduser()
    if isinstance(value, Section):
        return rebased(value, base)
    if isinstance(value, tuple):
        return tuple(_rebased(entry, base) for entry in value)
    return value
