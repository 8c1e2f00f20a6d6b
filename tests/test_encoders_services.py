"""Embedding services, against a local server that misbehaves in the ways real ones do."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from encoders.base import DenseEncoder, SparseEncoder
from encoders.errors import EncoderError, EncoderServiceError
from encoders.options import LoadOptions
from encoders.pruning import Pruning
from encoders.registry import load_dense, load_sparse
from encoders.service import Service, estimated_tokens
from encoders.service_address import ServiceAddress, is_service, parse_address
from encoders.service_client import RetryPolicy, ServiceClient, retry_after
from encoders.services import ServiceDenseEncoder, ServiceSparseEncoder

KEY = "sk-very-secret-0123456789"
INFO = {"model_id": "tiny", "model_sha": "abc", "max_input_length": 128}
FAST = RetryPolicy(attempts=4, first_wait=0.001, max_wait=0.05, timeout=0.3)


@dataclass
class FakeService:
    """A server that plays a script of faults, then answers well.

    ``faults`` holds what is answered first: ``(status, headers, body)``, ``"hang"`` or ``"drop"``.
    """

    url: str = ""
    faults: list[Any] = field(default_factory=list)
    calls: list[tuple[str, Any, dict[str, str]]] = field(default_factory=list)
    width: int = 4

    def answer(self, path: str, body: Any) -> Any:
        if path == "/info":
            return INFO
        if path == "/embed":
            return [self._vector(text) for text in body["inputs"]]
        if path == "/embed_sparse":
            return [[{"index": 2054, "value": 1.5}, {"index": 7, "value": 0.5}]] * len(
                body["inputs"]
            )
        if path == "/v1/embeddings":
            rows = [
                {"index": number, "embedding": self._vector(text)}
                for number, text in enumerate(body["input"])
            ]
            return {"data": rows[::-1]}
        return {"embeddings": {"float": [self._vector(text) for text in body["texts"]]}}

    def _vector(self, text: str) -> list[float]:
        return [float(len(text)), 1.0, 0.0, 2.0][: self.width]


def _handler(fake: FakeService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._play(None)

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            self._play(json.loads(self.rfile.read(length)))

        def _play(self, body: Any) -> None:
            fake.calls.append((self.path, body, dict(self.headers)))
            fault = fake.faults.pop(0) if fake.faults and body is not None else None
            if fault == "drop":
                self.close_connection = True
                return
            if fault == "hang":
                time.sleep(0.6)
                fault = (500, {}, "too late")
            status, headers, content = fault or (200, {}, fake.answer(self.path, body))
            text = content if isinstance(content, str) else json.dumps(content)
            self._send(status, headers, text.encode())

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *arguments: Any) -> None:
            pass

    return Handler


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    for name in ("OPENAI_API_KEY", "TEI_API_KEY", "COHERE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeService()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def _dense(fake: FakeService, protocol: str = "openai", **options: Any) -> ServiceDenseEncoder:
    address = f"tei:{fake.url}" if protocol == "tei" else f"{protocol}:small@{fake.url}"
    return ServiceDenseEncoder(Service.at(address, FAST), LoadOptions(**options))


@pytest.mark.parametrize("protocol", ["openai", "tei", "cohere"])
def test_unit_vectors_in_order(service: FakeService, protocol: str) -> None:
    encoder = _dense(service, protocol)
    assert isinstance(encoder, DenseEncoder)
    texts = ["a" * length for length in range(1, 301)]  # several batches
    found = encoder.encode_documents(texts)
    assert found.shape == (300, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found[:, 0] / found[:, 1], range(1, 301), rtol=1e-5)
    assert encoder.encode_queries([]).shape == (0, 4)


@pytest.mark.parametrize(("protocol", "limit"), [("openai", 128), ("tei", 32), ("cohere", 96)])
def test_batches_stay_below_the_services_limit(
    service: FakeService, protocol: str, limit: int
) -> None:
    _dense(service, protocol).encode_documents(["x"] * 200)
    sizes = [
        len(body.get("inputs") or body.get("input") or body.get("texts"))
        for _, body, _ in service.calls
        if body is not None
    ]
    assert sum(sizes) == 201  # one text asks for the width
    assert max(sizes) == limit


def test_cohere_is_told_queries_from_documents(service: FakeService) -> None:
    encoder = _dense(service, "cohere")
    encoder.encode_queries(["q"])
    encoder.encode_documents(["d"])
    assert [body["input_type"] for _, body, _ in service.calls] == [
        "search_query",  # the width
        "search_query",
        "search_document",
    ]


def test_prompts_dimension_and_empty_texts(service: FakeService) -> None:
    encoder = _dense(service, query_prompt="query: ", dimension=2)
    found = encoder.encode_queries(["fee", ""])
    assert found.shape == (2, 2)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert service.calls[-1][1]["input"] == ["query: fee", "query: "]
    encoder.encode_documents(["", "  "])
    assert service.calls[-1][1]["input"] == [".", "."]


@pytest.mark.parametrize(
    "faults",
    [
        [(500, {}, "oops")],
        [(429, {}, "slow down"), (503, {}, ""), (502, {}, "")],
        [(429, {"retry-after": "0"}, "")],
        ["drop"],
        ["hang"],
    ],
    ids=["500", "429-503-502", "retry-after", "dropped", "time-out"],
)
def test_passing_faults_are_survived(service: FakeService, faults: list[Any]) -> None:
    encoder = _dense(service)
    before = encoder.encode_documents(["a", "b"])
    service.faults = list(faults)
    np.testing.assert_array_equal(encoder.encode_documents(["a", "b"]), before)
    assert service.faults == []


def test_lasting_faults_end_after_a_bounded_number_of_calls(service: FakeService) -> None:
    service.faults = [(503, {}, "down")] * 50
    with pytest.raises(EncoderServiceError, match="failed 4 times, last: HTTP 503 down"):
        _dense(service).encode_documents(["a"])
    assert len(service.calls) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refusal_is_not_repeated(service: FakeService, status: int) -> None:
    service.faults = [(status, {}, "no such model")]
    with pytest.raises(EncoderServiceError, match=f"refused the call: HTTP {status} no such model"):
        _dense(service).encode_documents(["a"])
    assert len(service.calls) == 1


def test_a_service_that_is_not_there() -> None:
    client = ServiceClient("http://127.0.0.1:9", "NO_KEY", FAST)
    with pytest.raises(EncoderServiceError, match="ConnectError"):
        client.get("/info")


def test_waits_grow_and_honour_retry_after(service: FakeService) -> None:
    waits: list[float] = []
    policy = RetryPolicy(attempts=5, first_wait=1.0, max_wait=30)
    client = ServiceClient(service.url, "NO_KEY", policy, waits.append)
    service.faults = [(500, {}, ""), (500, {}, ""), (429, {"retry-after": "17"}, ""), (500, {}, "")]
    client.post("/embed", {"inputs": ["a"]})
    assert 1 <= waits[0] <= 1.25
    assert 2 <= waits[1] <= 2.5
    assert waits[2] == 17
    assert 8 <= waits[3] <= 10


def test_a_wait_too_long_is_not_waited(service: FakeService) -> None:
    service.faults = [(429, {"retry-after": "3600"}, "quota")]
    with pytest.raises(EncoderServiceError, match="asks to wait 3600 s"):
        _dense(service).encode_documents(["a"])


def test_retry_after_is_a_number_or_a_date() -> None:
    assert retry_after(None) is None
    assert retry_after("2.5") == 2.5
    assert retry_after("soon") is None
    assert retry_after("-1") == 0
    later = retry_after(formatdate(time.time() + 100, usegmt=True))
    assert later is not None and 90 < later <= 101


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("tei", [[1.0, 2.0]]),
        ("tei", {"error": "x"}),
        ("tei", [[1.0, 2.0], [1.0]]),
        ("tei", [[1.0, 2.0], ["a", "b"]]),
        ("tei", [[0.0, 0.0], [1.0, 1.0]]),
        ("tei", "[[1.0, NaN], [1.0, 1.0]]"),
        ("tei", "[[1.0, 1.0], [1e999, 1.0]]"),
        ("tei", [[], []]),
        ("tei", "<html>gateway</html>"),
        ("tei", ""),
        ("openai", {"data": [{"index": 0, "embedding": [1.0]}]}),
        ("openai", {"data": [{"index": 0}, {"index": 1}]}),
        ("openai", {"object": "list"}),
        ("openai", []),
        ("openai", {"data": None}),
        ("cohere", {"embeddings": [[1.0], [1.0]]}),
        ("cohere", {"embeddings": {"int8": [[1], [1]]}}),
    ],
)
def test_nonsense_is_an_error(service: FakeService, protocol: str, answer: Any) -> None:
    encoder = _dense(service, protocol)
    encoder.encode_documents(["a"])
    service.faults = [(200, {}, answer)]
    with pytest.raises(EncoderServiceError):
        encoder.encode_documents(["a", "b"])


def test_a_service_that_changes_its_width_is_an_error(service: FakeService) -> None:
    encoder = _dense(service)
    encoder.encode_documents(["a"])
    service.width = 3
    with pytest.raises(EncoderServiceError, match="changed its width to 3"):
        encoder.encode_documents(["a"])


def test_the_key_is_sent_and_shown_nowhere(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    encoder = _dense(service)
    encoder.encode_documents(["a"])
    assert service.calls[0][2]["authorization"] == f"Bearer {KEY}"
    service.faults = [(500, {}, f"key {KEY}"), (401, {}, f"wrong key {KEY}")]
    with caplog.at_level("DEBUG"), pytest.raises(EncoderServiceError) as error:
        encoder.encode_documents(["a"])
    shown = f"{error.value} {encoder!r} {encoder.identity} {caplog.text}"
    assert KEY not in shown
    assert "wrong key ***" in str(error.value)


def test_a_key_is_not_sent_in_the_clear_without_a_word(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TEI_API_KEY", KEY)
    client = ServiceClient("http://192.0.2.1", "TEI_API_KEY", FAST)
    assert client._http is not None
    assert "TEI_API_KEY is sent unencrypted to 192.0.2.1" in caplog.text


def test_public_services_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, model in (("OPENAI_API_KEY", "openai:small"), ("COHERE_API_KEY", "cohere:embed")):
        monkeypatch.delenv(name, raising=False)
        with pytest.raises(EncoderError, match=name):
            load_dense(model)


@pytest.mark.parametrize(
    ("model", "address"),
    [
        ("openai:small", ServiceAddress("openai", "small", "https://api.openai.com")),
        ("openai:a/b@http://h:1/", ServiceAddress("openai", "a/b", "http://h:1")),
        ("tei:http://127.0.0.1:8080", ServiceAddress("tei", "", "http://127.0.0.1:8080")),
        ("tei:bge-m3@https://h", ServiceAddress("tei", "bge-m3", "https://h")),
        ("cohere:embed-v4.0", ServiceAddress("cohere", "embed-v4.0", "https://api.cohere.com")),
    ],
)
def test_addresses(model: str, address: ServiceAddress) -> None:
    assert is_service(model)
    assert parse_address(model) == address
    assert parse_address(address.name) == address


@pytest.mark.parametrize("model", ["tei:", "tei:host", "openai:", "openai:@http://h"])
def test_incomplete_addresses(model: str) -> None:
    with pytest.raises(EncoderError, match="Write openai:MODEL@URL"):
        parse_address(model)


def test_addresses_carry_no_password() -> None:
    with pytest.raises(EncoderError, match="TEI_API_KEY") as error:
        parse_address("tei:https://user:hunter2@host")
    assert "hunter2" not in str(error.value)


def test_identity_is_the_model_not_the_place(service: FakeService) -> None:
    one, other = _dense(service, "tei"), _dense(service, "tei", dimension=2)
    assert one.identity.model == f"tei:{service.url}"
    assert one.identity.fingerprint != other.identity.fingerprint
    assert one.max_tokens == 128
    assert _dense(service, "openai").identity.fingerprint != one.identity.fingerprint


def test_tokens_are_estimated_or_counted(service: FakeService) -> None:
    assert estimated_tokens("") == 1
    assert estimated_tokens("abcdefgh") == 3
    assert estimated_tokens("유동성") == 4
    plain = _dense(service)
    assert plain.count_tokens(["abcdefgh"]) == [3]
    assert plain.knows(["유동성"]) == [True]
    named = ServiceDenseEncoder(Service.at(f"tei:all-MiniLM-L6-v2@{service.url}", FAST))
    assert named.count_tokens(["annual fee"]) == [4]
    assert named.knows(["유동성", "fee"]) == [False, True]


def test_sparse_from_tei(service: FakeService) -> None:
    found = load_sparse(f"tei:all-MiniLM-L6-v2@{service.url}", LoadOptions(top_k=1))
    assert isinstance(found, SparseEncoder)
    [document] = found.encode_documents(["fee"])
    assert found.tokens(document.ids.tolist()) == ["what"]
    [query] = found.encode_queries(["fee"])
    assert query.ids.tolist() == [7, 2054]
    assert query.weights.tolist() == [0.5, 1.5]
    assert found.encode_documents([]) == []
    assert found.identity.dimension == 30522


@pytest.mark.parametrize(
    "row",
    [
        [{"index": 99_999_999, "value": 1.0}],
        [{"index": -1, "value": 1.0}],
        [{"index": 1, "value": 1.0}, {"index": 1, "value": 2.0}],
        [{"value": 1.0}],
        [7],
        None,
    ],
)
def test_sparse_nonsense_is_an_error(service: FakeService, row: Any) -> None:
    tei = Service.at(f"tei:all-MiniLM-L6-v2@{service.url}", FAST)
    encoder = ServiceSparseEncoder(tei, 30522, Pruning())
    service.faults = [(200, {}, [row])]
    with pytest.raises(EncoderServiceError, match="nonsense"):
        encoder.encode_documents(["fee"])


@pytest.mark.parametrize("model", ["tei:http://127.0.0.1:9", "openai:small@http://127.0.0.1:9"])
def test_sparse_needs_tei_and_a_tokenizer(model: str) -> None:
    with pytest.raises(EncoderError, match="tei:TOKENIZER@URL"):
        load_sparse(model)
