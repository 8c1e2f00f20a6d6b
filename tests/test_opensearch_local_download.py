import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from opensearch.errors import EngineError
from opensearch.local.download import DownloadOptions, fetch_all, repository_url
from opensearch.local.locks import Artifact
from opensearch.local.ports import free_ports

BODY = bytes(range(256)) * 8192  # 2 MB: more than one chunk


def artifact(name: str, body: bytes = BODY) -> Artifact:
    return Artifact("g", name, "1", "jar", "", hashlib.sha256(body).hexdigest(), "lib")


class Server(ThreadingHTTPServer):
    """Answers GET; `faults` holds what goes wrong first, by request number."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.faults: list[str] = []
        self.ranges: list[str | None] = []
        self.lock = threading.Lock()

    def handle_error(self, *_: Any) -> None:
        """The client hangs up in some tests; that is meant."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        with self.server.lock:
            asked = self.headers.get("Range")
            self.server.ranges.append(asked)
            fault = self.server.faults.pop(0) if self.server.faults else ""
        if fault.isdigit():
            self._answer(int(fault), b"")
            return
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if fault == "ignore-range" or not asked:
            self._answer(200, self.server.body, cut=fault == "cut")
        elif begin >= len(self.server.body):
            self._answer(416, b"")
        else:
            told = begin + 5 if fault == "other-range" else begin
            self._answer(206, self.server.body[begin:], cut=fault == "cut", begin=told)

    def _answer(self, status: int, body: bytes, cut: bool = False, begin: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 206:
            end = len(self.server.body)
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{end}")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


class Recorder:
    def __init__(self) -> None:
        self.bytes = 0
        self.files: list[str] = []
        self.announced = (0, 0)

    def stage(self, message: str) -> None:
        raise AssertionError(message)

    def downloads(self, files: int, size: int) -> None:
        self.announced = (files, size)

    def received(self, size: int) -> None:
        self.bytes += size

    def file_done(self, name: str) -> None:
        self.files.append(name)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def options(server: Server, **changes: Any) -> DownloadOptions:
    values: dict[str, Any] = {"workers": 2, "attempts": 4, "first_pause_s": 0.01, "timeout_s": 5}
    return DownloadOptions(server.url, **{**values, **changes})


def test_files_are_fetched_once_and_reported(server: Server, tmp_path: Path) -> None:
    wanted = [artifact(name) for name in "abc"]
    seen = Recorder()
    fetch_all(wanted, tmp_path, options=options(server), progress=seen, size=len(BODY) * 3)
    assert all((tmp_path / one.path).read_bytes() == BODY for one in wanted)
    assert seen.announced == (3, len(BODY) * 3)
    assert seen.bytes == len(BODY) * 3
    assert sorted(seen.files) == ["a-1.jar", "b-1.jar", "c-1.jar"]
    fetch_all(wanted, tmp_path, options=options(server))
    assert len(server.ranges) == 3
    assert not list(tmp_path.rglob("*.part"))


def test_the_files_can_be_read_by_another_account(server: Server, tmp_path: Path) -> None:
    fetch_all([artifact("a")], tmp_path, options=options(server))
    assert (tmp_path / artifact("a").path).stat().st_mode & 0o777 == 0o644


def test_a_broken_connection_is_resumed(server: Server, tmp_path: Path) -> None:
    server.faults = ["cut", "cut"]
    seen = Recorder()
    fetch_all([artifact("a")], tmp_path, options=options(server), progress=seen)
    assert (tmp_path / artifact("a").path).read_bytes() == BODY
    half, quarter = len(BODY) // 2, len(BODY) // 4
    assert server.ranges == [None, f"bytes={half}-", f"bytes={half + quarter}-"]
    assert seen.bytes == len(BODY)


def test_what_an_earlier_run_left_is_resumed(server: Server, tmp_path: Path) -> None:
    part = tmp_path / artifact("a").path.with_name("a-1.jar.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY[:1000])
    fetch_all([artifact("a")], tmp_path, options=options(server))
    assert server.ranges == ["bytes=1000-"]


@pytest.mark.parametrize("fault", ["ignore-range", "other-range"])
def test_a_server_that_cannot_resume_sends_all(server: Server, tmp_path: Path, fault: str) -> None:
    server.faults = ["cut", fault]
    seen = Recorder()
    fetch_all([artifact("a")], tmp_path, options=options(server), progress=seen)
    assert (tmp_path / artifact("a").path).read_bytes() == BODY
    assert seen.bytes == len(BODY)


def test_a_damaged_part_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    part = tmp_path / artifact("a").path.with_name("a-1.jar.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    fetch_all([artifact("a")], tmp_path, options=options(server))
    assert (tmp_path / artifact("a").path).read_bytes() == BODY
    assert server.ranges == ["bytes=1000-", None]


def test_a_part_longer_than_the_file_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    part = tmp_path / artifact("a").path.with_name("a-1.jar.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY + b"more")
    fetch_all([artifact("a")], tmp_path, options=options(server))
    assert (tmp_path / artifact("a").path).read_bytes() == BODY


def test_a_wrong_hash_is_refused_and_removed(server: Server, tmp_path: Path) -> None:
    wanted = artifact("a", b"something else")
    with pytest.raises(EngineError, match=wanted.sha256):
        fetch_all([wanted], tmp_path, options=options(server))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_missing_file_is_told_at_once(server: Server, tmp_path: Path) -> None:
    server.faults = ["404"]
    with pytest.raises(EngineError, match=r"g/a/1/a-1\.jar.*404"):
        fetch_all([artifact("a")], tmp_path, options=options(server))
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.faults = ["503", "429", "500"]
    fetch_all([artifact("a")], tmp_path, options=options(server))
    assert (tmp_path / artifact("a").path).read_bytes() == BODY


def test_a_server_that_stays_down_is_given_up(server: Server, tmp_path: Path) -> None:
    server.faults = ["cut"] + ["503"] * 9
    with pytest.raises(EngineError, match=r"tried 4 times.*kept"):
        fetch_all([artifact("a")], tmp_path, options=options(server))
    assert len(server.ranges) == 4
    (part,) = tmp_path.rglob("*.part")
    assert part.stat().st_size == len(BODY) // 2


def test_nobody_there_is_told(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    nobody = DownloadOptions(f"http://127.0.0.1:{port}", attempts=2, first_pause_s=0.01)
    with pytest.raises(EngineError, match="TANDEM_MAVEN_REPOSITORY"):
        fetch_all([artifact("a")], tmp_path, options=nobody)


def test_the_first_failure_ends_the_rest(server: Server, tmp_path: Path) -> None:
    server.faults = ["404"]
    many = [artifact(f"a{number}") for number in range(50)]
    with pytest.raises(EngineError):
        fetch_all(many, tmp_path, options=options(server, workers=1))
    assert len(server.ranges) < len(many)


def test_the_environment_names_another_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_MAVEN_REPOSITORY", "http://127.0.0.1:1/artifacts/")
    assert repository_url() == "http://127.0.0.1:1/artifacts"
    monkeypatch.delenv("TANDEM_MAVEN_REPOSITORY")
    assert repository_url().startswith("https://")
