"""End an experiment: with arm B for everybody, or with arm A."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from encoders.options import LoadOptions
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.translation import translated
from opensearch.workflows.query_encoders import stored_options
from operations.experiments.errors import ExperimentError
from operations.experiments.experiment import Experiment
from operations.experiments.store import ExperimentStore
from operations.reindexing.catalogue import index_versions
from operations.reindexing.job import ReindexEvents, ReindexJob
from operations.reindexing.reindex import reindex
from operations.reindexing.rollback import RollbackOptions, rollback
from operations.reindexing.swapping import swap


@dataclass(frozen=True, slots=True)
class PromoteOptions:
    """How arm B takes over.

    Attributes:
        catch_up: Bring what was written since B was built into it; ``False`` only swaps.
        load: How its models are loaded, to encode that.
        stage: Called with a line for people when something begins.
    """

    catch_up: bool = True
    load: LoadOptions = field(default_factory=LoadOptions)
    stage: Callable[[str], None] = lambda _: None


def stop(client: Any, name: str) -> Experiment:
    """End an experiment with arm A; again, nothing changes.

    Args:
        client: The client.
        name: The experiment, or its index.

    Raises:
        NoExperimentError: There is none.
        ExperimentError: It ended with arm B.
    """
    outcome = "stopped: everybody sees arm A"
    ended = ExperimentStore(client).change(name, lambda one: one.ends("stopped", outcome))
    if ended.status == "promoted":
        msg = (
            f"{ended.name} ended with arm B; `tandem rollback {ended.index}` takes that back, "
            "there is nothing to stop"
        )
        raise ExperimentError(msg)
    return ended


def promote(client: Any, name: str, options: PromoteOptions | None = None) -> Experiment:
    """Let everybody see arm B, and end the experiment; again, nothing changes.

    The alias moves before the experiment ends, so a crash between the two is mended by the same
    command.

    Args:
        client: The client.
        name: The experiment, or its index.
        options: How.

    Raises:
        NoExperimentError: There is none.
        ExperimentError: It was stopped, its arms are models of the cluster, or the alias stands for
            neither of them any more.
    """
    options = options or PromoteOptions()
    store = ExperimentStore(client)
    experiment = store.find(name).experiment
    if experiment.status == "promoted":
        return experiment
    _check(client, experiment)
    _take_over(client, experiment, options)
    outcome = f"promoted: everybody sees {experiment.b.label()}"
    return store.change(experiment.name, lambda one: one.ends("promoted", outcome))


def _check(client: Any, experiment: Experiment) -> None:
    if experiment.status == "stopped":
        msg = f"{experiment.name} was stopped; start another experiment, or swap by hand"
        raise ExperimentError(msg)
    b = experiment.b
    if b.dense_model or b.sparse_model:
        msg = (
            "an arm that names models of the cluster is promoted by its pipelines: let them name "
            f"those models (`tandem pipelines apply`), then `tandem ab stop {experiment.index}`"
        )
        raise ExperimentError(msg)
    serving = read_index_info(client, experiment.index).physical
    if serving not in (experiment.a.physical, b.physical):
        msg = (
            f"{experiment.index!r} stands for {serving} by now, which is neither arm: somebody "
            f"swapped it meanwhile. `tandem ab stop {experiment.index}` ends the experiment"
        )
        raise ExperimentError(msg)


def _take_over(client: Any, experiment: Experiment, options: PromoteOptions) -> None:
    index, physical = experiment.index, experiment.b.physical
    state = next((v.state for v in index_versions(client, index) if v.physical == physical), None)
    if state is None:
        msg = f"{physical} is not there any more, so it cannot take over"
        raise ExperimentError(msg)
    if state != "current":
        if not options.catch_up:
            swap(client, index, physical)
        elif state == "ready":
            _finish_build(client, experiment, options)
        else:
            stages = RollbackOptions(load=options.load, stage=options.stage)
            rollback(client, index, to=physical, options=stages)
    if experiment.b.pipeline:
        _fuse_by_default(client, physical, experiment.b.pipeline)


def _finish_build(client: Any, experiment: Experiment, options: PromoteOptions) -> None:
    """What was written since is added, then the alias moves: the build's own last steps."""
    a = read_index_info(client, experiment.a.physical)
    b = read_index_info(client, experiment.b.physical)
    job = ReindexJob(
        index=experiment.index,
        version=_version(client, experiment),
        dense=_model(a, b, "dense"),
        sparse=_model(a, b, "sparse"),
        load=stored_options(b, options.load),
    )
    events = ReindexEvents(stage=lambda _, line: options.stage(line))
    report = reindex(client, job, events)
    if report.after != experiment.b.physical:
        msg = (
            f"{experiment.index!r} is {report.after} now, not {experiment.b.physical}: the build "
            "was not the one that was compared"
        )
        raise ExperimentError(msg)


def _version(client: Any, experiment: Experiment) -> str:
    versions = index_versions(client, experiment.index)
    return next(v.version for v in versions if v.physical == experiment.b.physical)


def _model(a: IndexInfo, b: IndexInfo, leg: str) -> str | None:
    """As ``ReindexJob`` names it: nothing for a leg that was copied."""
    before, after = getattr(a, leg), getattr(b, leg)
    if after is None:
        return "none" if before is not None else None
    return None if before == after else str(after.model)


def _fuse_by_default(client: Any, physical: str, pipeline: str) -> None:
    with translated(f"naming the search pipeline of {physical}"):
        client.indices.put_settings(
            index=physical, body={"index.search.default_pipeline": pipeline}
        )
