"""The real process with the real model: many clients, a stop in flight, a kill and a restart."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from encoders.base import SparseEncoder, named_weights
from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse

TOKEN = "token-of-this-test-0123"
CANARY = "canary-51f0"
CLIENTS = 16
WORDS = "the annual fee of a card is charged in january loans are repaid monthly".split()


def texts_of(number: int, count: int = 3, length: int = 12) -> list[str]:
    random = np.random.default_rng(number)
    return [f"{CANARY} " + " ".join(random.choice(WORDS, size=length)) for _ in range(count)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class ServerProcess:
    """``tandem serve`` in a process of its own; what it logs is kept."""

    process: subprocess.Popen[str]
    lines: list[dict[str, Any]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @classmethod
    def start(cls, *arguments: str) -> "ServerProcess":
        program = "from opensearch.cli.root import main; main()"
        environment = {
            **os.environ,
            "TANDEM_SERVE_TOKEN": TOKEN,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-c", program, "serve", *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        found = cls(process)
        threading.Thread(target=found._read, daemon=True).start()
        found._await_listening()
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listening['port']}"

    @property
    def listening(self) -> dict[str, Any]:
        return next(line for line in self.lines if line["message"] == "listening")

    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"] == "request"]

    def _read(self) -> None:
        for line in self.process.stderr or ():
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.other.append(line)

    def _await_listening(self) -> None:
        deadline = time.monotonic() + 120
        while not any(line["message"] == "listening" for line in self.lines):
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.process.kill()
                pytest.fail(f"no server: {self.other}")
            time.sleep(0.05)
        while True:
            try:
                if httpx.get(f"{self.url}/ready", timeout=30).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("serving") / "lexical.json"
    state = LexicalEncoder.fit([text for n in range(20) for text in texts_of(n)]).state()
    path.write_text(json.dumps(state), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def server(statistics: Path) -> Iterator[ServerProcess]:
    found = ServerProcess.start(
        *("--port", "0", "--dense", "all-MiniLM-L6-v2"),
        *("--sparse", "lexical", "--statistics", str(statistics)),
        *("--batch-wait-ms", "5"),
    )
    yield found
    found.process.kill()
    found.process.wait(10)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60) as found:
        yield found


def test_sixteen_clients_get_what_the_local_encoder_gives(
    server: ServerProcess, client: httpx.Client
) -> None:
    bodies = [texts_of(number) for number in range(CLIENTS * 4)]

    def ask(number: int) -> list[list[float]]:
        body = {"texts": bodies[number], "content_type": "passage"}
        answer = client.post("/dense", json=body)
        assert answer.status_code == 200
        return answer.json()

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(ask, range(len(bodies))))
    dense = load_dense(options=LoadOptions(threads=1))
    expected = dense.encode_documents([text for body in bodies for text in body])
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-5)
    assert max(line["batch"] for line in server.requests()) > 3, "requests shared batches"
    alone = client.post("/dense", json={"texts": bodies[0][:1]}).json()
    np.testing.assert_allclose(alone, expected[:1], atol=1e-5)


def test_sparse_weights_are_the_local_ones(client: httpx.Client, statistics: Path) -> None:
    local = local_sparse(statistics)
    text = "the annual fee of a card"
    for side, encode in (("query", local.encode_queries), ("document", local.encode_documents)):
        (found,) = client.post("/sparse", json={"input": [text], "input_type": side}).json()
        assert found == pytest.approx(named_weights(local, encode([text])[0]), abs=1e-6)


def local_sparse(statistics: Path) -> SparseEncoder:
    state = json.loads(statistics.read_text(encoding="utf-8"))
    return load_sparse("lexical", LoadOptions(statistics=state))


def test_our_own_encoders_speak_to_the_server(
    server: ServerProcess, statistics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEI_API_KEY", TOKEN)
    monkeypatch.setenv("OPENAI_API_KEY", TOKEN)
    texts = [*texts_of(1), "", "fee " * 600]
    local = load_dense(options=LoadOptions(threads=1))
    remote = load_dense(f"tei:{server.url}")
    assert remote.identity.fingerprint == local.identity.fingerprint
    assert remote.identity.dimension == local.identity.dimension
    assert remote.max_tokens == local.max_tokens
    np.testing.assert_allclose(remote.encode_queries(texts), local.encode_queries(texts), atol=1e-5)
    openai = load_dense(f"openai:all-MiniLM-L6-v2@{server.url}")
    np.testing.assert_allclose(
        openai.encode_documents(texts[:3]), local.encode_documents(texts[:3]), atol=1e-5
    )
    shorter = load_dense(f"tei:{server.url}", LoadOptions(dimension=64))
    assert shorter.identity.fingerprint != local.identity.fingerprint
    words, remote_words = (
        local_sparse(statistics),
        load_sparse(f"tei:all-MiniLM-L6-v2@{server.url}"),
    )
    assert remote_words.identity.fingerprint == words.identity.fingerprint
    for name in ("encode_queries", "encode_documents"):
        pairs = zip(getattr(remote_words, name)(texts), getattr(words, name)(texts), strict=True)
        for remote_vector, vector in pairs:
            np.testing.assert_array_equal(remote_vector.ids, vector.ids)
            np.testing.assert_allclose(remote_vector.weights, vector.weights, atol=1e-6)


def test_a_long_chunked_body_gets_a_clear_answer(client: httpx.Client) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"texts": ["'
        for _ in range(10):
            yield b"x" * 1_000_000
        yield b'"]}'

    answer = client.post("/dense", content=parts(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert client.get("/health").status_code == 200


def test_a_second_server_on_the_port_is_refused(server: ServerProcess) -> None:
    port = str(server.listening["port"])
    with pytest.raises(pytest.fail.Exception, match="Cannot listen"):
        ServerProcess.start("--port", port)


def test_a_stop_answers_everything_in_flight(server: ServerProcess) -> None:
    """Runs last on this server: it is gone afterwards."""
    outcomes: list[tuple[float, Any]] = []

    def ask_until_refused(number: int) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=30, verify=False) as own:
            while True:
                begun = time.monotonic()
                try:
                    body = {"texts": texts_of(number, 2, 20)}
                    outcome: Any = own.post("/dense", json=body).status_code
                except httpx.TransportError as error:
                    outcome = type(error).__name__
                outcomes.append((begun, outcome))
                if outcome != 200:
                    return

    threads = [threading.Thread(target=ask_until_refused, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while len(outcomes) < 2 * CLIENTS and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(40)
        assert not thread.is_alive(), "a client hangs"
    assert server.process.wait(20) == 0
    in_flight = [outcome for begun, outcome in outcomes if begun < stopped]
    assert set(in_flight) <= {200, 503}, in_flight
    assert in_flight.count(200) >= CLIENTS
    assert 503 in [outcome for _, outcome in outcomes]
    assert server.lines[-1]["message"] == "stopped"
    logged = json.dumps(server.lines) + "".join(server.other)
    assert CANARY not in logged
    assert TOKEN not in logged


def test_a_kill_is_an_error_and_a_restart_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEI_API_KEY", TOKEN)
    port = str(free_port())
    first = ServerProcess.start("--port", port)
    remote = load_dense(f"tei:{first.url}")
    before = remote.encode_documents(texts_of(1))

    def ask_until_broken(number: int) -> str:
        headers = {"authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=first.url, headers=headers, timeout=20, verify=False) as own:
            while True:
                try:
                    own.post("/dense", json={"texts": texts_of(number, 2, 20)}).raise_for_status()
                except httpx.TransportError as error:
                    return type(error).__name__

    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(ask_until_broken, number) for number in range(CLIENTS)]
        time.sleep(0.5)
        first.process.kill()
        killed = time.monotonic()
        assert all(future.result(30) for future in asking)
        assert time.monotonic() - killed < 15
    with ThreadPoolExecutor(1) as pool:
        # Asked while nobody listens: our own client waits and asks again.
        later = pool.submit(remote.encode_documents, texts_of(1))
        second = ServerProcess.start("--port", port)
        try:
            assert _settled(later, remote) is not None
            np.testing.assert_allclose(_settled(later, remote), before, atol=1e-5)
        finally:
            second.process.kill()
            second.process.wait(10)


def _settled(later: Any, remote: Any) -> np.ndarray:
    """The result; where the restart took longer than the client's patience, asked once more."""
    error = later.exception(60)
    if error is None:
        return later.result()
    assert "failed 5 times, last: ConnectError" in str(error)
    return remote.encode_documents(texts_of(1))
