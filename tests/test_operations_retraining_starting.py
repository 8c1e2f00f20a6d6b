"""Which run a start belongs to."""

from dataclasses import replace
from pathlib import Path

import pytest

from opensearch.local.file_lock import file_lock
from operations.retraining.errors import RetrainingError, RunningError
from operations.retraining.job import RetrainingJob, load_job
from operations.retraining.run import LOCK, STEP_NAMES, Options, retrain, tidy
from operations.retraining.starting import choose_run, input_paths, open_run
from operations.retraining.state import StepRecord, latest_state, write_state

JOB = """
name = "bank"
[collect]
records = [{path = "records.jsonl"}]
feedback = {files = ["log.jsonl"], corpus = "frozen"}
[train]
recipe = "static"
[train.settings.data]
corpus = ["texts"]
[evaluate]
frozen = [{path = "frozen"}]
"""


@pytest.fixture
def job(tmp_path: Path) -> RetrainingJob:
    for name in ("records.jsonl", "log.jsonl", "frozen/corpus.jsonl", "texts/corpus.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "job.toml").write_text(JOB, encoding="utf-8")
    return load_job(tmp_path / "job.toml")


def begin(job: RetrainingJob, probe: str | None = None, outcome: str | None = None) -> str:
    start = choose_run(job)
    folder = open_run(job.output, start)
    record = StepRecord("", {}, {"probe": probe}, "", 0.0)
    state = replace(start.state, steps={"collect": record}, outcome=outcome)  # type: ignore[arg-type]
    write_state(folder, state)
    return start.state.run


def test_what_a_run_depends_on(job: RetrainingJob, tmp_path: Path) -> None:
    names = [path.relative_to(tmp_path).as_posix() for path in input_paths(job)]
    assert names == ["frozen", "records.jsonl", "texts"]  # what is logged grows all the time


def test_an_interrupted_run_goes_on(job: RetrainingJob) -> None:
    assert choose_run(job).how == "new"
    run = begin(job)
    start = choose_run(job, probe="more feedback by now")
    assert (start.how, start.state.run) == ("continued", run)


def test_a_finished_run_is_repeated_only_where_something_changed(job: RetrainingJob) -> None:
    run = begin(job, probe="p", outcome="done")
    assert choose_run(job, probe="p").how == "nothing to do"
    assert choose_run(job, probe="p").state.run == run
    assert choose_run(job, probe="p", force=True).how == "new"
    more = choose_run(job, probe="q")
    assert (more.how, "new feedback" in more.why) == ("new", True)


def test_a_changed_file_or_job_begins_a_new_run_and_says_so(
    job: RetrainingJob, tmp_path: Path
) -> None:
    begin(job)
    (tmp_path / "texts" / "corpus.jsonl").write_text("other", encoding="utf-8")
    start = choose_run(job)
    assert start.how == "new"
    assert f"since {tmp_path / 'texts'} changed after the run" in start.why
    (tmp_path / "texts" / "corpus.jsonl").write_text("texts/corpus.jsonl", encoding="utf-8")
    other = choose_run(job.model_copy(update={"bump": "major"}))
    assert (other.how, "since the job changed" in other.why) == ("new", True)
    moved = job.model_copy(update={"output": tmp_path / "elsewhere"})
    assert choose_run(moved).state.job == choose_run(job).state.job


def test_the_newest_run_counts(job: RetrainingJob) -> None:
    begin(job)
    second = begin(job.model_copy(update={"bump": "major"}))
    state = latest_state(job.output)
    assert state is not None
    assert state.run == second


def test_files_of_old_finished_runs_are_removed_and_their_reports_stay(job: RetrainingJob) -> None:
    runs = [
        begin(job.model_copy(update={"name": f"job-{number}"}), outcome=outcome)
        for number, outcome in enumerate(("done", None, "refused", "done"))
    ]
    for run in runs:
        (job.output / run / "train").mkdir()
        (job.output / run / "report.md").write_text("", encoding="utf-8")
    tidy(job.output, 2)
    assert [(job.output / run / "train").is_dir() for run in runs] == [False, True, True, True]
    assert all((job.output / run / "report.md").is_file() for run in runs)


def test_a_missing_file_is_named(job: RetrainingJob, tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").unlink()
    with pytest.raises(RetrainingError, match=r"records\.jsonl is not there"):
        choose_run(job)


def test_two_starts_do_not_run_at_once(job: RetrainingJob) -> None:
    with file_lock(job.output / LOCK), pytest.raises(RunningError, match="under way"):
        retrain(job, Options())


def test_the_commands_steps_are_the_runs() -> None:
    from operations.retraining.cli import STEPS

    assert STEPS == STEP_NAMES
