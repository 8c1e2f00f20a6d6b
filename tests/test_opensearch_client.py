"""What a client is built with, and how it waits for a cluster that starts."""

from typing import Any

import pytest
from opensearchpy import Transport
from opensearchpy.exceptions import TransportError

from opensearch.client import connect
from opensearch.settings import load_settings

STARTING = TransportError(503, "OpenSearch Security not initialized.", None)
BUSY = TransportError(503, "cluster_block_exception", {})


class Clock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("opensearch.client.time", made)
    return made


def answering(monkeypatch: pytest.MonkeyPatch, *outcomes: Any) -> list[tuple[Any, ...]]:
    """Let the client library's transport have these outcomes, the last for ever."""
    sent: list[tuple[Any, ...]] = []

    def perform(_self: Any, *request: Any, **_: Any) -> Any:
        outcome = outcomes[min(len(sent), len(outcomes) - 1)]
        sent.append(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(Transport, "perform_request", perform)
    return sent


def test_every_address_is_a_host() -> None:
    client = connect(load_settings("http://a:9200, https://b:9201"))
    assert [host["host"] for host in client.transport.hosts] == ["a", "b"]


def test_a_request_that_comes_too_early_is_sent_again(monkeypatch, clock: Clock) -> None:
    sent = answering(monkeypatch, STARTING, STARTING, {"found": True})
    client = connect(load_settings("http://a:9200"))
    assert client.transport.perform_request("GET", "/docs") == {"found": True}
    assert sent == [("GET", "/docs")] * 3
    assert clock.now == 1.0


def test_the_wait_ends(monkeypatch, clock: Clock) -> None:
    answering(monkeypatch, STARTING)
    client = connect(load_settings("http://a:9200", startup_wait_s=7))
    with pytest.raises(TransportError, match="not initialized"):
        client.transport.perform_request("GET", "/docs")
    assert 6 < clock.now <= 7


def test_another_503_is_not_waited_for(monkeypatch, clock: Clock) -> None:
    sent = answering(monkeypatch, BUSY)
    with pytest.raises(TransportError, match="cluster_block"):
        connect(load_settings("http://a:9200")).transport.perform_request("GET", "/docs")
    assert (len(sent), clock.now) == (1, 0.0)
