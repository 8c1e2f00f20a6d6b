"""Figures of the server, summed up and written."""

import time

import pytest

from opensearch.errors import SearchBackendError
from opensearch.measurements import SERVING_INDEX, measurement_body
from serving.recording import MOST_SAMPLES, Recording
from serving.records import RequestRecord

MODELS = {"dense": "all-MiniLM-L6-v2"}


def request(status: int = 200, texts: int = 2, tokens: int = 9) -> RequestRecord:
    return RequestRecord(status=status, texts=texts, tokens=tokens)


def test_requests_are_summed_up_per_route() -> None:
    written: list[dict] = []
    recording = Recording(written.extend, "host:8080", MODELS)
    for status, seconds in ((200, 0.010), (200, 0.030), (503, 0.001), (422, 0.001), (500, 0.002)):
        recording.note("/sparse", request(status), seconds)
    recording.note("/dense", request(), 0.5)
    recording.flush()
    sparse, dense = written
    assert sparse["route"] == "/sparse"
    assert (sparse["requests"], sparse["errors"], sparse["refused"]) == (5, 1, 2)
    assert (sparse["texts"], sparse["tokens"]) == (10, 45)
    assert sparse["p50_ms"] == 2.0
    assert sparse["max_ms"] == 30.0
    assert dense["p95_ms"] == 500.0
    assert {"server": "host:8080", **MODELS}.items() <= dense.items()
    assert set(dense) <= set(measurement_body(SERVING_INDEX)["mappings"]["properties"])


def test_nothing_happened_is_nothing_written() -> None:
    written: list[dict] = []
    recording = Recording(written.extend, "host", MODELS)
    recording.flush()
    recording.note("/dense", request(), 0.1)
    recording.flush()
    recording.flush()
    assert len(written) == 1


def test_an_unreachable_cluster_costs_figures_only(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        msg = "nobody there"
        raise SearchBackendError(msg)

    recording = Recording(fail, "host", MODELS)
    recording.note("/dense", request(), 0.1)
    recording.flush()
    assert "could not be kept: nobody there" in caplog.text


def test_memory_stays_bounded() -> None:
    written: list[dict] = []
    recording = Recording(written.extend, "host", MODELS)
    for _ in range(MOST_SAMPLES + 10):
        recording.note("/dense", request(), 0.1)
    recording.flush()
    assert written[0]["requests"] == MOST_SAMPLES + 10
    assert len(recording._tallies) == 0


def test_it_writes_by_itself_and_at_the_end() -> None:
    written: list[dict] = []
    with Recording(written.extend, "host", MODELS, interval_s=0.02) as recording:
        recording.note("/dense", request(), 0.1)
        end = time.monotonic() + 5
        while not written and time.monotonic() < end:
            time.sleep(0.01)
        assert written
        recording.note("/sparse", request(), 0.1)
    assert [document["route"] for document in written] == ["/dense", "/sparse"]
