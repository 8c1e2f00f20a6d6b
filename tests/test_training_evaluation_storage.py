import json
from pathlib import Path

import pytest
from training_evaluation_samples import single_query, synthetic_report

from training.errors import EvaluationError
from training.evaluation import storage
from training.evaluation.metrics import evaluate_run
from training.evaluation.runner import compare_modes
from training.evaluation.runs import load_trec
from training.evaluation.storage import save_report

NAMES = ["run.bm25.trec", "run.dense.trec", "run.sparse.trec", "run.hybrid.trec"]


def test_everything_is_saved_and_nothing_else(tmp_path: Path) -> None:
    report = synthetic_report(count=20)
    files = save_report(report, tmp_path / "new" / "folder")
    assert [f.name for f in files] == [*NAMES, "per_query.jsonl", "report.html", "report.json"]
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(files)
    assert json.loads(files[-1].read_text()) == json.loads(json.dumps(report.as_dict()))
    assert len(files[-3].read_text().splitlines()) == 20


def test_a_saved_run_scores_the_same(tmp_path: Path) -> None:
    report = synthetic_report(count=20)
    save_report(report, tmp_path)
    scored = evaluate_run(load_trec(tmp_path / "run.hybrid.trec"), report.judged.qrels)
    assert scored.aggregate == report.results["hybrid"].evaluated.aggregate


def test_a_failure_leaves_the_earlier_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.json").write_text("earlier")

    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "_as_json", fail)
    with pytest.raises(EvaluationError, match="No space left"):
        save_report(synthetic_report(count=5), tmp_path)
    assert (tmp_path / "report.json").read_text() == "earlier"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(EvaluationError, match="cannot be saved"):
        save_report(synthetic_report(count=5), tmp_path / "taken" / "folder")


def test_mode_names_make_safe_file_names(tmp_path: Path) -> None:
    report = compare_modes({"../dense/v 2": single_query("x", ["good"])})
    assert save_report(report, tmp_path)[0] == tmp_path / "run..._dense_v_2.trec"
