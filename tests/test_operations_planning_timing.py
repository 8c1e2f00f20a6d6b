from dataclasses import replace

import pytest
from test_operations_planning_sizing import CORPUS, DENSE

from operations.planning.candidates import Candidate
from operations.planning.constants import (
    REFERENCE,
    Constants,
    merged,
    read_constants,
    write_constants,
)
from operations.planning.errors import PlanningError
from operations.planning.planner import Gpu, Terms, cost_of, make_plan
from operations.planning.rendering import duration, explanation, strategy_table, table, volume
from operations.planning.timing import build_seconds, building, strategies

CONSTANTS = Constants(
    source="a test",
    start_s=0.5,
    load_s={"m": 0.5},
    survey_s_per_byte={"dense": 1e-6, "plain": 1e-6},
    chunk_s_per_byte={"dense": 2e-6, "plain": 2e-6},
    dense_s_per_token={"m": 1e-4},
    sparse_s_per_token={"s": 1e-5},
    write_s_per_byte=1e-6,
    write_s_per_component=1e-6,
    write_s_per_entry=1e-6,
    seismic_s_per_entry=2e-6,
    parallel={"dense": 2.0, "plain": 1.5},
    query_ms={"bm25": 1.0, "dense": 2.0, "rank_features": 3.0},
)
BOTH = replace(DENSE, sparse="s")


def seconds(candidate, constants=CONSTANTS):
    return {line.what: line.amount for line in building(CORPUS, candidate, constants)}


def test_parts_of_a_build():
    found = seconds(BOTH)
    assert found["survey"] == pytest.approx(0.5)
    assert found["reading and chunking"] == pytest.approx(1.0)
    assert found["dense encoding (m)"] == pytest.approx(12.0)
    assert found["sparse encoding (s)"] == pytest.approx(1.2)
    assert found["writing vectors"] == pytest.approx(0.384)
    assert found["writing token weights"] == pytest.approx(0.05)
    assert seconds(replace(BOTH, sparse_field="seismic"))["writing token weights"] == pytest.approx(
        0.1
    )
    assert seconds(replace(BOTH, replicas=1))["writing vectors"] == pytest.approx(0.768)


def test_the_longest_stage_is_the_least_and_the_work_is_shared():
    found = seconds(BOTH)
    first = 1.0 + found["survey"] + found["range of scores"]
    stages = [1.0, 13.2, sum(v for k, v in found.items() if k.startswith("writing"))]
    assert build_seconds(CORPUS, BOTH, CONSTANTS) == pytest.approx(first + 13.2)
    slow = replace(CONSTANTS, parallel={"dense": 1.0})
    assert build_seconds(CORPUS, BOTH, slow) == pytest.approx(first + sum(stages))


def test_strategies():
    full, dual, incremental = strategies(CORPUS, BOTH, CONSTANTS, size=100.0, changed=0.1)
    assert full.seconds == dual.seconds == build_seconds(CORPUS, BOTH, CONSTANTS)
    assert (full.outage_s, dual.outage_s, incremental.outage_s) == (full.seconds, 0, 0)
    assert (full.extra_bytes, dual.extra_bytes, incremental.extra_bytes) == (0, 100, 10)
    assert 1.0 < incremental.seconds < 0.3 * full.seconds


def test_a_gpu_is_arithmetic():
    cost = cost_of(CORPUS, BOTH, Terms(CONSTANTS, gpu=Gpu(parameters=1e7, tflops=1.0)))
    assert cost.gpu_encode_s == pytest.approx(2 * 1e7 * 120_000 / 1e12)
    assert cost_of(CORPUS, Candidate(), Terms(CONSTANTS, gpu=Gpu(1e7, 1.0))).gpu_encode_s is None


def test_a_plan_says_what_was_not_measured():
    stranger = replace(BOTH, dense="other", sparse_field="seismic", vectors="32x")
    corpora = {Candidate(): CORPUS, BOTH: CORPUS, stranger: CORPUS}
    plan = make_plan(corpora, Terms(CONSTANTS), sampled=100)
    assert [line.partition(" ")[0] for line in plan.missing] == ["other"]
    heads, rows = table(plan)
    assert len({len(row) for row in [heads, *rows]}) == 1
    assert rows[1][-1] == "6.0 ms"
    assert rows[2][0].endswith(" *") and rows[2][3] == "?" and rows[2][-1] == "?"
    value = plan.as_dict()
    assert value["candidates"][2]["encode_s"] is None
    assert value["candidates"][2]["buildable"] is False
    assert value["chunks"] == 1000
    for candidate in value["candidates"]:
        lines = candidate["lines"]["disk"]
        assert candidate["disk_bytes"] == round(sum(line["amount"] for line in lines))


def test_copies_are_counted():
    one = cost_of(CORPUS, BOTH, Terms(CONSTANTS))
    two = cost_of(CORPUS, replace(BOTH, replicas=1), Terms(CONSTANTS))
    assert two.disk_bytes == pytest.approx(2 * one.disk_bytes)
    assert two.memory_bytes == pytest.approx(2 * one.memory_bytes)


def test_an_explanation_adds_up():
    cost = cost_of(CORPUS, BOTH, Terms(CONSTANTS))
    text = "\n".join(explanation(cost))
    for line in (*cost.disk, *cost.memory, *cost.building, *cost.query):
        assert line.what in text and line.formula in text
    assert volume(cost.disk_bytes) in text
    heads, rows = strategy_table(cost)
    assert [row[0] for row in rows] == ["full", "dual", "incremental"]
    assert all(len(row) == len(heads) for row in rows)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (3 * 2**40, "3.0 TiB")]
)
def test_bytes_for_people(size, text):
    assert volume(size) == text


@pytest.mark.parametrize(("value", "text"), [(1.26, "1.3 s"), (600, "10.0 min"), (9000, "2.5 h")])
def test_seconds_for_people(value, text):
    assert duration(value) == text


def test_constants_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))
    assert read_constants() is REFERENCE
    path = write_constants(CONSTANTS)
    assert read_constants() == CONSTANTS
    assert [file.name for file in path.parent.iterdir()] == ["constants.json"]
    path.write_text("{}")
    with pytest.raises(PlanningError, match="--measure"):
        read_constants()


def test_models_measured_earlier_are_kept():
    new = replace(CONSTANTS, dense_s_per_token={"n": 1.0}, write_s_per_component=0.0)
    both = merged(CONSTANTS, new)
    assert dict(both.dense_s_per_token) == {"m": 1e-4, "n": 1.0}
    assert both.write_s_per_component == 1e-6
    assert merged(REFERENCE, new) == new
