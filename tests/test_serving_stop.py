"""How the process stops when the encoder does not finish in time, or is told twice."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest
import uvicorn
from serving_samples import FakeDense

from serving.app import build_server
from serving.config import ServeConfig
from serving.models import ServedModels
from serving.process import StoppableServer


@dataclass
class Running:
    """A server in a thread, whose encoder waits until it is let go."""

    stop_s: float
    dense: FakeDense = field(default_factory=FakeDense)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))

    def __post_init__(self) -> None:
        self.dense.open.clear()
        self.server = build_server(ServedModels(self.dense), ServeConfig())
        settings = uvicorn.Config(
            self.server.app, port=0, log_config=None, timeout_graceful_shutdown=1
        )
        self.process = StoppableServer(settings, self.server, self.stop_s)
        self.thread = threading.Thread(target=self.process.run, daemon=True)
        self.thread.start()
        while not self.process.started:
            time.sleep(0.01)
        port = self.process.servers[0].sockets[0].getsockname()[1]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)

    def ask(self) -> "Future[httpx.Response]":
        found = self.pool.submit(self.client.post, "/dense", json={"texts": ["a"]})
        while not self.server.lifecycle.active:
            time.sleep(0.01)
        return found

    def signal(self) -> None:
        self.process.handle_exit(signal.SIGTERM, None)

    def end(self) -> None:
        self.dense.open.set()
        self.process.should_exit = self.process.force_exit = True
        self.thread.join(10)
        self.client.close()
        self.pool.shutdown()
        assert not self.thread.is_alive()


@pytest.fixture
def impatient() -> Iterator[Running]:
    found = Running(stop_s=0.2)
    yield found
    found.end()


@pytest.fixture
def patient() -> Iterator[Running]:
    found = Running(stop_s=60)
    yield found
    found.end()


def test_what_is_not_done_in_time_hears_so(impatient: Running) -> None:
    asked = impatient.ask()
    impatient.signal()
    answer = asked.result(15)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "stopping"
    impatient.thread.join(15)
    assert not impatient.thread.is_alive()


def test_a_stop_waits_for_what_is_in_work_and_refuses_the_rest(patient: Running) -> None:
    asked = patient.ask()
    patient.signal()
    while not patient.server.lifecycle.stopping:
        time.sleep(0.01)
    refused = patient.client.post("/dense", json={"texts": ["b"]})
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "5"
    assert patient.client.get("/ready").json()["status"] == "stopping"
    assert not asked.done()
    patient.dense.open.set()
    assert asked.result(15).status_code == 200
    patient.thread.join(15)
    assert not patient.thread.is_alive()


def test_a_second_signal_ends_it_at_once(patient: Running) -> None:
    patient.ask()
    patient.signal()
    while not patient.server.lifecycle.stopping:
        time.sleep(0.01)
    patient.signal()
    patient.thread.join(15)
    assert not patient.thread.is_alive()
