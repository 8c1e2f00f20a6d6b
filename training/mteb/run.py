"""Runs MTEB tasks with our encoders."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from encoders.errors import MissingExtraError
from encoders.options import LoadOptions
from training.compare.encoding import SystemEncoder
from training.compare.systems import BM25, System, read_systems
from training.config import EvaluationSet
from training.dev_sets import load_sets
from training.errors import EvaluationError
from training.mteb.adapters import adapt
from training.mteb.tasks import benchmark_tasks, for_kind, local_task, named_tasks

logger = logging.getLogger(__name__)

PACKAGE = EXTRA = "mteb"


@dataclass(frozen=True)
class MtebJob:
    """What to run.

    Attributes:
        model: Run folder, model folder, preset, hub id or service.
        tasks: Names of tasks.
        benchmark: Name of a benchmark.
        sets: BEIR folders, each a retrieval task of its own.
        output: Folder of MTEB's result files; what is there is not run again.
        load: How the model is loaded.
    """

    model: str
    tasks: tuple[str, ...] = ()
    benchmark: str | None = None
    sets: Sequence[EvaluationSet] = ()
    output: Path | None = None
    load: LoadOptions = field(default_factory=LoadOptions)


@dataclass(frozen=True)
class TaskScores:
    """One task, split and subset.

    Attributes:
        system: Which encoder.
        task: Name of the task.
        kind: Its type, e.g. ``Retrieval``.
        split: Which judgements.
        subset: Part of the data, mostly a language.
        main: Name of the main score.
        scores: All scores.
    """

    system: str
    task: str
    kind: str
    split: str
    subset: str
    main: str
    scores: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """The scores as JSON-ready values."""
        return {
            "system": self.system,
            "task": self.task,
            "type": self.kind,
            "split": self.split,
            "subset": self.subset,
            "main_score": self.main,
            "score": self.scores.get(self.main),
            "scores": self.scores,
        }


@dataclass(frozen=True)
class MtebOutcome:
    """What came out.

    Attributes:
        scores: By encoder and task.
        failed: ``encoder, task`` -> why.
        skipped: Tasks that a sparse encoder cannot do.
    """

    scores: tuple[TaskScores, ...]
    failed: dict[str, str]
    skipped: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values."""
        return {
            "scores": [entry.as_dict() for entry in self.scores],
            "failed": self.failed,
            "skipped": list(self.skipped),
        }


def run_mteb(job: MtebJob) -> MtebOutcome:
    """Run tasks; one that fails costs the others nothing.

    Raises:
        MissingExtraError: The extra ``mteb`` is not installed.
        EvaluationError: A task, benchmark or set does not exist, or there is none to run.
        EncoderError: The model cannot be loaded.
    """
    require_mteb()
    systems = read_systems([job.model], job.load)
    _refuse_without_model(systems)
    tasks = _tasks(job)
    scores: list[TaskScores] = []
    failed: dict[str, str] = {}
    skipped: list[str] = []
    for system in systems:
        fitting, others = for_kind(tasks, sparse=system.sparse)
        skipped += [f"{system.label}: {name}" for name in others]
        if fitting:
            found, faults = _run(job, system, fitting)
            scores += found
            failed |= {f"{system.label}, {task}": fault for task, fault in faults.items()}
    return MtebOutcome(tuple(scores), failed, tuple(skipped))


def require_mteb() -> None:
    """Refuse to begin without the library.

    Raises:
        MissingExtraError: It is absent; the message names the extra that brings it.
    """
    if find_spec(PACKAGE) is None:
        raise MissingExtraError(PACKAGE, EXTRA)


def _refuse_without_model(systems: Sequence[System]) -> None:
    for system in systems:
        if system.kind in (BM25, "lexical"):
            msg = (
                f"{system.label} is fitted to one corpus, so it has no model to hand to MTEB. "
                "tandem compare measures it beside others."
            )
            raise EvaluationError(msg)


def _tasks(job: MtebJob) -> list[Any]:
    tasks = named_tasks(job.tasks)
    if job.benchmark is not None:
        tasks += benchmark_tasks(job.benchmark)
    tasks += [local_task(dev_set) for dev_set in load_sets(job.sets, 0)]
    if not tasks:
        msg = "nothing to run: name tasks, a benchmark such as 'MTEB(kor, v2)', or a BEIR folder"
        raise EvaluationError(msg)
    return tasks


def _run(
    job: MtebJob, system: System, tasks: Sequence[Any]
) -> tuple[list[TaskScores], dict[str, str]]:
    import mteb

    adapter = adapt(SystemEncoder(system, job.load, cache=None))
    cache = mteb.ResultCache(job.output) if job.output is not None else None
    result = mteb.evaluate(
        adapter,
        list(tasks),
        cache=cache,
        raise_error=False,
        show_progress_bar=logger.isEnabledFor(logging.INFO),
        co2_tracker=False,
    )
    types = {task.metadata.name: task.metadata for task in tasks}
    scores = [
        entry for found in result.task_results for entry in _scores(system.label, found, types)
    ]
    faults = {fault.task_name: _readable(fault.exception) for fault in result.exceptions or ()}
    return scores, faults


def _scores(label: str, found: Any, types: dict[str, Any]) -> list[TaskScores]:
    known = types.get(found.task_name)
    return [
        TaskScores(
            system=label,
            task=found.task_name,
            kind=str(known.type) if known else "",
            split=split,
            subset=str(entry["hf_subset"]),
            main=known.main_score if known else "main_score",
            scores={k: float(v) for k, v in entry.items() if isinstance(v, (int, float))},
        )
        for split, entries in found.scores.items()
        for entry in entries
    ]


def _readable(text: str) -> str:
    """One line; a data set that cannot be fetched says where it would have come from."""
    line = " ".join(text.split())
    signs = ("offline", "connection", "resolve", "connect", "LocalEntryNotFound", "hub")
    if any(sign.casefold() in line.casefold() for sign in signs):
        return f"its data is on a model hub that cannot be reached from here: {line}"
    return line or "no reason given"
