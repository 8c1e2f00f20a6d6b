from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.errors import EvaluationError
from training.evaluation.runs import (
    load_jsonl,
    load_trec,
    rank_preserving,
    ranked,
    relevant_ranks,
    save_jsonl,
    save_trec,
)

TIED = {"q1": {"b": 0.5, "a": 0.5, "c": 0.5}, "q2": {"z": 2.0, "y": -1.0}}


def test_a_document_keeps_its_best_place() -> None:
    assert list(ranked([("a", 3.0), ("b", 2.0), ("a", 1.0)]).items()) == [("a", 3.0), ("b", 2.0)]


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_must_be_numbers(score: float) -> None:
    with pytest.raises(EvaluationError, match="finite"):
        ranked([("a", score)])


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=60))
def test_rank_preserving_scores_fall_strictly_in_single_precision(scores: list[float]) -> None:
    falling = np.array(rank_preserving(scores), dtype=np.float32)
    assert falling.size == len(scores)
    assert np.all(np.diff(falling) < 0)


def test_falling_scores_are_left_alone() -> None:
    assert rank_preserving([3.5, 1.25, -2.0]) == [3.5, 1.25, -2.0]


def test_trec_keeps_the_order_of_ties(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    save_trec(TIED, path, tag="hybrid")
    first = path.read_text().splitlines()[0].split()
    assert first == ["q1", "Q0", "b", "1", "0.5", "hybrid"]
    loaded = load_trec(path)
    assert {q: list(hits) for q, hits in loaded.items()} == {
        "q1": ["b", "a", "c"],
        "q2": ["z", "y"],
    }
    assert loaded["q2"] == {"z": 2.0, "y": -1.0}


def test_trec_is_read_by_score_then_rank(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("q Q0 low 1 0.1 t\nq Q0 tie2 3 0.9 t\nq Q0 tie1 2 0.9 t\n")
    assert list(load_trec(path)["q"]) == ["tie1", "tie2", "low"]


def test_white_space_in_ids_does_not_break_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    save_trec({"q 1": {"terms of use.md": 1.0}}, path)
    assert load_trec(path) == {"q_1": {"terms_of_use.md": 1.0}}


@pytest.mark.parametrize(
    "line", ["q Q0 d 1 0.5", "q Q0 d first 0.5 t", "q Q0 d 1 0.5 t\nq Q0 d 2 0.4 t"]
)
def test_a_bad_trec_file_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(line + "\n")
    with pytest.raises(EvaluationError, match=r"run\.trec"):
        load_trec(path)


def test_jsonl_round_trip_is_exact(tmp_path: Path) -> None:
    run = {**TIED, "질의 1": {"문서 1": 0.1 + 0.2}, "empty": {}}
    save_jsonl(run, tmp_path / "run.jsonl")
    loaded = load_jsonl(tmp_path / "run.jsonl")
    assert loaded == run
    assert [list(hits) for hits in loaded.values()] == [list(hits) for hits in run.values()]


@pytest.mark.parametrize("line", ["{", '{"query_id": "q"}', '{"query_id": "q", "hits": [["a"]]}'])
def test_a_bad_jsonl_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"query_id": "ok", "hits": []}\n' + line + "\n")
    with pytest.raises(EvaluationError, match=r"run\.jsonl:2"):
        load_jsonl(path)


def test_ranks_of_relevant_documents_best_grade_first() -> None:
    hits = {"x": 3.0, "a": 2.0, "b": 1.0}
    ranks = relevant_ranks(hits, {"a": 1, "b": 2, "missed": 3, "junk": 0})
    assert list(ranks.items()) == [("missed", (3, None)), ("b", (2, 3)), ("a", (1, 2))]
