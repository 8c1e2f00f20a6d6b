import json

import pytest
from training_dense_samples import write_set

from training.config import EvaluationSet, TrainSet
from training.data.records import TrainingRecord
from training.dense.examples import (
    ExampleOptions,
    LeakError,
    Survey,
    build_examples,
    normalised,
    refuse_leaks,
    rows,
    survey,
    weights_of,
)
from training.dev_sets import load_sets
from training.errors import TrainingError

OPTIONS = ExampleOptions(negatives=2, objective="contrastive", seed=0)
RECORDS = [
    TrainingRecord("first", ("a", "b"), ("x", "y", "z")),
    TrainingRecord("second", ("c",), ("w",)),
    TrainingRecord("third", ("d",)),
]


def made(records, **changes):
    options = ExampleOptions(**{"negatives": 2, "objective": "contrastive", "seed": 0, **changes})
    return list(rows(records, survey(records, options), options))


def test_each_relevant_text_is_a_row_with_negatives_of_its_own():
    found = made(RECORDS)
    assert [row["positive"] for row in found] == ["a", "b", "c", "d"]
    assert {found[0]["negative_1"], found[0]["negative_2"]} < {"x", "y", "z"}
    assert found[0]["negative_1"] != found[0]["negative_2"]


def test_missing_negatives_are_positives_of_other_queries():
    second, third = made(RECORDS)[2:]
    assert second["negative_1"] == "w"
    assert second["negative_2"] in {"a", "d"}
    assert {third["negative_1"], third["negative_2"]} <= {"a", "c"}


def test_without_any_negatives_there_are_pairs():
    assert made([TrainingRecord("q", ("a",))]) == [{"query": "q", "positive": "a"}]


def test_the_seed_decides():
    assert made(RECORDS, seed=1) == made(RECORDS, seed=1)
    assert any(made(RECORDS, seed=1) != made(RECORDS, seed=seed) for seed in range(2, 8))


def test_scores_become_labels():
    record = TrainingRecord("q", ("a",), ("x", "y"), (9.0,), (2.0, 2.0))
    assert made([record], objective="margin-mse")[0]["label"] == [7.0, 7.0]
    assert made([record], objective="kl")[0]["label"] == [9.0, 2.0, 2.0]


def test_a_scored_record_gets_no_text_without_a_score():
    record = TrainingRecord("q", ("a",), ("x",), (9.0,), (2.0,))
    other = TrainingRecord("r", ("b",), ("y",), (8.0,), (1.0,))
    first = made([record, other], objective="kl")[0]
    assert (first["negative_1"], first["negative_2"]) == ("x", "x")


def test_records_without_scores_cannot_be_distilled(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({"query": "q", "pos": ["a"], "neg": ["b"]}) + "\n")
    options = ExampleOptions(negatives=1, objective="kl", seed=0)
    with pytest.raises(TrainingError, match="0 of 1 records carry a teacher's scores"):
        build_examples([TrainSet(path=path)], options, tmp_path / "rows")


def test_the_pool_of_negatives_stays_small():
    records = (TrainingRecord(f"q{i}", (f"text {i}",)) for i in range(5_000))
    found = survey(records, OPTIONS)
    assert found.records == 5_000
    assert len(found.pool) == 1_000
    late = sum(int(text.split()[1]) >= 2_500 for text in found.pool)
    assert 400 < late < 600  # an even sample, not the first thousand


def test_a_leak_is_seen_through_case_and_signs(tmp_path):
    dev = load_sets([EvaluationSet(path=write_set(tmp_path), split="dev")], 0)
    text = dev[0].query_texts[0]
    options = ExampleOptions(negatives=1, objective="contrastive", seed=0, evaluation=dev)
    leaking = survey([TrainingRecord(f"  {text.upper()} ?!", ("a",))], options)
    with pytest.raises(LeakError, match=r"1 training queries are evaluation queries.*--allow-leak"):
        refuse_leaks([leaking], options)
    refuse_leaks([survey(RECORDS, options)], options)
    allowed = ExampleOptions(1, "contrastive", 0, dev, allow_leak=True)
    refuse_leaks([leaking], allowed)


def test_identity_of_a_text():
    assert normalised("Ｆｅｅ  of\tthe CARD?") == normalised("fee of the card")
    assert normalised("연회비는?") == "연회비는"
    assert normalised("fee 1") != normalised("fee 2")


def test_rows_are_on_disk_and_new_data_makes_new_rows(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({"query": "q", "pos": ["a"], "neg": ["b"]}) + "\n")
    first = build_examples([TrainSet(path=path)], OPTIONS, tmp_path / "rows")
    assert list(first) == ["1-records"]
    assert first["1-records"].column_names == ["query", "positive", "negative_1", "negative_2"]
    assert first["1-records"].cache_files
    path.write_text(path.read_text() * 3)
    assert len(build_examples([TrainSet(path=path)], OPTIONS, tmp_path / "rows")["1-records"]) == 3


def sets(*weights):
    return [TrainSet(path="x", weight=weight) for weight in weights]


def test_shares_of_sets():
    assert weights_of(sets(None, None), [30, 10]) == [0.75, 0.25]
    assert weights_of(sets(2, 6), [1, 1]) == [0.25, 0.75]
    assert weights_of(sets(0.5, None, None), [9, 30, 10]) == [0.5, 0.375, 0.125]
    with pytest.raises(TrainingError, match="leave nothing"):
        weights_of(sets(1.0, None), [1, 1])


def test_a_survey_counts():
    assert survey(RECORDS, OPTIONS) == Survey(3, 2, 0, ("a", "c", "d"))
