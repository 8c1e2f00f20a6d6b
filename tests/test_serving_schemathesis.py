"""Hundreds of requests made from the server's own description, valid and malformed."""

import io
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from serving_samples import all_models

from serving.app import build_server
from serving.config import Limits, ServeConfig
from serving.logs import JsonFormatter

TOKEN = "a-long-token-of-this-test"
CANARY = "canary-19c4-secret-text"
# Of each route: so many requests that follow the description, and so many that do not.
EXAMPLES = 15
PATHS = (
    ("POST", "/v1/embeddings"),
    ("POST", "/dense"),
    ("POST", "/sparse"),
    ("POST", "/rerank"),
    ("POST", "/embed"),
    ("POST", "/embed_sparse"),
    ("GET", "/info"),
    ("GET", "/v1/models"),
    ("GET", "/ready"),
    ("GET", "/health"),
    ("GET", "/metrics"),
)


@pytest.fixture(scope="module")
def logged() -> Iterator[io.StringIO]:
    """What the server would log: every logger, the libraries' included."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    clients = ("urllib3", "httpx", "httpcore", "schemathesis")
    handler.addFilter(lambda record: not record.name.startswith(clients))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in clients:
        logging.getLogger(name).setLevel(logging.WARNING)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="module")
def url(logged: io.StringIO) -> Iterator[str]:
    """A real HTTP server in a thread."""
    limits = Limits(texts=5, text_characters=50, request_bytes=20_000)
    server = build_server(all_models(), ServeConfig(token=TOKEN, limits=limits))
    settings_ = uvicorn.Config(server.app, port=0, log_config=None, access_log=False)
    process = uvicorn.Server(settings_)
    thread = threading.Thread(target=process.run, daemon=True)
    thread.start()
    while not process.started:
        time.sleep(0.01)
    port = process.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    process.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def headers() -> dict[str, str]:
    return {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def schema(url: str, headers: dict[str, str]) -> Any:
    return schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers)


def with_canary(value: Any) -> Any:
    """The same body, with the canary in every string."""
    if isinstance(value, str):
        return value + CANARY
    if isinstance(value, list):
        return [with_canary(entry) for entry in value]
    if isinstance(value, dict):
        return {key: with_canary(entry) for key, entry in value.items()}
    return value


SENT: Counter[int] = Counter()


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_generated_requests(
    url: str, headers: dict[str, str], schema: Any, method: str, path: str, mode: str
) -> None:
    operation = schema[path][method]
    if mode == "negative" and method == "GET":
        operation = schema[path][method]
        for wrong in ("PUT", "CANARY", "DELETE"):
            answer = httpx.request(wrong, url + path, headers=headers, content=CANARY)
            SENT[answer.status_code] += 1
            assert answer.status_code == 405
        return
    chosen = GenerationMode.POSITIVE if mode == "positive" else GenerationMode.NEGATIVE
    client = httpx.Client(base_url=url, headers=headers, timeout=10)

    @seed(5)
    @settings(
        max_examples=EXAMPLES if method == "POST" else 3,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=chosen))
    def check(case: Any) -> None:
        response = case.call(base_url=url, headers=headers, timeout=10)
        SENT[response.status_code] += 1
        case.validate_response(response, headers=headers)
        if method == "POST" and isinstance(case.body, dict | list | str):
            answer = client.post(path, json=with_canary(case.body))
            SENT[answer.status_code] += 1
            assert answer.status_code < 500

    check()
    client.close()


@pytest.mark.parametrize(
    "content",
    [
        CANARY.encode(),
        f'{{"texts": ["{CANARY}"'.encode(),
        f'{{"texts": "{CANARY}"}}'.encode(),
        f'{{"{CANARY}": 1}}'.encode(),
        b'{"texts": ["' + CANARY.encode() + b'\xff"]}',
        b'{"texts": ["' + CANARY.encode() + b'\\ud800"]}',
        b'{"texts": ["' + CANARY.encode() + b'\\u0000"]}',
        b'{"texts": [NaN, 1e999, "' + CANARY.encode() + b'"]}',
        b'{"texts": ["' + CANARY.encode() * 5000 + b'"]}',
        b'{"texts": ' + b"[" * 5000 + b'"' + CANARY.encode() + b'"' + b"]" * 5000 + b"}",
        b'{"a":' * 3000 + b'"' + CANARY.encode() + b'"' + b"}" * 3000,
        b'{"dimensions": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_broken_bodies(url: str, headers: dict[str, str], content: bytes) -> None:
    with httpx.Client(base_url=url, headers=headers) as client:
        for path in ("/dense", "/v1/embeddings", f"/{CANARY}"):
            for kind in ("application/json", CANARY, "multipart/form-data; boundary=x", ""):
                answer = client.post(path, content=content, headers={"content-type": kind})
                SENT[answer.status_code] += 1
                assert answer.status_code < 500
                if answer.status_code != 200:
                    assert set(answer.json()["error"]) == {"message", "type", "code"}


def test_hundreds_were_sent_and_no_text_was_logged(logged: io.StringIO) -> None:
    if not SENT:
        pytest.fail("run the whole file: this looks at what the other tests left behind")
    assert sum(SENT.values()) >= 200
    assert SENT[200] > 20
    assert sum(number for status, number in SENT.items() if 400 <= status < 500) >= 200
    assert not [status for status in SENT if status >= 500]
    text = logged.getvalue()
    assert text.count('"message": "request"') >= sum(SENT.values())
    assert "canary" not in text.lower()
