"""An ablation trained: tables, a failing cell, a second call."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from training_compare_samples import write_set

from opensearch.cli.root import main
from training.ablation import running
from training.ablation.config import AblationConfig
from training.ablation.findings import Findings, summarise
from training.ablation.plan import Plan, build_plan
from training.ablation.report import draw_axis, plain
from training.ablation.running import CellResult, estimated_seconds, run_cells, shown_time
from training.config import check_values
from training.errors import TrainingError
from training.evaluation.metrics import Evaluated

STATIC = """
[data]
train = [{ path = "bank", split = "test" }]
dev = [{ path = "bank", split = "dev" }]
[model]
width = 8
legs = ["dense"]
[model.dense]
vocabulary = 100
[training]
steps = 2
batch_size = 2
threads = 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "static.toml").write_text('output = "runs/static"\n' + STATIC)
    write_set(tmp_path / "bank")
    return tmp_path


def plan_of(grid: dict[str, Any], **values: Any) -> Plan:
    given = {"kind": "static", "base": "static.toml", "output": "out", "grid": grid, **values}
    return build_plan(check_values(given, AblationConfig, source="test"))


def test_the_command_trains_a_grid_once(folder: Path) -> None:
    (folder / "grid.toml").write_text(
        'kind = "static"\nbase = "static.toml"\noutput = "out"\n[grid]\n'
        "records = [0.5, 1.0]\ntraining.steps = [2]\n"
    )
    run = CliRunner()
    first = run.invoke(main, ["ablate", "grid.toml", "--dry-run"])
    assert "2 cells, 2 left; time: known once one is done" in first.stdout
    done = run.invoke(main, ["ablate", "grid.toml", "--json"])
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert [cell["state"] for cell in values["cells"]] == ["done", "done"]
    assert {f["settings"]["records"] for f in values["findings"]} == {0.5, 1.0}
    report = (folder / "out" / "ablation.md").read_text()
    assert "| records | training.steps | seeds | NDCG@10 |" in report.replace("---:", "---")
    for name in ("axis-records.png", "axis-training-steps.png"):
        assert (folder / "out" / name).read_bytes().startswith(b"\x89PNG")
    written = {p: p.stat().st_mtime_ns for p in (folder / "out").rglob("model.safetensors")}
    assert len(written) == 2
    again = run.invoke(main, ["ablate", "grid.toml"])
    assert again.exit_code == 0, again.output
    assert {p: p.stat().st_mtime_ns for p in written} == written
    last = run.invoke(main, ["ablate", "grid.toml", "--dry-run", "--json"])
    assert json.loads(last.stdout)["estimated_seconds"] == 0.0


def scores(value: float) -> Evaluated:
    metrics = dict.fromkeys(("ndcg@10", "ndcg@100", "recall@10", "recall@100", "mrr@10"), value)
    return Evaluated(metrics, {f"q{i}": metrics for i in range(8)})


def fake_training(monkeypatch: pytest.MonkeyPatch, trained: list[Any], *, fails: int) -> None:
    """Instead of a trainer: a cell with so many steps fails, once its folder has begun."""

    def train(kind: str, config: Any, *, resume: bool) -> None:
        trained.append((config.training.steps, config.training.seed, resume))
        config.output.mkdir(parents=True, exist_ok=True)
        (config.output / "config.toml").write_text("")
        if config.training.steps == fails:
            msg = "CUDA out of memory"
            raise RuntimeError(msg)
        (config.output / "result.json").write_text("{}")

    def measure(cell: Any, sets: Any) -> Any:
        value = cell.config.training.steps / 10 + cell.seed / 100
        return {"dense": {"bank/dev": scores(value)}}

    monkeypatch.setattr(running, "_train", train)
    monkeypatch.setattr(running, "_measure", measure)


def test_a_failing_cell_costs_the_others_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []
    fake_training(monkeypatch, trained, fails=4)
    plan = plan_of({"training.steps": [2, 4, 6]}, seeds=[0, 1])
    results = run_cells(plan)
    assert [result.state for result in results] == ["done"] * 2 + ["failed"] * 2 + ["done"] * 2
    assert results[2].fault == "RuntimeError: CUDA out of memory"
    found = summarise(plan, results)
    assert [f.point.settings["training.steps"] for f in found.found] == [2, 6]
    base, other = found.found
    assert base.comparison is None and base.mean == pytest.approx(0.205)
    assert base.spread == pytest.approx(0.00707, abs=1e-4)
    assert other.comparison is not None and other.comparison.verdict() == "better"
    assert other.comparison.n == 8
    assert "failed: training.steps=4, seed 0" in plain(found)
    # The same call again: what is done stays, what failed goes on.
    trained.clear()
    fake_training(monkeypatch, trained, fails=0)
    assert all(result.state == "done" for result in run_cells(plan))
    assert trained == [(4, 0, True), (4, 1, True)]


def test_the_exit_code_says_that_a_cell_failed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_training(monkeypatch, [], fails=4)
    text = 'kind = "static"\nbase = "static.toml"\noutput = "out"\n[grid]\ntraining.steps = [4]\n'
    (folder / "grid.toml").write_text(text)
    done = CliRunner().invoke(main, ["ablate", "grid.toml"])
    assert done.exit_code == 1
    assert "1 of 2 cells failed" in done.output
    assert "CUDA out of memory" in (folder / "out" / "ablation.md").read_text()


def test_a_program_fault_is_no_failed_cell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise AttributeError("a mistake of ours")

    monkeypatch.setattr(running, "_train", broken)
    with pytest.raises(AttributeError):
        run_cells(plan_of({"training.steps": [2]}))


def test_a_failed_base_leaves_figures_without_comparison(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_training(monkeypatch, [], fails=2)
    plan = plan_of({"training.steps": [6]})
    found = summarise(plan, run_cells(plan))
    assert [f.comparison for f in found.found] == [None]
    assert draw_axis(found, plan.axes[0]).startswith(b"\x89PNG")


def test_axes_of_words_are_drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_training(monkeypatch, [], fails=0)
    plan = plan_of(
        {"model.dense.tokenizer": ["unigram", "bigram"], "learning_rate": [1e-4, 1e-1]},
        design="one-at-a-time",
    )
    found: Findings = summarise(plan, run_cells(plan))
    for axis in plan.axes:
        assert draw_axis(found, axis).startswith(b"\x89PNG")


def test_a_broken_measurement_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[Any] = []
    fake_training(monkeypatch, trained, fails=0)
    plan = plan_of({"training.steps": [2]})
    run_cells(plan)
    (plan.cells[0].folder.root / "measured.json").write_text('{"reached": ')
    trained.clear()
    assert run_cells(plan)[0].state == "done"
    assert not trained  # only measured again


def test_missing_data_is_a_failed_cell_that_says_so(folder: Path) -> None:
    plan = plan_of({"training.steps": [2]})
    shutil.move(folder / "bank" / "qrels" / "test.tsv", folder / "test.tsv")
    (result,) = run_cells(plan)
    assert result.state == "failed"
    assert "test" in (result.fault or "")
    shutil.rmtree(folder / "bank")
    with pytest.raises(TrainingError):
        run_cells(plan)


def test_the_time_left_is_that_of_the_cells_done(folder: Path) -> None:
    plan = plan_of({"training.steps": [2, 4, 6, 8]})
    done = [CellResult(cell, "done", seconds=10.0) for cell in plan.cells[:2]]
    waiting = [CellResult(cell, "waiting") for cell in plan.cells[2:]]
    assert estimated_seconds([*done, *waiting], 4) == 20.0
    assert estimated_seconds(waiting, 4) is None
    assert [shown_time(s) for s in (5, 100, 7_200)] == ["5 s", "2 min", "2.0 h"]
