"""Trains the cells of an ablation, one after the other; what is finished is left alone."""

import gc
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from encoders.errors import EncoderError
from encoders.options import LoadOptions
from ingest.errors import IngestError
from training.ablation.amounts import draw_amount
from training.ablation.config import Kind
from training.ablation.plan import Cell, Plan
from training.compare.measuring import measure_system
from training.compare.outcome import METRICS
from training.compare.systems import read_systems
from training.dev_sets import DevSet, load_sets
from training.errors import TrainingError
from training.evaluation.metrics import Evaluated
from training.run_folder import write_atomically

logger = logging.getLogger(__name__)

State: TypeAlias = Literal["done", "failed", "waiting"]
# Leg (dense, sparse) -> set -> what it reached.
Reached: TypeAlias = Mapping[str, Mapping[str, Evaluated]]

MEASURED = "measured.json"
# Everything that a library reports of data, memory or a device it cannot use. A fault in one cell
# must not cost the others; what is no such fault ends the ablation.
_FAULTS = (
    TrainingError,
    EncoderError,
    IngestError,
    OSError,
    RuntimeError,
    ValueError,
    MemoryError,
    ImportError,
)


@dataclass(frozen=True)
class CellResult:
    """What became of a cell.

    Attributes:
        cell: Which.
        state: Whether it is trained and measured.
        reached: What it reached; empty unless it is done.
        seconds: How long it took; None where that is not known.
        fault: Why it failed.
    """

    cell: Cell
    state: State
    reached: Reached = field(default_factory=dict)
    seconds: float | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Silence:
    """A trainer's progress that nobody watches: an ablation says which cell is on."""

    def stage(self, text: str) -> None:
        """A stage begins."""
        logger.info(text)

    def step(self, *_: Any) -> None:
        """A step was made."""


def run_cells(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> list[CellResult]:
    """Train and measure all cells.

    Args:
        plan: What to train.
        tell: Called with a line for each cell.

    Returns:
        One result for each cell, in the plan's order.

    Raises:
        EvaluationError: A set to measure on is faulty.
    """
    sets = load_sets(plan.sets, plan.config.seeds[0])
    results: list[CellResult] = []
    for number, cell in enumerate(plan.cells, start=1):
        place = f"{number} of {len(plan.cells)}: {cell.name}"
        result = finished(cell)
        if result is None:
            tell(f"{place}{_remaining(results, len(plan.cells))}")
            result = _attempt(plan.config.kind, cell, sets)
        results.append(result)
        tell(f"{place}: {result.fault if result.fault else _done(result, plan)}")
    return results


def finished(cell: Cell) -> CellResult | None:
    """The result of a cell that an earlier call has trained and measured."""
    path = cell.folder.root / MEASURED
    if not (cell.folder.result.is_file() and path.is_file()):
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        reached = {
            leg: {name: Evaluated(**found) for name, found in sets.items()}
            for leg, sets in values["reached"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s cannot be read, so the cell is measured again: %s", path, error)
        return None
    return CellResult(cell, "done", reached, values.get("seconds"))


def estimated_seconds(results: list[CellResult], total: int) -> float | None:
    """How long the cells that are left will take; None while none is known to have ended."""
    known = [r.seconds for r in results if r.state == "done" and r.seconds is not None]
    if not known:
        return None
    left = total - sum(result.state != "waiting" for result in results)
    return left * sum(known) / len(known)


def shown_time(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def _attempt(kind: Kind, cell: Cell, sets: list[DevSet]) -> CellResult:
    begun = time.monotonic()
    try:
        whole = not cell.folder.config.is_file()
        if not cell.folder.result.is_file():
            draw_amount(cell)
            _train(kind, cell.config, resume=not whole)
        reached = _measure(cell, sets)
        # The time of a cell that was killed and resumed says nothing of a whole one.
        seconds = round(time.monotonic() - begun, 2) if whole else None
        _save(cell, reached, seconds)
    except _FAULTS as error:
        logger.debug("cell %s failed", cell.name, exc_info=True)
        return CellResult(cell, "failed", fault=f"{type(error).__name__}: {error}")
    finally:
        _free()
    return CellResult(cell, "done", reached, seconds)


def _train(kind: Kind, config: Any, *, resume: bool) -> None:
    if kind == "dense":
        from training.dense.run import Options, train_dense

        train_dense(config, Options(resume=resume, progress=Silence()))
    elif kind == "sparse":
        from training.sparse.run import train_sparse

        train_sparse(config, resume=resume)
    else:
        from training.static.run import train_static

        train_static(config, Silence(), resume=resume)


def _measure(cell: Cell, sets: list[DevSet]) -> Reached:
    # PyTorch, and no cache: an export and vectors of every cell would fill the disk for nothing.
    options = LoadOptions(runtime="torch")
    found: dict[str, dict[str, Evaluated]] = {}
    for system in read_systems([str(cell.folder.root)], options):
        measured = measure_system(system, sets, options, cache=None)
        found[system.kind] = {name: entry.evaluated for name, entry in measured.items()}
    return found


def _save(cell: Cell, reached: Reached, seconds: float | None) -> None:
    values = {
        "seconds": seconds,
        "reached": {
            leg: {name: _evaluated_dict(found) for name, found in sets.items()}
            for leg, sets in reached.items()
        },
    }
    write_atomically(cell.folder.root / MEASURED, json.dumps(values) + "\n")


def _evaluated_dict(found: Evaluated) -> dict[str, Any]:
    return {
        "aggregate": {metric: found.aggregate[metric] for metric in METRICS},
        "per_query": {
            query: {metric: values[metric] for metric in METRICS}
            for query, values in found.per_query.items()
        },
    }


def _free() -> None:
    """Give memory back before the next cell asks for it."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _remaining(results: list[CellResult], total: int) -> str:
    seconds = estimated_seconds(results, total)
    return "" if seconds is None else f" (about {shown_time(seconds)} left)"


def _done(result: CellResult, plan: Plan) -> str:
    metric = plan.config.metric
    means = [
        f"{leg} {sum(e.aggregate[metric] for e in sets.values()) / len(sets):.4f}"
        for leg, sets in result.reached.items()
    ]
    took = f" in {shown_time(result.seconds)}" if result.seconds is not None else ""
    return f"{', '.join(means)}{took}"
