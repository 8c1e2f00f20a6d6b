"""Cleaning: merging, leaks, splitting, mixing, and the folder that comes of it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from opensearch.cli.root import main
from training.data.advice import FEW, advice
from training.data.deduplication import SAME_QUERY, merge_equal_queries, merged, near_pairs
from training.data.errors import TrainingDataError
from training.data.leakage import NEARLY, SAME, EvaluationQueries, remove_leaks
from training.data.mixing import Part, amounts, mix
from training.data.near_duplicates import resemblance
from training.data.preparation import Preparation, prepare
from training.data.readers import read_records
from training.data.records import TrainingRecord, write_records
from training.data.set_aside import SetAside
from training.data.sources import DataSource
from training.data.splitting import plan_split
from training.dev_sets import DevSet


def record(query: str, *pos: str, **more) -> TrainingRecord:
    return TrainingRecord(query, pos or (f"answer to {query}",), **more)


def test_equal_queries_become_one_record() -> None:
    records = [record("A fee?", "x", neg=("y",)), record("b", "z"), record("a FEE", "y", "x")]
    first, second, aside = merge_equal_queries(lambda: records)
    assert (first.query, first.pos, first.neg) == ("A fee?", ("x", "y"), ())
    assert second == records[1]
    assert aside == SetAside(SAME_QUERY, records[2], "a FEE")


def test_scores_and_ids_stay_only_where_all_have_them() -> None:
    scored = record("q", "x", pos_scores=(1.0,), pos_ids=("1",))
    both = merged([scored, record("q", "z", pos_scores=(2.0,), pos_ids=("2",))])
    assert (both.pos_scores, both.pos_ids) == ((1.0, 2.0), ("1", "2"))
    assert merged([scored, record("q", "z")]).pos_scores is None


def test_other_numbers_are_another_question() -> None:
    assert resemblance("What was the revenue in 2018?", "what was the revenue, in 2018") == 1
    assert resemblance("What was the revenue in 2018?", "What was the revenue in 2019?") == 0
    pairs = list(
        near_pairs(map(record, ["해외 송금 수수료는 얼마", "해외송금 수수료는 얼마?", "ATM"]))
    )
    assert [(p.query, p.other) for p in pairs] == [
        ("해외송금 수수료는 얼마?", "해외 송금 수수료는 얼마")
    ]


def test_evaluation_queries_are_taken_out() -> None:
    known = EvaluationQueries(["How do I block a lost card?", "fees"])
    texts = ["how do i block a lost card", "How do I block a lost cards?", "Fees!", "a loan"]
    found = list(remove_leaks([record(text) for text in texts], known))
    reasons = [item.reason if isinstance(item, SetAside) else None for item in found]
    assert reasons == [SAME, NEARLY, SAME, None]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), min_size=1), st.integers(0, 3))
def test_no_document_is_on_both_sides(pairs: list[tuple[int, int]], seed: int) -> None:
    records = [record(f"query {q}", f"document {d}") for q, d in pairs]
    split = plan_split(records, 0.3, seed)
    sides = {True: set(), False: set()}
    for entry in records:
        sides[split.is_dev(entry)] |= {entry.query, *entry.pos}
    assert not sides[True] & sides[False]
    assert sum(map(split.is_dev, records)) <= max(1, round(0.3 * len(records)))


def test_the_share_is_met_and_pairs_stay_together() -> None:
    records = [record(f"query {n}") for n in range(100)]
    split = plan_split(records, 0.2, 1, [("query 1", "query 2")])
    assert sum(map(split.is_dev, records)) == 20
    assert split.is_dev(records[1]) == split.is_dev(records[2])
    other = plan_split(records, 0.2, 2)
    assert [split.is_dev(r) for r in records] != [other.is_dev(r) for r in records]


def test_a_mixture_has_the_shares_that_were_asked_for() -> None:
    own, general = [record(f"o{n}") for n in range(70)], [record(f"g{n}") for n in range(500)]
    assert amounts(70, {"general": 0.3}) == {"general": 30}
    parts = [Part(lambda: own, 70, 70), Part(lambda: general, 500, 30)]
    found = list(mix(parts, 7))
    assert sum(r.query.startswith("g") for r in found) == 30
    assert {r.query for r in own} <= {r.query for r in found}
    assert found == list(mix(parts, 7))
    assert any(r.query.startswith("g") for r in found[:50])
    with pytest.raises(TrainingDataError, match="below 1"):
        amounts(10, {"a": 0.5, "b": 0.5})


def test_little_data_gets_advice() -> None:
    assert "tandem mine" in " ".join(advice(FEW - 1))
    assert advice(FEW) == []


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    topics = "card loan fee account transfer deposit mortgage pension tax insurance".split()
    records = [record(f"what about {t}", f"{t} text", neg=("nothing",)) for t in topics]
    write_records([*records, record("What about CARD?", "more on it")], path)
    return path


def test_a_prepared_folder_can_be_trained_on(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = prepare([DataSource(pairs)], out, Preparation(dev_share=0.3))
    train = list(read_records(out / "train.jsonl"))
    dev = DevSet.load(out / "dev", "dev")
    assert (report.read, report.train, report.dev_queries) == (11, len(train), len(dev.query_ids))
    assert report.train + report.dev_queries == 10
    assert not {r.query for r in train} & set(dev.query_texts)
    assert len(dev.doc_ids) == report.dev_documents == 12
    (line,) = (out / "set-aside.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["record"]["query"] == "What about CARD?"
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_the_command_reports(pairs: Path, tmp_path: Path) -> None:
    general = tmp_path / "general.jsonl"
    write_records([record(f"general {'abcdefghij'[n] * 5}") for n in range(9)], general)
    args = ["prepare", str(pairs), "-o", str(tmp_path / "out"), "--mix", f"{general}=0.4", "--json"]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["mixed"] == {str(general): 6}
    assert report["train"] == 9 + 6


@pytest.mark.parametrize("mixed", ["nowhere.jsonl=0.3", "x"])
def test_a_bad_mixture_is_refused(pairs: Path, tmp_path: Path, mixed: str) -> None:
    done = CliRunner().invoke(
        main, ["prepare", str(pairs), "-o", str(tmp_path / "o"), "--mix", mixed]
    )
    assert done.exit_code in (1, 2)
    assert "Traceback" not in done.output
