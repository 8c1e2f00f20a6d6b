"""The step machine: each step once, whatever ends the process."""

from collections.abc import Callable
from pathlib import Path

import pytest

from operations.retraining.context import Context
from operations.retraining.errors import RefusedError, RetrainingError, StepFailedError
from operations.retraining.machine import Done, Step, advance
from operations.retraining.state import RunState, read_state, write_state


class Killed(BaseException):
    """Ends a step as a signal would: nothing of ours may catch it."""


class Work:
    """Steps that count how often they ran, and do as they are told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ran: list[str] = []
        self.lines: list[str] = []
        self.faults: dict[str, BaseException] = {}
        self.texts: dict[str, str] = {}

    def step(self, name: str, **more: bool) -> Step:
        def action(context: Context, folder: Path) -> Done:
            self.ran.append(name)
            (folder / "begun").write_text(name)
            if fault := self.faults.get(name):
                raise fault
            (folder / "made").write_text(self.texts.get(name, name))
            return Done({"by": name}, ("made",))

        return Step(name, f"doing {name}", action, **more)

    def start(self, *steps: Step, until: str | None = None) -> RunState:
        """As a new process would: everything is read from the disk."""
        if not (self.folder / "state.json").exists():
            write_state(self.folder, RunState("r", "job", {"a": "1"}, "now"))
        context = Context(None, self.folder, read_state(self.folder), self.lines.append)  # type: ignore[arg-type]
        return advance(steps, context, until=until)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def three(work: Work) -> list[Step]:
    return [work.step("one"), work.step("two", resumable=True), work.step("three", always=True)]


def test_every_step_runs_once(work: Work) -> None:
    state = work.start(*three(work))
    assert work.ran == ["one", "two", "three"]
    assert state.outcome == "done"
    assert state.result("two") == {"by": "two"}
    assert work.start(*three(work)).outcome == "done"
    assert work.ran == ["one", "two", "three"]


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_after_a_kill_the_next_start_goes_on(work: Work, name: str) -> None:
    work.faults[name] = Killed()
    with pytest.raises(Killed):
        work.start(*three(work))
    assert read_state(work.folder).running == name
    work.faults.clear()
    before = list(work.ran)
    assert work.start(*three(work)).outcome == "done"
    assert work.ran == [*before, *["one", "two", "three"][before.index(name) :]]


def test_an_interrupted_step_begins_in_an_empty_folder_unless_it_goes_on(work: Work) -> None:
    found: dict[str, list[str]] = {}

    def look(name: str) -> Callable[[Context, Path], Done]:
        def action(context: Context, folder: Path) -> Done:
            found[name] = [path.name for path in folder.iterdir()]
            (folder / "part").write_text("")
            if len(found) < 2 and name not in context.state.steps:
                raise Killed
            return Done({})

        return action

    for resumable, kept in ((False, []), (True, ["part"])):
        found.clear()
        name = f"step-{resumable}"
        step = Step(name, "", look(name), resumable=resumable)
        with pytest.raises(Killed):
            work.start(step)
        found["other"] = []
        work.start(step)
        assert found[name] == kept
        (work.folder / "state.json").unlink()


def test_a_failure_says_why_and_that_production_is_untouched(work: Work) -> None:
    work.faults["two"] = RetrainingError("no room")
    with pytest.raises(StepFailedError, match=r"two failed: no room\nProduction is untouched\."):
        work.start(*three(work))
    state = read_state(work.folder)
    assert state.failed is not None
    assert (state.failed.step, state.failed.error) == ("two", "no room")
    assert state.outcome is None
    work.faults.clear()
    assert work.start(*three(work)).failed is None
    assert work.ran == ["one", "two", "two", "three"]


def test_from_the_swap_on_nothing_is_promised(work: Work) -> None:
    steps = [work.step("one"), work.step("swap", changes_production=True), work.step("report")]
    for name in ("swap", "report", "report"):  # the last time it was done in an earlier start
        work.faults = {name: OSError(28, "No space left on device")}
        with pytest.raises(StepFailedError, match="No space left") as caught:
            work.start(*steps)
        assert "untouched" not in str(caught.value)


def test_a_no_skips_everything_but_the_report(work: Work) -> None:
    work.faults["one"] = RefusedError("worse")
    state = work.start(*three(work))
    assert work.ran == ["one", "three"]
    assert (state.outcome, state.reason) == ("refused", "worse")
    work.faults.clear()
    again = work.start(*three(work))
    assert work.ran == ["one", "three"]
    assert again.reason == "worse"


def test_until_stops_and_the_next_start_goes_on(work: Work) -> None:
    assert work.start(*three(work), until="two").outcome is None
    assert work.ran == ["one", "two"]
    assert work.start(*three(work)).outcome == "done"
    assert work.ran == ["one", "two", "three"]


def test_a_changed_file_is_made_again_and_what_follows_only_if_it_is_another(work: Work) -> None:
    work.start(*three(work), until="two")
    (work.folder / "one" / "made").write_text("spoilt")
    work.start(*three(work), until="two")
    assert work.ran == ["one", "two", "one"]
    (work.folder / "one" / "made").unlink()
    work.texts["one"] = "otherwise"
    work.start(*three(work))
    assert work.ran == ["one", "two", "one", "one", "two", "three"]


def test_a_broken_state_is_refused(work: Work) -> None:
    (work.folder / "state.json").write_text("{")
    with pytest.raises(RetrainingError, match="Move the folder away"):
        work.start(*three(work))
