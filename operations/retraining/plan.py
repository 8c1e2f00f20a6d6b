"""What a start would do, and about what it costs; nothing is written."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opensearch.workflows.connection import open_cluster
from operations.planning.rendering import volume
from operations.reindexing.catalogue import index_versions
from operations.retraining.feedback import feedback_probe
from operations.retraining.job import RetrainingJob
from operations.retraining.recipes import trained_legs
from operations.retraining.run import STEPS
from operations.retraining.starting import Start, choose_run
from operations.retraining.state import RunState, read_state, run_folders
from training.data.sources import DataSource
from training.evaluation.datasets import find_split, load_split


@dataclass(frozen=True)
class PlannedStep:
    """One step.

    Attributes:
        name: Its name.
        runs: Whether it would run.
        text: What it would do.
        seconds: What it took in the last finished run; ``None`` where there is none.
    """

    name: str
    runs: bool
    text: str
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """What a start would do.

    Attributes:
        how: ``new``, ``continued`` or ``nothing to do``.
        start: The same as a sentence.
        steps: Every step.
        counts: What is known of the data.
        costs: What it costs, a line each.
    """

    how: str
    start: str
    steps: tuple[PlannedStep, ...]
    counts: Mapping[str, int]
    costs: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON-ready values."""
        return asdict(self)


def make_plan(job: RetrainingJob, *, url: str | None = None, force: bool = False) -> Plan:
    """Say what a start would do.

    Args:
        job: The job.
        url: The cluster.
        force: As if the start began anew.

    Raises:
        RetrainingError: What the job reads is not there.
        TrainingError: Records or sets are faulty.
        SearchBackendError: The index the job names cannot be read.
    """
    start = choose_run(job, force=force, probe=feedback_probe(job.collect.feedback, url))
    counts = _counts(job, url)
    before = _last_finished(job.output)
    texts = _texts(job, counts)
    steps = tuple(
        _planned(step.name, texts.get(step.name, step.does), start, before) for step in STEPS
    )
    return Plan(start.how, _sentence(start), steps, counts, tuple(_costs(steps, counts)))


def _planned(name: str, text: str, start: Start, before: RunState | None) -> PlannedStep:
    done = name in start.state.steps or start.how == "nothing to do"
    record = before.steps.get(name) if before else None
    seconds = record.seconds if record and not record.skipped else None
    took = f" (took {seconds:.0f} s in the last run)" if seconds and seconds >= 1 else ""
    return PlannedStep(name, not done, "done before" if done else text + took, seconds)


def _sentence(start: Start) -> str:
    run = {"new": "a new run", "continued": "the last run goes on"}.get(start.how, start.how)
    return f"{run}: {start.why}"


def _counts(job: RetrainingJob, url: str | None) -> dict[str, int]:
    sources = [DataSource(entry.path, entry.split) for entry in job.collect.records]
    counts = {"records": sum(sum(1 for _ in source.records()) for source in sources)}
    for role, sets in (("frozen", job.evaluate.frozen), ("guard", job.evaluate.guard)):
        judged = [load_split(find_split(entry.path, entry.split)) for entry in sets]
        counts[f"{role}_queries"] = sum(map(len, judged))
    return counts | (_index_counts(job.index, url) if job.index else {})


def _index_counts(index: str, url: str | None) -> dict[str, int]:
    versions = index_versions(open_cluster(url), index)
    return next(
        {"passages": version.chunks, "index_bytes": version.size_bytes}
        for version in versions
        if version.current
    )


def _texts(job: RetrainingJob, counts: Mapping[str, int]) -> dict[str, str]:
    """What each step would do with this job."""
    legs = " and ".join(trained_legs(job.train))
    feedback = " and logged feedback" if job.collect.feedback else ""
    guard = f", guarded by {counts['guard_queries']:,}" if job.evaluate.guard else ""
    targets = ", ".join(job.export.targets)
    passages = f"{counts['passages']:,} passages of {job.index}" if job.index else ""
    off = "nothing: "
    return {
        "collect": f"{counts['records']:,} records{feedback}",
        "prepare": f"clean, and split {100 * job.prepare.dev_share:g} % off as a dev set",
        "mine": _mining(job) if job.mine else f"{off}the job has no table [mine]",
        "train": f"{legs}, by the recipe {job.train.recipe}",
        "evaluate": f"{counts['frozen_queries']:,} frozen queries{guard}, both models",
        "gate": _gate(job),
        "export": f"{legs}: {targets} ({job.export.precision})" if targets else f"{off}no targets",
        "publish": f"a {job.bump} version of {job.name}, tagged candidate",
        "push": f"{legs} into the cluster's nodes" if job.push.enabled else f"{off}push is off",
        "reindex": f"{passages}, the {legs} leg encoded anew" if job.index else f"{off}no index",
        "swap": _swap(job),
    }


def _mining(job: RetrainingJob) -> str:
    if job.mine is None:
        return ""
    place = job.mine.corpus or f"the {job.mine.leg} leg of {job.index}"
    return f"{job.mine.negatives} negatives for each record, from {place}"


def _gate(job: RetrainingJob) -> str:
    gate = job.gate
    sure = f" at p < {gate.p:g}" if gate.p < 1 else ""
    return (
        f"a gain of at least {100 * gate.min_gain:g} %{sure}; losses of at most "
        f"{100 * gate.max_set_loss:g} % on a frozen and {100 * gate.max_guard_loss:g} % on a "
        "guard set"
    )


def _swap(job: RetrainingJob) -> str:
    if job.index is None:
        return f"the tag production of {job.name}"
    if not job.reindex.swap:
        return "nothing: reindex.swap is off"
    return f"the alias {job.index}, and the tag production of {job.name}"


def _costs(steps: tuple[PlannedStep, ...], counts: Mapping[str, int]) -> Iterator[str]:
    left = [step for step in steps if step.runs]
    known = [step.seconds for step in left if step.seconds is not None]
    if left and known:
        yield f"About {sum(known):,.0f} s by what the steps took in the last finished run."
    elif left:
        yield "How long it takes is known after the first finished run."
    if counts.get("index_bytes"):
        yield (
            f"The new index takes about what the old one does, {volume(counts['index_bytes'])}, "
            "beside it; how much exactly: tandem plan."
        )


def _last_finished(output: Path) -> RunState | None:
    states = map(read_state, run_folders(output))
    return next((state for state in states if state.outcome == "done"), None)
