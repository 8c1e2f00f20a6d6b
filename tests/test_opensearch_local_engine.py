import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from opensearch.cli.engine import engine as engine_command
from opensearch.errors import EngineError
from opensearch.local import engine as module
from opensearch.local.account import Account, can_reach, node_account, own_folder, public_folder
from opensearch.local.engine import (
    EngineOptions,
    log_file,
    running_engine,
    start_engine,
    stop_engine,
)
from opensearch.local.file_lock import file_lock
from opensearch.local.layout import Layout, claim_layout
from opensearch.local.paths import cache_paths, default_cache_root, files_folder, run_paths
from opensearch.local.ports import choose_ports, free_ports
from opensearch.local.process import LaunchRequest, ProcessId, launch, stop_process
from opensearch.local.readiness import last_lines, wait_until_ready
from opensearch.local.state import EngineState, NodeState, write_state

SELF = Account("self", os.geteuid(), os.getegid(), switch=False)
OTHER = Account("other", 1_999_999, 1_999_999, switch=True)


def state_of(process: ProcessId, folder: Path, port: int = 1) -> EngineState:
    node = NodeState("node-1", f"http://127.0.0.1:{port}", process, folder, folder)
    return EngineState("x", "3.6.0", (node,), folder, knn_natives=False)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[EngineState]:
    """An engine that is recorded as running; its process only sleeps."""
    code = "import time; time.sleep(60)"
    command = [sys.executable, "-c", code]
    process = launch(LaunchRequest(command, {}, tmp_path, tmp_path / "console.log", SELF))
    state = state_of(process, tmp_path)
    write_state(run_paths("x", tmp_path).state_file, state)
    yield state
    stop_process(process, 10)


def test_environment_chooses_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TANDEM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_root() == tmp_path / "xdg" / "tandem"
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "own"))
    assert cache_paths(SELF).downloads == tmp_path / "own" / "downloads"
    assert cache_paths(SELF).homes == tmp_path / "own" / "engine"
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path / "state"))
    assert run_paths("x").state_file == tmp_path / "state" / "engine" / "x.json"
    assert files_folder("x", SELF) == tmp_path / "state" / "engine" / "x"


def test_folders_the_node_cannot_reach_are_replaced(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    assert not can_reach(OTHER, hidden / "not" / "yet")
    assert cache_paths(OTHER, hidden).homes == Path("/var/cache/tandem/engine")
    assert cache_paths(OTHER, hidden).downloads == hidden / "downloads"
    one, two = (files_folder("x", OTHER, hidden / part) for part in "ab")
    assert one.parent == Path("/var/lib/tandem/engine")
    assert one != two


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "A", "-x", "x" * 64])
def test_a_name_must_be_a_folders_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot name an engine"):
        run_paths(name, tmp_path)


def test_new_folders_are_open_and_old_ones_stay_as_they_are(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir(mode=0o700)
    before = os.umask(0o077)
    try:
        public_folder(old / "a" / "b")
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (old, old / "a", old / "a" / "b")]
    assert modes == [0o700, 0o755, 0o755]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_the_nodes_folders_to_its_account(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "index").touch()
    own_folder(OTHER, tmp_path / "data")
    owners = {path.stat().st_uid for path in (tmp_path / "data", tmp_path / "data" / "index")}
    assert owners == {OTHER.uid}


def test_root_runs_the_node_as_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("TANDEM_ENGINE_USER", raising=False)
    nobody = pwd.getpwnam("nobody")
    assert node_account() == Account("nobody", nobody.pw_uid, nobody.pw_gid, switch=True)
    assert node_account(str(nobody.pw_uid)) == node_account()
    monkeypatch.setenv("TANDEM_ENGINE_USER", "root")
    with pytest.raises(EngineError, match="refuses to run as root"):
        node_account()
    with pytest.raises(EngineError, match="no user 'no-such-user'"):
        node_account("no-such-user")


def test_others_run_the_node_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    assert node_account("nobody").switch is False


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=rf"Port {port} of 127\.0\.0\.1 .*--port"):
            choose_ports(1, port)


def test_ports_follow_the_first_one() -> None:
    assert len(set(free_ports(5))) == 5
    (first,) = free_ports(1)
    assert choose_ports(1, first) == [first]
    with pytest.raises(EngineError, match="Port 65536"):
        choose_ports(65536, 65536)


def test_a_lock_waits_for_its_holder(tmp_path: Path) -> None:
    waited: list[bool] = []
    with file_lock(tmp_path / "new" / "lock", lambda: waited.append(True)):
        pass
    assert waited == []
    hold = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.flock(f,2); print(1,flush=True); "
    hold += "import time; time.sleep(0.5)"
    path = str(tmp_path / "new" / "lock")
    holder = subprocess.Popen([sys.executable, "-c", hold, path], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with file_lock(Path(path), lambda: waited.append(True)):
        assert holder.wait(10) == 0
    holder.communicate()
    assert waited == [True]


def test_data_is_opened_only_by_what_wrote_it(tmp_path: Path) -> None:
    claim_layout(tmp_path, Layout("3.6.0", 3))
    claim_layout(tmp_path, Layout("3.6.0", 1))
    (tmp_path / "node-1" / "data" / "nodes").mkdir(parents=True)
    claim_layout(tmp_path, Layout("3.6.0", 1))
    with pytest.raises(EngineError, match=r"OpenSearch 3\.6\.0 with 1 node.*--name"):
        claim_layout(tmp_path, Layout("3.6.0", 3))
    (tmp_path / "layout.json").write_text("[]")
    with pytest.raises(EngineError, match="damaged"):
        claim_layout(tmp_path, Layout("3.6.0", 1))


@pytest.mark.parametrize("heap", ["", "1", "g", "1t", "-1g", "1g -Dx"])
def test_a_heap_must_be_a_size(heap: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not a size"):
        start_engine(EngineOptions(heap=heap, state_root=tmp_path))


def test_an_engine_has_a_node(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="at least one node"):
        start_engine(EngineOptions(nodes=0, state_root=tmp_path))


def test_what_is_refused_is_refused_before_fetching(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Path:
        raise AssertionError

    monkeypatch.setattr(module, "ensure_home", never)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = EngineOptions(port=taken.getsockname()[1], state_root=tmp_path)
        monkeypatch.setattr(module, "choose_java", lambda *_: None)
        with pytest.raises(EngineError, match="cannot be used"):
            start_engine(options)


def test_nothing_runs_where_nothing_was_started(tmp_path: Path) -> None:
    assert running_engine("x", state_root=tmp_path) is None
    assert stop_engine("x", state_root=tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_starting_what_runs_changes_nothing(tmp_path: Path, running: EngineState) -> None:
    assert running_engine("x", state_root=tmp_path) == running
    options = EngineOptions(name="x", state_root=tmp_path)
    assert start_engine(options) == running
    for other in (replace(options, port=2), replace(options, nodes=3)):
        with pytest.raises(EngineError, match="runs already"):
            start_engine(other)


def test_stopping_ends_the_process_and_the_record(tmp_path: Path, running: EngineState) -> None:
    report = stop_engine("x", state_root=tmp_path)
    assert report is not None
    assert (report.state, report.killed) == (running, ())
    assert running_engine("x", state_root=tmp_path) is None
    assert not run_paths("x", tmp_path).state_file.exists()


def test_a_stale_record_is_no_engine(tmp_path: Path, running: EngineState) -> None:
    process = replace(running.nodes[0].process, created=1.0)
    write_state(run_paths("x", tmp_path).state_file, state_of(process, tmp_path))
    assert running_engine("x", state_root=tmp_path) is None
    assert stop_engine("x", state_root=tmp_path) is None
    assert not run_paths("x", tmp_path).state_file.exists()


def test_a_node_that_ends_shows_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "server.log").write_text("the reason\n\tat some.Class\n")
    (tmp_path / "console.log").write_text("its end\n")
    gone = ProcessId(os.getpid(), 1.0)
    with pytest.raises(EngineError, match=r"ended while starting.*\n  the reason\n  its end"):
        wait_until_ready(state_of(gone, tmp_path, free_ports(1)[0]), 5)


def test_waiting_has_an_end(tmp_path: Path, running: EngineState) -> None:
    process = running.nodes[0].process
    with pytest.raises(EngineError, match=r"does not answer.*--timeout"):
        wait_until_ready(state_of(process, tmp_path, free_ports(1)[0]), 0.1)


def test_the_last_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a\nb\nc\n")
    assert last_lines(tmp_path / "log", 2) == ["b", "c"]
    assert last_lines(tmp_path / "log", 0) == []
    assert last_lines(tmp_path / "none", 2) == []


def test_the_log_of_an_engine_that_ended_is_found(tmp_path: Path) -> None:
    path = log_file("x", state_root=tmp_path)
    assert path.parts[-3:] == ("node-1", "logs", "server.log")


def invoke(*arguments: str, state: Path) -> Any:
    environment = {"TANDEM_STATE": str(state)}
    return CliRunner().invoke(engine_command, list(arguments), env=environment)


def test_status_tells_by_its_exit_code(tmp_path: Path, running: EngineState) -> None:
    here = invoke("status", "--name", "x", "--json", state=tmp_path)
    assert here.exit_code == 0
    assert json.loads(here.stdout)["url"] == running.url
    assert json.loads(here.stdout)["running"] is True
    assert invoke("status", "--name", "x", state=tmp_path).stdout.startswith(running.url)
    gone = invoke("status", "--json", state=tmp_path)
    assert gone.exit_code == 1
    assert json.loads(gone.stdout) == {"running": False, "name": "default"}


def test_start_and_stop_by_command(tmp_path: Path, running: EngineState) -> None:
    again = invoke("start", "--name", "x", "--json", state=tmp_path)
    assert json.loads(again.stdout)["started"] is False
    other = invoke("start", "--name", "x", "--port", "9", state=tmp_path)
    assert (other.exit_code, "runs already" in other.stderr) == (1, True)
    stopped = invoke("stop", "--name", "x", "--json", state=tmp_path)
    assert json.loads(stopped.stdout) == {"name": "x", "stopped": True, "killed": []}
    assert "No engine 'x' runs" in invoke("stop", "--name", "x", state=tmp_path).stderr


def test_logs_by_command(tmp_path: Path, running: EngineState) -> None:
    (tmp_path / "server.log").write_text("a\nb\n")
    assert invoke("logs", "--name", "x", "-n", "1", state=tmp_path).stdout == "b\n"
    missing = invoke("logs", "--name", "never", state=tmp_path)
    assert (missing.exit_code, "Was the engine 'never'" in missing.stderr) == (1, True)


@pytest.mark.parametrize("command", [[], ["start"], ["stop"], ["status"], ["logs"]])
def test_every_command_explains_itself_with_an_example(command: list[str], tmp_path: Path) -> None:
    shown = invoke(*command, "--help", state=tmp_path)
    assert "Example:\n" in shown.stdout
    assert "tandem engine" in shown.stdout


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.node
def test_a_node_lives_through_commands_and_keeps_its_data() -> None:
    with tempfile.TemporaryDirectory(prefix="tandem-live-") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder)
        options = EngineOptions(name="live", heap="512m", state_root=root, timeout_s=300)
        try:
            url = start_engine(options).url
            request = urllib.request.Request(
                f"{url}/kept/_doc/1?refresh=true",
                data=b'{"text": "kept"}',
                headers={"Content-Type": "application/json"},
                method="PUT",
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.status == 201
            attributes = get(f"{url}/_nodes")["nodes"].popitem()[1]["attributes"]
            assert attributes["tandem_knn_natives"] == "false"
            second = "from opensearch.cli.engine import engine; engine()"
            found = subprocess.run(
                [sys.executable, "-c", second, "status", "--name", "live", "--json"],
                env={**os.environ, "TANDEM_STATE": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            assert json.loads(found.stdout)["url"] == url
            report = stop_engine("live", state_root=root)
            assert report is not None and report.killed == ()
            again = start_engine(options).url
            assert get(f"{again}/kept/_doc/1")["_source"] == {"text": "kept"}
        finally:
            stop_engine("live", state_root=root)
