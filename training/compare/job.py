"""One comparison from names to outcome."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from encoders.cache import cache_folder
from encoders.options import LoadOptions
from training.compare.encoding import FOLDER
from training.compare.learning import read_learning
from training.compare.measuring import measure_system
from training.compare.outcome import Outcome, build_outcome, choose_baseline
from training.compare.systems import System, read_systems, run_sets, sets_of_run
from training.config import EvaluationSet
from training.dev_sets import DevSet, load_sets
from training.errors import EvaluationError
from training.evaluation.datasets import find_split
from training.run_folder import RunFolder


@dataclass(frozen=True)
class CompareJob:
    """What to compare on what.

    Attributes:
        names: Run folders, model folders, presets, hub ids, services, ``bm25``, ``lexical``.
        sets: Judged sets; by default those of the first run's configuration.
        baseline: What the others are compared with; by default the first.
        with_base: Measure what the runs were trained from, too; it comes first.
        load: How models are loaded.
        cache: Folder of kept vectors; None keeps nothing.
    """

    names: Sequence[str]
    sets: Sequence[EvaluationSet] = ()
    baseline: str | None = None
    with_base: bool = False
    load: LoadOptions = field(default_factory=LoadOptions)
    cache: Path | None = field(default_factory=lambda: cache_folder() / FOLDER)


def run_comparison(job: CompareJob, tell: Callable[[str], None] = lambda _: None) -> Outcome:
    """Measure all systems on all sets and compare them.

    Args:
        job: What to compare on what.
        tell: Called with a line for each stage.

    Raises:
        TrainingError: A run is not complete, or there is no set to measure on.
        EncoderError: A model cannot be loaded.
    """
    systems = read_systems(job.names, job.load, with_base=job.with_base)
    baseline = choose_baseline(systems, job.baseline)
    tell("reading the sets")
    sets = _sets(job, systems)
    measured = {}
    for system in systems:
        tell(f"measuring {system.label}")
        measured[system.label] = measure_system(system, sets, job.load, cache=job.cache)
    outcome = build_outcome(systems, sets, measured, baseline=baseline)
    learning = [found for system in systems if (found := read_learning(system)) is not None]
    return replace(outcome, learning=tuple(learning), notes=tuple(_notes(systems, sets)))


def _sets(job: CompareJob, systems: Sequence[System]) -> list[DevSet]:
    if job.sets:
        wanted, seed = tuple(job.sets), 0
    else:
        own = run_sets(systems)
        wanted, seed = ((*own.dev, *own.floor), own.seed) if own else ((), 0)
    if not wanted:
        msg = (
            "no set to measure on: none of these is a run with dev sets. Name one by "
            "--set FOLDER:SPLIT."
        )
        raise EvaluationError(msg)
    found = load_sets(wanted, seed)
    return list({dev_set.name: dev_set for dev_set in found}.values())


def _notes(systems: Sequence[System], sets: Sequence[DevSet]) -> list[str]:
    """Sets that chose a checkpoint flatter the run that was chosen on them."""
    measured = {dev_set.corpus.resolve().parent: dev_set.name for dev_set in sets}
    notes = []
    for run in {s.run.root: s.run for s in systems if s.run is not None}.values():
        chosen = {
            _name(entry)
            for entry in sets_of_run(run).dev
            if entry.path.resolve() in measured and entry.path.is_dir()
        }
        shared = sorted(chosen & set(measured.values()))
        if shared:
            notes.append(
                f"{', '.join(shared)} chose the checkpoint of {_labels(systems, run)}: figures "
                "there flatter it; a test split does not."
            )
    return notes


def _labels(systems: Sequence[System], run: RunFolder) -> str:
    return ", ".join(s.label for s in systems if s.run is not None and s.run.root == run.root)


def _name(entry: EvaluationSet) -> str:
    return find_split(entry.path, entry.split).name
