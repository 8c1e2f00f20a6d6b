"""``tandem retrain`` as a scheduler sees it: exit codes, what stands where, what is written."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from retraining_samples import write_data, write_job

from operations.retraining.cli import retrain


@pytest.fixture
def job(tmp_path: Path) -> Path:
    write_data(tmp_path)
    return write_job(tmp_path)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(retrain, [str(argument) for argument in arguments])


def test_a_plan_writes_nothing(job: Path) -> None:
    before = sorted(job.parent.rglob("*"))
    shown = run(job, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("a new run: begun\n")
    assert "  collect   24 records\n" in shown.stdout
    plan = json.loads(run(job, "--dry-run", "--json").stdout)
    assert (plan["how"], plan["counts"]["frozen_queries"]) == ("new", 24)
    assert [step["name"] for step in plan["steps"]][-3:] == ["reindex", "swap", "report"]
    assert sorted(job.parent.rglob("*")) == before


def test_a_failed_step_is_told_and_the_next_start_goes_on(job: Path) -> None:
    text = job.read_text("utf-8").replace("[collect]", "[collect]\nminimum = 1000")
    job.write_text(text, encoding="utf-8")
    failed = run(job, "--json")
    assert failed.exit_code == 1
    assert "collect failed: 24 records are fewer than the 1,000" in failed.stderr
    assert "Production is untouched" in failed.stderr
    result = json.loads(failed.stdout)
    assert (result["failed"]["step"], result["outcome"]) == ("collect", None)
    folder = job.parent / "runs" / result["run"]
    assert "collect failed" in (folder / "job.log").read_text("utf-8")
    assert (folder / "report.md").read_text("utf-8").startswith("# bank: collect failed: 24")
    assert f"going on with the run {result['run']}" in run(job).stderr


def test_until_leaves_the_rest_for_the_next_start(job: Path) -> None:
    stopped = run(job, "--until", "prepare")
    assert stopped.exit_code == 0, stopped.output
    assert stopped.stdout.startswith("bank: done up to prepare\nin ")
    shown = run(job, "--dry-run").stdout
    assert "the last run goes on" in shown
    assert "  prepare   done before\n" in shown
    assert "  train     dense, by the recipe static\n" in shown


def test_misuse_has_its_own_exit_code(job: Path) -> None:
    assert run(job.parent / "absent.toml").exit_code == 2
    assert run(job, "--until", "lunch").exit_code == 2
    job.write_text("name = 1", encoding="utf-8")
    assert run(job).exit_code == 1
