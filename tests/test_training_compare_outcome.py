"""Side by side: figures, verdicts, moves, and what is written."""

import json
from pathlib import Path

import pytest
from training_compare_samples import measured, write_set

from training.compare.learning import Learning
from training.compare.moves import find_moves
from training.compare.outcome import METRICS, Outcome, build_outcome, choose_baseline
from training.compare.report import markdown_report, plain_report
from training.compare.storage import save_comparison
from training.compare.systems import System
from training.compare.tables import Table
from training.dev_sets import DevSet
from training.errors import EvaluationError
from training.evaluation.runs import load_trec
from training.run_folder import RunFolder

OLD, NEW = System("old", "dense", "old"), System("new <b>", "dense", "new")
RANKED_OLD = {"q1": ["card", "fee"], "q2": ["card"], "q3": ["loan"], "q4": ["fee", "card", "loan"]}
RANKED_NEW = {
    "q1": ["fee", "card"],
    "q2": ["fee", "limit", "loan", "card"],
    "q3": ["loan", "limit"],
    "q4": ["fee", "card", "loan"],
}


@pytest.fixture
def dev_set(tmp_path: Path) -> DevSet:
    return DevSet.load(write_set(tmp_path / "bank"), "all")


def outcome_of(dev_set: DevSet, *systems: System) -> Outcome:
    rankings = {"old": RANKED_OLD, "new <b>": RANKED_NEW}
    found = {s.label: {dev_set.name: measured(dev_set, rankings[s.label])} for s in systems}
    return build_outcome(systems, [dev_set], found, baseline=systems[0].label)


def test_every_system_is_compared_with_the_baseline_on_every_metric(dev_set: DevSet) -> None:
    outcome = outcome_of(dev_set, OLD, NEW)
    compared = outcome.sets[0].comparisons
    assert list(compared) == ["new <b>"]
    assert list(compared["new <b>"]) == list(METRICS)
    ndcg = compared["new <b>"]["ndcg@10"]
    assert (ndcg.wins, ndcg.ties, ndcg.losses) == (2, 1, 1)
    assert ndcg.verdict() == "within noise"
    assert "within noise" in outcome.sentences()[0]
    assert any("only 4 queries" in warning for warning in outcome.warnings)


def test_holm_counts_all_systems_and_sets_of_a_metric(dev_set: DevSet) -> None:
    third = System("third", "dense", "third")
    found = {
        "old": {dev_set.name: measured(dev_set, RANKED_OLD)},
        "new <b>": {dev_set.name: measured(dev_set, RANKED_NEW)},
        "third": {dev_set.name: measured(dev_set, {q: ["loan"] for q in RANKED_OLD})},
    }
    outcome = build_outcome((OLD, NEW, third), [dev_set], found, baseline="old")
    pairs = [metrics["ndcg@10"] for metrics in outcome.sets[0].comparisons.values()]
    least = min(pairs, key=lambda comparison: comparison.p_randomisation)
    assert least.p_holm == pytest.approx(min(1.0, 2 * least.p_randomisation))


def test_the_baseline_is_named_by_label_model_or_run() -> None:
    run = System("new", "dense", "x/model", run=RunFolder(Path("runs/new")))
    assert choose_baseline([OLD, run], None) == "old"
    for name in ("new", "x/model", "runs/new"):
        assert choose_baseline([OLD, run], name) == "new"
    with pytest.raises(EvaluationError, match="there are: old, new"):
        choose_baseline([OLD, run], "other")


def test_moves_are_the_ranks_of_the_first_relevant_document(dev_set: DevSet) -> None:
    (found,) = find_moves(outcome_of(dev_set, OLD, NEW), 5)
    assert [(m.query_id, m.before, m.after) for m in found.up] == [("q3", None, 2), ("q1", 2, 1)]
    assert [(m.query_id, m.before, m.after) for m in found.down] == [("q2", 1, 4)]
    lost = found.down[0]
    assert (lost.document, lost.first_before, lost.first_after) == ("card", "card", "fee")
    assert found.texts["fee"].startswith("A transfer abroad")
    assert found.up[0].distance > found.up[1].distance > 0 > lost.distance


def test_as_many_moves_as_asked_for(dev_set: DevSet) -> None:
    outcome = outcome_of(dev_set, OLD, NEW)
    (found,) = find_moves(outcome, 1)
    assert (len(found.up), len(found.down)) == (1, 1)
    (none,) = find_moves(outcome, 0)
    assert not (none.up or none.down or none.texts)


def test_reports_say_what_moved_and_escape_what_they_show(dev_set: DevSet) -> None:
    outcome = outcome_of(dev_set, OLD, NEW)
    moves = find_moves(outcome, 2)
    text = plain_report(outcome, moves)
    assert "1 → 4  “stolen plastic”" in text
    assert "first after: fee: A transfer abroad" in text
    page = markdown_report(outcome, moves)
    assert "| new <b> |" in page and "below 100 → 2" in page


def test_everything_is_written(dev_set: DevSet, tmp_path: Path) -> None:
    outcome = outcome_of(dev_set, OLD, NEW)
    outcome = Outcome(
        outcome.systems,
        outcome.baseline,
        outcome.sets,
        (Learning("new <b>", ((1, 1.0), (5, 0.1)), ((1, 0.9), (5, 0.2)), 1),),
    )
    moves = find_moves(outcome, 2)
    folder = tmp_path / "out"
    save_comparison(outcome, moves, folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "new &lt;b&gt;" in page and "new <b>" not in page
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page
    assert "over-fitting after step 1" in page
    values = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert values["sets"][0]["comparisons"]["new <b>"]["ndcg@10"]["verdict"] == "within noise"
    assert values["moves"][0]["down"][0]["rank_after"] == 4
    for name in ("curves.png", "metrics-bank-all.png", "differences-bank-all.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    run = load_trec(folder / "run.bank_all.old.trec")
    assert list(run["q4"]) == ["fee", "card", "loan"]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_tables_are_aligned_and_escaped() -> None:
    table = Table(("name", "value"), (("a|b", "1"), ("long name", "10")))
    assert table.plain().splitlines()[1:] == ["a|b            1", "long name     10"]
    assert "a\\|b" in table.markdown()
