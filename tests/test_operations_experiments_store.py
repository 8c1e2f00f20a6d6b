"""Experiments in the cluster's memory: one runs per index, and two writers do not overwrite."""

from dataclasses import replace
from typing import Any

import pytest
from experiment_samples import MemoryCluster, experiment

from operations.experiments import ending, starting
from operations.experiments.ending import PromoteOptions, promote, stop
from operations.experiments.errors import (
    ChangedMeanwhileError,
    ExperimentError,
    NoExperimentError,
    RunningExperimentError,
)
from operations.experiments.experiment import Arm
from operations.experiments.starting import StartRequest, start
from operations.experiments.store import ExperimentStore, index_body
from operations.reindexing.catalogue import IndexVersion


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    """Versions 1 (current), 2 (ready) and 3 (being built) of docs."""
    memory = MemoryCluster()
    memory.serving = "docs-v1-1"
    memory.moves = []

    def info(_: Any, name: str) -> Any:
        physical = memory.serving if name == "docs" else name
        return type("Info", (), {"name": name, "physical": physical, "seismic": None})()

    def versions(_: Any, name: str) -> list[IndexVersion]:
        states = {1: "old", 2: memory.state_of_b, 3: "building"}
        return [
            IndexVersion(p, str(n), 1, p == memory.serving, s, 9, 9, "2026", None, None)
            for n, s in states.items()
            for p in [f"{name}-v{n}-1"]
            for s in ["current" if p == memory.serving else s]
        ]

    def swap(_: Any, name: str, physical: str) -> None:
        memory.moves.append(physical)
        memory.serving = physical

    memory.state_of_b = "ready"
    for module in (starting, ending):
        monkeypatch.setattr(module, "read_index_info", info)
        monkeypatch.setattr(module, "index_versions", versions)
    monkeypatch.setattr(ending, "swap", swap)
    monkeypatch.setattr(ending, "rollback", lambda c, n, to, options: swap(c, n, to))
    return memory


PLAN = experiment().plan
REQUEST = StartRequest("docs", b="2", share=0.1)


def test_start_is_idempotent_and_changes_at_most_the_share(cluster: MemoryCluster) -> None:
    first = start(cluster, REQUEST, PLAN)
    assert first.change == "started"
    assert (first.experiment.a, first.experiment.b) == (Arm("docs-v1-1"), Arm("docs-v2-1"))
    assert first.experiment.name == "docs-ab1"
    again = start(cluster, replace(REQUEST, b="docs-v2-1"), PLAN)
    assert (again.change, again.experiment) == ("unchanged", first.experiment)
    more = start(cluster, replace(REQUEST, share=0.5), PLAN)
    assert more.change == "share changed"
    assert [phase.share for phase in more.experiment.phases] == [0.1, 0.5]
    assert more.experiment.salt == first.experiment.salt
    assert ExperimentStore(cluster).running("docs") == more.experiment


def test_one_experiment_runs_per_index(cluster: MemoryCluster) -> None:
    start(cluster, REQUEST, PLAN)
    other = replace(REQUEST, method="interleaving")
    with pytest.raises(RunningExperimentError, match="tandem ab stop docs"):
        start(cluster, other, replace(PLAN, metric="preference"))
    with pytest.raises(RunningExperimentError):
        start(cluster, replace(REQUEST, name="another"), PLAN)
    stop(cluster, "docs")
    second = start(cluster, REQUEST, PLAN).experiment
    assert second.name == "docs-ab2"
    assert second.salt != ExperimentStore(cluster).find("docs-ab1").experiment.salt
    assert {one.name: one.status for one in ExperimentStore(cluster).all()} == {
        "docs-ab1": "stopped",
        "docs-ab2": "running",
    }


def test_of_two_starts_at_once_one_is_refused(cluster: MemoryCluster) -> None:
    cluster.before_write = lambda: start(cluster, replace(REQUEST, name="quicker"), PLAN)
    with pytest.raises(ChangedMeanwhileError):
        start(cluster, REQUEST, PLAN)
    running = ExperimentStore(cluster).running("docs")
    assert running is not None
    assert running.name == "quicker"


def test_a_change_is_made_again_behind_another_one(cluster: MemoryCluster) -> None:
    start(cluster, REQUEST, PLAN)
    cluster.before_write = lambda: start(cluster, replace(REQUEST, share=0.5), PLAN)
    ended = stop(cluster, "docs")
    assert (ended.status, ended.share) == ("stopped", 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"b": "7"}, "has no version '7'; there are docs-v1-1, docs-v2-1"),
        ({"b": "3"}, "still being built"),
        ({"b": "1"}, "serves already"),
        ({"share": 1.0}, "between 0 and 100 %"),
        ({"name": "Docs!"}, "is no name"),
        ({"name": "010-1234-5678"}, "personal data"),
        ({"method": "interleaving"}, "one of preference"),
    ],
)
def test_what_is_refused(cluster: MemoryCluster, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        start(cluster, replace(REQUEST, **change), PLAN)
    assert not cluster.documents


def test_names_are_not_used_again(cluster: MemoryCluster) -> None:
    start(cluster, replace(REQUEST, name="colours"), PLAN)
    stop(cluster, "colours")
    with pytest.raises(ExperimentError, match="was an experiment 'colours'"):
        start(cluster, replace(REQUEST, name="colours"), PLAN)


@pytest.mark.parametrize("state", ["old", "ready"])
def test_promote_moves_the_alias_once(cluster: MemoryCluster, state: str) -> None:
    cluster.state_of_b = state
    start(cluster, REQUEST, PLAN)
    options = PromoteOptions(catch_up=state == "old")
    promoted = promote(cluster, "docs", options)
    assert promoted.status == "promoted"
    assert cluster.moves == ["docs-v2-1"]
    # Somebody deploys something else later: a second promote must not take that back.
    cluster.serving = "docs-v4-1"
    assert promote(cluster, "docs-ab1", options) == promoted
    assert cluster.moves == ["docs-v2-1"]
    with pytest.raises(ExperimentError, match="tandem rollback docs"):
        stop(cluster, "docs")


def test_promote_goes_on_after_a_crash_behind_the_swap(cluster: MemoryCluster) -> None:
    start(cluster, REQUEST, PLAN)
    cluster.serving = "docs-v2-1"
    assert promote(cluster, "docs").status == "promoted"
    assert cluster.moves == []


def test_what_is_not_promoted(cluster: MemoryCluster) -> None:
    start(cluster, REQUEST, PLAN)
    cluster.serving = "docs-v9-1"
    with pytest.raises(ExperimentError, match="which is neither arm"):
        promote(cluster, "docs")
    assert stop(cluster, "docs") == stop(cluster, "docs")
    with pytest.raises(ExperimentError, match="was stopped"):
        promote(cluster, "docs")
    with pytest.raises(NoExperimentError, match="tandem ab list"):
        promote(cluster, "nothing")


def test_arms_by_model_are_ended_by_hand(cluster: MemoryCluster) -> None:
    start(cluster, replace(REQUEST, b=None, dense_model="e5"), PLAN)
    with pytest.raises(ExperimentError, match="tandem pipelines apply"):
        promote(cluster, "docs")


def test_the_mapping_knows_every_field_and_refuses_others() -> None:
    mappings = index_body()["mappings"]
    assert mappings["dynamic"] == "strict"
    document = replace(experiment()).ends("stopped", "why").as_document()
    assert set(document) == set(mappings["properties"])
    assert set(document["plan"]) == set(mappings["properties"]["plan"]["properties"])
    assert set(document["a"]) == set(mappings["properties"]["a"]["properties"])
    assert set(document["phases"][0]) == set(mappings["properties"]["phases"]["properties"])
