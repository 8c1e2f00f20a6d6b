import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opensearch.errors import EngineError
from opensearch.local.account import Account
from opensearch.local.process import LaunchRequest, ProcessId, is_alive, launch, stop_process
from opensearch.local.state import (
    EngineState,
    NodeState,
    alive_part,
    read_state,
    write_state,
)

SELF = Account("self", 0, 0, switch=False)
SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); " + SLEEP


def started(folder: Path, code: str = SLEEP) -> ProcessId:
    output = folder / "out"
    process = launch(LaunchRequest([sys.executable, "-c", code], {}, folder, output, SELF))
    while not output.read_text():
        assert is_alive(process)
    return process


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[ProcessId]:
    process = started(tmp_path)
    yield process
    stop_process(process, 5)


def node(process: ProcessId, name: str = "node-1") -> NodeState:
    return NodeState(name, "http://127.0.0.1:9200", process, Path("/d"), Path("/l"))


def engine(*nodes: NodeState) -> EngineState:
    return EngineState("x", "3.6.0", nodes, Path("/h"), knn_natives=False)


def test_a_state_survives_its_file(tmp_path: Path) -> None:
    state = engine(node(ProcessId(1, 2.5)), node(ProcessId(3, 4.5), "node-2"))
    write_state(tmp_path / "new" / "x.json", state)
    assert read_state(tmp_path / "new" / "x.json") == state
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["x.json"]
    told = json.loads((tmp_path / "new" / "x.json").read_text())
    assert (told["url"], told["pid"], told["knn_natives"]) == ("http://127.0.0.1:9200", 1, False)


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path / "x.json") is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 99}', '{"format": 1, "nodes": 3}'])
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(EngineError, match=r"x\.json is damaged"):
        read_state(tmp_path / "x.json")


def test_a_running_process_is_recognised(sleeper: ProcessId) -> None:
    assert alive_part(engine(node(sleeper))) == engine(node(sleeper))


def test_another_process_with_that_pid_is_not_ours(sleeper: ProcessId) -> None:
    other = replace(sleeper, created=sleeper.created - 60)
    assert not is_alive(other)
    assert alive_part(engine(node(other))) is None
    assert stop_process(other, 1)
    assert is_alive(sleeper)


def test_an_ended_process_is_gone(tmp_path: Path) -> None:
    process = started(tmp_path)
    assert stop_process(process, 10)
    assert not is_alive(process)
    assert stop_process(process, 10)


def test_of_a_cluster_the_living_nodes_are_told(tmp_path: Path, sleeper: ProcessId) -> None:
    (tmp_path / "two").mkdir()
    ended = started(tmp_path / "two")
    stop_process(ended, 10)
    part = alive_part(engine(node(ended), node(sleeper, "node-2")))
    assert part is not None
    assert [one.name for one in part.nodes] == ["node-2"]


def test_a_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    process = started(tmp_path, STUBBORN)
    assert not stop_process(process, 0.2)
    assert not is_alive(process)


def test_a_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from tests_state_helper import go; print(*go(Path(sys.argv[1])))"
    )
    helper = (
        "from opensearch.local.account import Account\n"
        "from opensearch.local.process import LaunchRequest, launch\n"
        "import sys\n"
        "def go(folder):\n"
        f"    command = [sys.executable, '-c', {SLEEP!r}]\n"
        "    account = Account('self', 0, 0, switch=False)\n"
        "    p = launch(LaunchRequest(command, {}, folder, folder / 'out', account))\n"
        "    return p.pid, p.created\n"
    )
    (tmp_path / "tests_state_helper.py").write_text(helper)
    starter = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    pid, created = starter.stdout.split()
    process = ProcessId(int(pid), float(created))
    assert is_alive(process)
    assert stop_process(process, 10)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    request = LaunchRequest([str(tmp_path / "java")], {}, tmp_path, tmp_path / "out", SELF)
    with pytest.raises(EngineError, match="Cannot start"):
        launch(request)
