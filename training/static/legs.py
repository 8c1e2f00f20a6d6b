"""One leg from configuration to finished folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from training.curves import draw_curves
from training.dev_sets import DevSet
from training.evaluation.metrics import Evaluated
from training.run_folder import RunFolder, replacing_folder, write_atomically
from training.static.config import Leg, StaticConfig
from training.static.fitting import Job, Progress, fit
from training.static.measuring import (
    MeasuredSet,
    document_vectors,
    mean_length,
    measure_dense,
    measure_sparse,
)
from training.static.objectives import SparseObjective, dense_loss
from training.static.preparation import Prepared, prepare
from training.static.saving import prior_settings, save_dense, save_sparse
from training.static.sources import TrainSource
from training.static.starting import start_dense, start_sparse
from training.static.strength import take_best_strength

Module: TypeAlias = Any

_SAMPLED_DOCUMENTS = 500


@dataclass(frozen=True)
class LegResult:
    """What came out of one leg.

    Attributes:
        leg: Which model.
        best_step: The step its weights are from.
        strength: Share of what the sparse model learned that was taken; none for a dense model.
        start: Metrics before training.
        trained: Metrics after it.
        entries: Entries of a document's vector on each set, on average; none for a dense model.
        vocabulary: Entries of the vocabulary.
    """

    leg: Leg
    best_step: int
    strength: float | None
    start: Mapping[str, Evaluated]
    trained: Mapping[str, Evaluated]
    entries: Mapping[str, float]
    vocabulary: int


@dataclass(frozen=True)
class LegData:
    """What both legs share.

    Attributes:
        sources: Training sets.
        measured: Dev and floor sets.
    """

    sources: Sequence[TrainSource]
    measured: Sequence[DevSet]


def train_leg(
    config: StaticConfig, leg: Leg, data: LegData, progress: Progress, *, resume: bool
) -> LegResult:
    """Train one model and write its folder ``<output>/<leg>``.

    Args:
        config: The run.
        leg: Which model.
        data: What it learns from and is measured on.
        progress: Who is told.
        resume: Go on from the last checkpoint.

    Raises:
        TrainingError: The data is faulty, the loss is no number, or the disk refuses.
    """
    folder = leg_folder(config, leg)
    folder.prepare(resume=resume)
    progress.stage(f"{leg}: tokenizer, token ids, first vectors")
    settings = config.model.dense if leg == "dense" else config.model.sparse
    prepared = prepare(config, settings, data.sources, folder.root / "tokenizer.json")
    measured = [MeasuredSet.of(s, prepared, config.model.max_tokens) for s in data.measured]
    network, loss, measure = _parts(config, leg, prepared, measured)
    start = measure(network)
    progress.stage(f"{leg}: training")
    job = Job(leg, network, prepared.sets, loss, measure, config.training, folder, progress)
    best_step = fit(job, start, resume=resume)
    strength = _strength(config, leg, network, measure) if measured else None
    trained = measure(network)
    _write(config, leg, prepared, network)
    write_atomically(folder.curves, draw_curves(folder.read_log(), title=f"{leg} model"))
    entries = _entries(config, leg, prepared, network, measured)
    size = prepared.tokenizer.get_vocab_size()
    return LegResult(leg, best_step, strength, start, trained, entries, size)


def leg_folder(config: StaticConfig, leg: Leg) -> RunFolder:
    """Log, tokenizer and checkpoints of a leg."""
    return RunFolder(config.output / "training" / leg)


def _parts(
    config: StaticConfig, leg: Leg, prepared: Prepared, sets: Sequence[MeasuredSet]
) -> tuple[Module, Any, Any]:
    """Network, loss and measurement."""
    training, sparse = config.training, config.model.sparse
    if leg == "dense":
        loss = partial(_dense_loss, settings=training)
        return start_dense(prepared), loss, partial(measure_dense, sets=sets)
    network = start_sparse(prepared, sparse, training.seed)
    objective = SparseObjective(sparse.top_k, training)
    measure = partial(
        measure_sparse,
        sets=sets,
        top_k=sparse.top_k,
    )
    return network, objective, measure


def _dense_loss(network: Module, batch: Any, random: Any, settings: Any) -> Any:
    return dense_loss(network, batch, settings, random)


def _strength(config: StaticConfig, leg: Leg, network: Module, measure: Any) -> float | None:
    if leg == "dense":
        return None
    return take_best_strength(network, measure, config.model.sparse.strengths)


def _write(config: StaticConfig, leg: Leg, prepared: Prepared, network: Module) -> None:
    target: Path = config.output / leg
    limit = config.model.max_tokens
    with replacing_folder(target) as folder:
        if leg == "dense":
            save_dense(network, prepared, limit, folder)
        else:
            settings = prior_settings(prepared, limit, config.model.sparse.top_k)
            save_sparse(network, prepared, settings, folder)


def _entries(
    config: StaticConfig,
    leg: Leg,
    prepared: Prepared,
    network: Module,
    sets: Sequence[MeasuredSet],
) -> dict[str, float]:
    if leg == "dense":
        return {}
    found = {}
    for entry in sets:
        rows = range(min(len(entry.documents), _SAMPLED_DOCUMENTS))
        sample = entry.documents.select(list(rows))
        vectors = list(
            document_vectors(network, sample, entry.statistics, config.model.sparse.top_k)
        )
        found[entry.dev_set.name] = mean_length(vectors)
    return found
