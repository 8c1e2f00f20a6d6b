"""Start an experiment: find its arms, make its plan, and write it down."""

import math
import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ingest.masking import mask_text
from opensearch.index_info import IndexInfo, read_index_info
from operations.experiments.errors import ExperimentError, RunningExperimentError
from operations.experiments.experiment import (
    PREFERENCE,
    SPLIT_METRICS,
    Arm,
    Experiment,
    Method,
    Phase,
    Plan,
)
from operations.experiments.report import spent_up_to
from operations.experiments.store import ExperimentStore, Stored
from operations.reindexing.catalogue import IndexVersion, index_versions

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What to start.

    Attributes:
        index: Logical name of the index.
        b: Version or physical index of arm B; ``None``: the one that the alias serves.
        pipeline: Search pipeline that fuses arm B.
        dense_model: Model of the cluster that encodes the dense queries of arm B.
        sparse_model: The same for the sparse ones.
        share: Share of the users that see arm B, or both arms interleaved.
        method: How the arms are compared.
        name: Of the experiment; by default the index's with a number.
    """

    index: str
    b: str | None = None
    pipeline: str | None = None
    dense_model: str | None = None
    sparse_model: str | None = None
    share: float = 0.1
    method: Method = "split"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """An experiment that runs.

    Attributes:
        experiment: It.
        change: What this start did: ``started``, ``share changed``, or ``unchanged``.
    """

    experiment: Experiment
    change: str


def start(client: Any, request: StartRequest, plan: Plan) -> Started:
    """Start an experiment; the same one again changes at most its share.

    A changed share begins a new phase: users that moved from A to B would otherwise count for both,
    and days with different shares be mixed. The phase has what error is left.

    Args:
        client: The client.
        request: Arms and share.
        plan: What is looked for.

    Raises:
        RunningExperimentError: Another experiment runs on the index.
        ExperimentError: The arms are the same, or there is no such version.
        ChangedMeanwhileError: Somebody else started one at the same moment.
    """
    _check(request, plan)
    store = ExperimentStore(client)
    a, b = find_arms(client, request)
    before = store.on_index(request.index)
    if before is not None and before.experiment.running:
        return _again(store, before.experiment, request, (a, b))
    now = datetime.now(UTC)
    experiment = Experiment(
        name=request.name or _new_name(store, request.index),
        index=request.index,
        method=request.method,
        a=a,
        b=b,
        salt=secrets.token_hex(8),
        created=now,
        plan=plan,
        phases=(Phase(now, request.share, plan.alpha),),
    )
    _refuse_used_name(store, experiment, before)
    store.start(experiment, before)
    return Started(experiment, "started")


def find_arms(client: Any, request: StartRequest) -> tuple[Arm, Arm]:
    """What the alias serves, and what it is to be compared with.

    Raises:
        ExperimentError: There is no such version, it is not complete, or it is arm A itself.
        IndexNotFoundError: There is no such index.
    """
    info = read_index_info(client, request.index)
    if info.physical == info.name:
        msg = f"{info.name!r} is a physical index; experiments are about the alias of its versions"
        raise ExperimentError(msg)
    physical = info.physical
    if request.b is not None:
        physical = _version(index_versions(client, request.index), request).physical
    b = Arm(physical, request.pipeline, request.dense_model, request.sparse_model)
    if b == Arm(info.physical):
        msg = (
            f"arm B is what {request.index!r} serves already ({info.physical}); name another "
            f"version (`tandem versions {request.index}` lists them), a pipeline or a model"
        )
        raise ExperimentError(msg)
    if request.pipeline is not None:
        _check_pipeline(client, request.pipeline, read_index_info(client, physical))
    return Arm(info.physical), b


def _version(versions: list[IndexVersion], request: StartRequest) -> IndexVersion:
    wanted = request.b or ""
    found = [v for v in versions if wanted in (v.physical, v.version, f"v{v.version}")]
    complete = [v for v in found if v.state != "building"]
    if complete:
        return max(complete, key=lambda v: v.number)
    there = ", ".join(v.physical for v in versions)
    if found:
        msg = (
            f"{found[0].physical} is still being built; finish it with `tandem reindex … --no-swap`"
        )
    else:
        msg = f"{request.index!r} has no version {wanted!r}; there are {there}"
    raise ExperimentError(msg)


def _check_pipeline(client: Any, pipeline: str, info: IndexInfo) -> None:
    from opensearch.pipeline_files.cluster import read_pipelines

    if info.seismic or info.portable:
        msg = f"the legs of {info.physical} are fused here, not in the cluster, by no pipeline"
        raise ExperimentError(msg)
    if pipeline not in read_pipelines(client, "search", pipeline):
        msg = f"the cluster has no search pipeline {pipeline!r}"
        raise ExperimentError(msg)


def _check(request: StartRequest, plan: Plan) -> None:
    if not 0 < request.share < 1 and not (request.method == "interleaving" and request.share == 1):
        msg = f"the share must lie between 0 and 100 %, not at {100 * request.share:g} %"
        raise ExperimentError(msg)
    allowed = (PREFERENCE,) if request.method == "interleaving" else SPLIT_METRICS
    if plan.metric not in allowed:
        msg = f"the metric of {request.method} is one of {', '.join(allowed)}, not {plan.metric}"
        raise ExperimentError(msg)
    name = request.name
    if name is not None and (not _NAME.fullmatch(name) or mask_text(name).text != name):
        msg = (
            f"{name!r} is no name for an experiment: lower-case letters, digits, dots and dashes, "
            "and nothing that looks like personal data, which the log would mask"
        )
        raise ExperimentError(msg)


def _again(
    store: ExperimentStore, running: Experiment, request: StartRequest, arms: tuple[Arm, Arm]
) -> Started:
    same = (running.b, running.method) == (arms[1], request.method)
    if not same or request.name not in (None, running.name):
        msg = (
            f"the experiment {running.name} runs on {running.index!r} already "
            f"({running.a.label()} against {running.b.label()}, {running.method}); end it first: "
            f"`tandem ab stop {running.index}` or `tandem ab promote {running.index}`"
        )
        raise RunningExperimentError(msg)
    if running.share == request.share:
        return Started(running, "unchanged")
    changed = store.change(running.name, lambda found: with_share(found, request.share))
    return Started(changed, "share changed")


def with_share(experiment: Experiment, share: float) -> Experiment:
    """The experiment in a new phase; error that was spent stays spent.

    The planned users of a split change with it: their arms are the most even at a half.

    Raises:
        ExperimentError: The experiment has used up its error, or has come to a verdict.
    """
    if experiment.share == share:
        return experiment
    left = experiment.phase.alpha - spent_up_to(experiment)
    if left <= 0 or (experiment.looks and experiment.looks[-1].verdict != "keep running"):
        msg = (
            f"{experiment.name} has come to its verdict; a new share needs a new experiment "
            f"(`tandem ab stop {experiment.index}`, then `tandem ab start`)"
        )
        raise ExperimentError(msg)
    phase = Phase(datetime.now(UTC), share, left)
    plan = experiment.plan
    if experiment.method == "split":
        before = experiment.share
        factor = before * (1 - before) / (share * (1 - share))
        plan = replace(plan, planned_users=math.ceil(plan.planned_users * factor))
    return replace(experiment, plan=plan, phases=(*experiment.phases, phase), looks=())


def _new_name(store: ExperimentStore, index: str) -> str:
    taken = {one.name for one in store.all()}
    numbers = (f"{index}-ab{number}" for number in range(1, len(taken) + 2))
    return next(name for name in numbers if name not in taken)


def _refuse_used_name(
    store: ExperimentStore, experiment: Experiment, before: Stored | None
) -> None:
    used = {one.name for one in store.all()} | ({before.experiment.name} if before else set())
    if experiment.name in used:
        msg = f"there was an experiment {experiment.name!r} already; its log would be mixed in"
        raise ExperimentError(msg)
