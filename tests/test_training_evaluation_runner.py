import json
import threading
import time

import pytest
from training_evaluation_samples import (
    noisy_search,
    single_query,
    synthetic_modes,
    synthetic_report,
    synthetic_set,
)

from training.errors import EvaluationError
from training.evaluation.datasets import JudgedQueries, Query
from training.evaluation.metrics import MEASURES
from training.evaluation.report import Context
from training.evaluation.runner import Load, Searched, compare_modes, run_mode
from training.evaluation.storage import per_query_records


def test_queries_are_sent_in_file_order_after_an_uncounted_warm_up() -> None:
    judged = synthetic_set(4)
    asked = []

    def search(text: str) -> Searched:
        asked.append(text)
        return Searched([], 1.0, 2.0)

    steps = []
    result = run_mode(
        judged,
        search,
        load=Load(warm_up=2),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert asked == ["0", "1", "0", "1", "2", "3"]
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert result.total_ms == [3.0] * 4
    assert (result.latency.p50, result.encode_latency.max, result.search_latency.max) == (3, 1, 2)


def test_a_mode_is_scored_and_passages_of_one_document_count_once() -> None:
    result = single_query("fees?", ["other", "other", "good"])
    assert list(result.run["q"]) == ["other", "good"]
    assert result.evaluated.aggregate["mrr@10"] == 0.5


def test_threads_keep_the_order_and_run_together() -> None:
    judged = synthetic_set(8)
    together = threading.Barrier(4, timeout=5)

    def search(text: str) -> Searched:
        together.wait()
        time.sleep(0.01 * (int(text) % 3))
        return Searched([(f"answer-{text}", 1.0)], 0.0, 1.0)

    result = run_mode(judged, search, load=Load(warm_up=0, threads=4))
    assert [next(iter(hits)) for hits in result.run.values()] == [f"answer-{i}" for i in range(8)]
    assert result.queries_per_second > 0


@pytest.mark.parametrize("threads", [1, 3])
def test_a_failing_search_fails_the_evaluation(threads: int) -> None:
    def search(text: str) -> Searched:
        if text == "5":
            message = "node gone"
            raise ConnectionError(message)
        return Searched([], 0.0, 1.0)

    with pytest.raises(ConnectionError, match="node gone"):
        run_mode(synthetic_set(10), search, load=Load(warm_up=0, threads=threads))


@pytest.mark.parametrize("bad", [{"warm_up": -1}, {"threads": 0}])
def test_impossible_loads_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(EvaluationError, match="threads"):
        Load(**bad)


def test_the_json_form() -> None:
    report = synthetic_report(settings={"weights": {"bm25": 0.3}}, warnings=("Known fault.",))
    body = json.loads(json.dumps(report.as_dict()))
    assert list(body)[:3] == ["index", "queries", "modes"]
    assert (body["index"], body["queries"], body["dataset"]) == ("bank", 60, "synthetic/test")
    assert list(body["modes"]) == ["bm25", "dense", "sparse", "hybrid"]
    for mode in body["modes"].values():
        assert set(MEASURES) <= set(mode)
        assert all(0 <= mode[metric] <= 1 for metric in MEASURES)
        assert set(mode["latency_ms"]) == {"p50", "p90", "p95", "p99", "mean", "max"}
    assert body["timestamp"] == "2026-11-21T00:00:00+00:00"
    assert body["settings"] == {"weights": {"bm25": 0.3}}
    assert body["warnings"][0] == "Known fault."
    assert "python" in body["versions"]


def test_every_mode_is_compared_with_the_baseline_and_hybrid_with_its_best_leg() -> None:
    report = synthetic_report()
    compared = {(c.system, c.baseline) for c in report.comparisons}
    assert compared == {
        ("dense", "bm25"),
        ("sparse", "bm25"),
        ("hybrid", "bm25"),
        ("hybrid", "dense"),
    }
    assert report.best_leg == "dense"
    assert report.best_mode == "hybrid"
    assert report.comparison("hybrid").verdict() == "better"
    assert report.comparison("dense", baseline="sparse") is None
    assert report.headline().startswith(
        "Over 60 judged queries of synthetic/test, hybrid ranks best: NDCG@10 "
    )
    assert "Against the best single leg, hybrid" in report.headline()


def test_the_baseline_is_bm25_if_there_else_the_first_and_must_exist() -> None:
    modes = synthetic_modes(synthetic_set(5))
    assert compare_modes(modes).baseline == "bm25"
    assert compare_modes({"dense": modes["dense"], "hybrid": modes["hybrid"]}).baseline == "dense"
    assert compare_modes(modes, "sparse").comparison("bm25").baseline == "sparse"
    with pytest.raises(EvaluationError, match="'bm26' was not run; modes there: bm25, dense"):
        compare_modes(modes, "bm26")
    with pytest.raises(EvaluationError, match="no mode"):
        compare_modes({})


def test_a_single_mode_makes_a_report_without_comparisons() -> None:
    report = compare_modes({"hybrid": single_query("fees?", ["good"])})
    assert report.comparisons == ()
    assert report.best_leg is None
    assert report.headline() == "Over 1 judged queries, hybrid ranks best: NDCG@10 1.000."


def test_modes_over_different_queries_are_refused() -> None:
    mixed = {
        "bm25": synthetic_modes(synthetic_set(5))["bm25"],
        "dense": synthetic_modes(synthetic_set(6))["dense"],
    }
    with pytest.raises(EvaluationError, match="different queries"):
        compare_modes(mixed)


def test_when_the_baseline_is_best_and_a_rival_is_within_noise_it_says_so() -> None:
    modes = {"bm25": single_query("x", ["good"]), "dense": single_query("x", ["no", "good"])}
    assert "The distance to dense is within noise." in compare_modes(modes).headline()


def test_warnings_of_what_a_reader_must_know() -> None:
    queries = {f"q{i}": Query(f"q{i}", str(i)) for i in range(3)}
    qrels = {"q0": {"good": 1}, "q1": {"good": 1}, "q2": {"bad": 0}}
    judged = JudgedQueries(queries, qrels)
    note = "left out, the encoder does not know this language"

    def bm25(text: str) -> Searched:
        return Searched([("good", 1.0)] if text == "0" else [], 0.0, 1.0)

    def hybrid(_: str) -> Searched:
        return Searched([], 0.0, 1.0, notes=(note,))

    report = compare_modes({"bm25": run_mode(judged, bm25), "hybrid": run_mode(judged, hybrid)})
    warnings = "\n".join(report.warnings)
    assert "1 judged queries are left out: no relevant document." in warnings
    assert "Only 2 queries" in warnings
    assert f"hybrid: {note} (2 of 2 queries)." in warnings
    assert "bm25: 1 of 2 queries found nothing" in warnings
    assert "at depth 1;" in warnings
    assert "hybrid is below its best leg, bm25, by 0.500 NDCG@10 (within noise)" in warnings


def test_a_sound_report_has_no_warnings() -> None:
    assert synthetic_report().warnings == []


def test_results_per_query() -> None:
    report = synthetic_report(count=3)
    record = next(per_query_records(report))
    assert record["query_id"] == "q0"
    assert record["relevant"] == report.judged.qrels["q0"]
    assert set(record["modes"]) == {"bm25", "dense", "sparse", "hybrid"}
    bm25 = record["modes"]["bm25"]
    assert len(bm25["hits"]) == 10
    assert set(bm25["metrics"]) == set(MEASURES)


def test_a_large_evaluation_is_quick() -> None:
    judged = synthetic_set(1_600)
    searches = {
        mode: noisy_search(judged, skill)
        for mode, skill in {"bm25": 0.4, "dense": 0.5, "sparse": 0.45, "hybrid": 0.6}.items()
    }
    started = time.process_time()
    results = {mode: run_mode(judged, search) for mode, search in searches.items()}
    report = compare_modes(results, context=Context(index="large"))
    assert len(report.comparisons) == 12
    # Processor time, not wall time: other work on the machine must not fail the test.
    assert time.process_time() - started < 10
