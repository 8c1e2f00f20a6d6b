"""The commands without a cluster: exit codes, files, what is on stdout."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from feedback_samples import Users, corpus

from opensearch.cli.root import main
from operations.feedback.log_files import write_log

NAMES = ["skipped", "wanted", "other"]


def run(*words: object):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    users = Users({"skipped": 0.0, "wanted": 0.9, "other": 0.2}, eta=0.3)
    log = users.log([f"question {n}" for n in range(6)], 25)
    path = tmp_path / "clicks.jsonl"
    write_log([*log.asked, *log.done], path)
    return path


def test_records_from_files_and_a_folder(tmp_path: Path, clicks: Path) -> None:
    folder, out = corpus(tmp_path / "set", NAMES), tmp_path / "out"
    words = ("feedback", "records", clicks, "--corpus", folder, "-o", out, "--eta", 0.3)
    done = run(*words, "--eval-share", 0.5, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["training_queries"] + found["evaluation_queries"] == 6
    assert (out / "records.jsonl").is_file()
    people = run(*words, "--eval-share", 0.5)
    assert "position bias: rank^-0.30 (given" in people.stdout
    late = run(*words, "--eval-since", "2030-01-01")
    assert late.exit_code == 0 and "0 evaluation queries" in late.stdout


def test_records_refuse_what_cannot_be(tmp_path: Path, clicks: Path) -> None:
    folder, out = corpus(tmp_path / "set", NAMES), tmp_path / "out"
    nowhere = run("feedback", "records", clicks, "-o", out)
    assert nowhere.exit_code == 2 and "--index" in nowhere.output
    both = run("feedback", "records", "cluster", clicks, "--corpus", folder, "-o", out)
    assert both.exit_code == 2
    words = ("feedback", "records", clicks, "--corpus", folder, "-o", out)
    assert run(*words, "--since", "soon").exit_code == 2
    backwards = run(*words, "--since", "2026-02-01", "--until", "2026-01-01")
    assert backwards.exit_code == 2 and "before it begins" in backwards.output
    picky = run(
        *("feedback", "records", clicks, "--corpus", folder, "-o", out, "--min-clients", 99)
    )
    assert picky.exit_code == 1 and "--min-clients 99" in picky.output
    assert not out.exists()


def test_drift_between_files(tmp_path: Path, clicks: Path) -> None:
    reference, other = tmp_path / "reference.json", tmp_path / "other.txt"
    other.write_text("\n".join(f"카드 분실 신고 {n}" for n in range(60)), encoding="utf-8")
    assert run("drift", "snapshot", clicks, "-o", reference).exit_code == 0
    words = ("drift", "--reference", reference, "--window")
    same = run(*words, clicks, "--fail-on-drift")
    assert same.exit_code == 0 and "no drift" in same.stdout
    quiet = run(*words, other, "--json", "-o", tmp_path / "report.json")
    assert quiet.exit_code == 0
    found = json.loads((tmp_path / "report.json").read_text())
    assert found == json.loads(quiet.stdout) and "script" in found["drifted"]
    loud = run(*words, other, "--fail-on-drift", "-o", tmp_path / "report.md")
    assert loud.exit_code == 1
    assert (tmp_path / "report.md").read_text() == loud.stdout
    assert run(*words, other, "--min-distance", 1).exit_code == 0


def test_drift_refuses_what_cannot_be(tmp_path: Path, clicks: Path) -> None:
    assert run("drift", "--window", clicks).exit_code == 2
    few = run("drift", "--reference", clicks, "--window", clicks, "--min-queries", 1000)
    assert few.exit_code == 1 and "too few queries" in few.output
    nonsense = run("drift", "--reference", clicks, "--window", "soon")
    assert nonsense.exit_code == 2 and "no time" in nonsense.output


def test_shadow_needs_one_source_of_queries(clicks: Path) -> None:
    neither = run("shadow", "docs", "--candidate", "1.1.0")
    both = run("shadow", "docs", "--candidate", "1.1.0", "--queries", clicks, "--last", "1d")
    nonsense = run("shadow", "docs", "--candidate", "1.1.0", "--last", "soon")
    assert {neither.exit_code, both.exit_code, nonsense.exit_code} == {2}
    assert "--last" in both.output and "no time" in nonsense.output
