"""The encoder server inside the process: wire forms, limits, token, errors, logs, metrics."""

import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import APIRouter
from serving_samples import (
    FAULTY,
    WIDTH,
    FakeDense,
    FakeReranker,
    FakeSparse,
    all_models,
    call,
    client_of,
    post,
    vector_of,
)

from encoders.reading import Reading
from encoders.settings import TextSettings
from serving.app import Server, build_server
from serving.config import Batching, Limits, ServeConfig
from serving.errors import ServingError
from serving.logs import JsonFormatter
from serving.models import ServedModels, is_named, shown_name
from serving.tasks import dense_task

TOKEN = "a-long-token-of-this-test"
CANARY = "canary-7f3a-secret-text"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything any logger says, as the server would write it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: record.name != "httpx")  # the client's own
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def error_of(response: httpx.Response) -> str:
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "code"}
    return str(body["error"]["message"])


# Wire forms


def test_embeddings_in_openais_form() -> None:
    body = {"input": ["one two", "three"], "model": "tiny-dense", "user": "me"}
    answer = post("/v1/embeddings", body).json()
    assert answer["object"] == "list"
    assert answer["model"] == "tiny-dense"
    assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert [entry["index"] for entry in answer["data"]] == [0, 1]
    expected = [vector_of(text, 2) for text in body["input"]]
    np.testing.assert_allclose([e["embedding"] for e in answer["data"]], expected, atol=1e-7)


def test_embeddings_of_one_text_and_as_a_query() -> None:
    body = {"input": "fee", "input_type": "query", "encoding_format": "base64"}
    (entry,) = post("/v1/embeddings", body).json()["data"]
    found = np.frombuffer(base64.b64decode(entry["embedding"]), dtype="<f4")
    np.testing.assert_array_equal(found, vector_of("fee", 1))


def test_dense_in_the_form_of_ml_commons() -> None:
    for content_type, side in (("query", 1), ("passage", 2)):
        found = post("/dense", {"texts": ["fee", "loan"], "content_type": content_type}).json()
        np.testing.assert_allclose(found, [vector_of("fee", side), vector_of("loan", side)])
    assert (
        post("/dense", {"texts": ["fee"]}).json()
        == post("/dense", {"texts": ["fee"], "content_type": "document"}).json()
    )


@pytest.mark.parametrize("name", ["input", "texts"])
def test_sparse_by_word_and_by_number(name: str) -> None:
    assert post("/sparse", {name: ["fee loan", "a"]}).json() == [{"w4": 8, "w3": 6}, {"w1": 2}]
    body = {name: ["fee"], "input_type": "query", "format": "TOKEN_ID"}
    assert post("/sparse", body).json() == [{"3": 3}]


@pytest.mark.parametrize("name", ["documents", "texts"])
def test_rerank_puts_the_best_first(name: str) -> None:
    body = {"query": "abcd", name: ["ab", "abcd", "xyz", "abc"], "top_n": 3}
    answer = post("/rerank", body).json()
    assert [entry["index"] for entry in answer["results"]] == [1, 3, 0]
    assert [entry["relevance_score"] for entry in answer["results"]] == [1, 0.75, 0.5]
    assert answer["model"] == "owner/tiny-reranker"


def test_text_embeddings_inferences_form() -> None:
    found = post("/embed", {"inputs": ["fee"], "truncate": True}).json()
    np.testing.assert_allclose(found, [vector_of("fee", 2)])
    sparse = post("/embed_sparse", {"inputs": "fee loan", "input_type": "query"}).json()
    assert sparse == [[{"index": 3, "value": 3}, {"index": 4, "value": 4}]]


def test_what_is_served_is_said() -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> tuple[Any, Any, Any]:
        pages = [await client.get(path) for path in ("/info", "/ready", "/v1/models")]
        return tuple(page.json() for page in pages)  # type: ignore[return-value]

    info, ready, models = call(scenario)
    assert info["model_id"] == "tiny-dense"
    assert [entry["kind"] for entry in info["tandem"]] == ["dense", "sparse", "rerank"]
    assert ready["status"] == "ready"
    assert ready["models"][0]["fingerprint"] == "f" * 32
    assert models["data"][0]["id"] == "tiny-dense"


def test_only_what_is_loaded_has_routes() -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> httpx.Response:
        return await client.post("/sparse", json={"input": ["fee"]})

    answer = call(scenario, ServedModels(dense=FakeDense()))
    assert answer.status_code == 404
    assert "/v1/embeddings" in error_of(answer)
    with pytest.raises(ServingError, match="Nothing to serve"):
        ServedModels()


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("/srv/models/mine", "mine"),
        ("./runs/mine", "mine"),
        ("a/b/c", "c"),
        ("owner/name", "owner/name"),
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
    ],
)
def test_names_of_models_hide_folders(model: str, shown: str) -> None:
    assert shown_name(model) == shown
    assert is_named(model, shown) and is_named(model, model)
    assert not is_named(model, "other")


def test_another_model_is_not_found() -> None:
    answer = post("/v1/embeddings", {"input": "fee", "model": "gpt-4"})
    assert answer.status_code == 404
    assert "tiny-dense" in error_of(answer)
    assert post("/rerank", {"query": "a", "texts": ["a"], "model": "x"}).status_code == 404


def test_shorter_vectors_only_where_they_make_sense() -> None:
    refused = post("/v1/embeddings", {"input": "fee", "dimensions": 4})
    assert refused.status_code == 400
    assert "--matryoshka" in error_of(refused)
    config = ServeConfig(matryoshka=True)
    (entry,) = post("/v1/embeddings", {"input": "fee", "dimensions": 4}, config).json()["data"]
    expected = vector_of("fee", 2)[:4]
    np.testing.assert_allclose(entry["embedding"], expected / np.linalg.norm(expected), atol=1e-6)
    too_many = post("/v1/embeddings", {"input": "fee", "dimensions": 99}, config)
    assert too_many.status_code == 400
    assert post("/v1/embeddings", {"input": "fee", "dimensions": WIDTH}).status_code == 200


# Refusals


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/embeddings", {}, "input: Field required"),
        ("/v1/embeddings", {"input": []}, "at least 1 item"),
        ("/v1/embeddings", {"input": [[1, 2]]}, "input.0: Input should be a valid string"),
        ("/v1/embeddings", {"input": "a", "input_typ": "query"}, "input_typ: Extra inputs"),
        ("/v1/embeddings", {"input": "a", "dimensions": "4"}, "dimensions"),
        ("/v1/embeddings", ["a"], "body"),
        ("/dense", {"texts": ["a"], "content_type": "QUERY"}, "content_type"),
        ("/sparse", {}, "exactly one of input and texts"),
        ("/sparse", {"input": ["a"], "texts": ["a"]}, "exactly one of input and texts"),
        ("/sparse", {"input": ["a"], "format": "word"}, "format"),
        ("/rerank", {"documents": ["a"]}, "query: Field required"),
        ("/rerank", {"query": "a", "texts": ["a"], "top_n": 0}, "top_n"),
        ("/embed", {"inputs": "a", "normalize": False}, "normalize"),
        ("/dense", {"texts": ["\ud800"]}, "surrogate"),
    ],
)
def test_a_wrong_body_is_explained(path: str, body: Any, message: str) -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return await client.post(path, content=json.dumps(body), headers=headers)

    answer = call(scenario)
    assert answer.status_code == 422
    assert message in error_of(answer)


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"{", "application/json", 422, "JSON decode error"),
        (b"", "application/json", 422, "Field required"),
        (b'{"texts": ["a"]}', "text/plain", 422, "content-type: application/json"),
        (b'"\xff"', "application/json", 400, "parsing"),
        (b"[" * 100_000, "application/json", 400, "parsing"),
    ],
)
def test_what_is_no_json_is_explained(content: bytes, kind: str, status: int, message: str) -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> httpx.Response:
        return await client.post("/dense", content=content, headers={"content-type": kind})

    answer = call(scenario)
    assert answer.status_code == status
    assert message in error_of(answer)


def test_unknown_paths_and_methods() -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> None:
        missing = await client.get(f"/{CANARY}")
        assert missing.status_code == 404
        assert CANARY not in missing.text
        wrong = await client.get("/dense")
        assert wrong.status_code == 405
        assert wrong.headers["allow"] == "POST"

    call(scenario)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_long_body_is_refused_while_it_is_read(chunked: bool) -> None:
    read = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 100
            yield b" " * 100

    async def scenario(client: httpx.AsyncClient, _: Server) -> httpx.Response:
        content = parts() if chunked else b" " * 5000
        return await client.post("/dense", content=content)

    answer = call(scenario, config=ServeConfig(limits=Limits(request_bytes=1000)))
    assert answer.status_code == 413
    assert "1000 bytes" in error_of(answer)
    assert read < 6000


def test_a_slow_body_is_given_up() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(5)
        yield b"}"

    async def scenario(client: httpx.AsyncClient, _: Server) -> httpx.Response:
        return await client.post("/dense", content=parts())

    assert call(scenario, config=ServeConfig(limits=Limits(body_s=0.05))).status_code == 408


def test_too_many_and_too_long_texts() -> None:
    config = ServeConfig(limits=Limits(texts=3, text_characters=10))
    many = post("/dense", {"texts": ["a"] * 4}, config)
    assert (many.status_code, "takes 3" in error_of(many)) == (422, True)
    long = post("/dense", {"texts": ["a", "b" * 11]}, config)
    assert (long.status_code, "11 characters" in error_of(long)) == (422, True)
    query = post("/rerank", {"query": "b" * 11, "texts": ["a"]}, config)
    assert query.status_code == 422
    assert post("/dense", {"texts": ["a"] * 3}, config).status_code == 200


def test_long_texts_are_cut_and_counted() -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> None:
        answer = await client.post("/dense", json={"texts": ["a", "b " * 30]})
        assert answer.headers["x-cut-texts"] == "1"
        page = (await client.get("/metrics")).text
        assert 'tandem_cut_texts_total{encoder="dense",side="document"} 1.0' in page
        assert 'tandem_tokens_total{encoder="dense",side="document"} 21.0' in page

    call(scenario)


# Token


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer é"],
)
def test_without_the_token_nobody_comes_in(header: str | None) -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> None:
        headers = {} if header is None else {"authorization": header.encode()}
        for method, path in (
            ("POST", "/dense"),
            ("GET", "/info"),
            ("GET", "/metrics"),
            ("GET", "/openapi.json"),
            ("GET", "/nowhere"),
        ):
            answer = await client.request(method, path, headers=headers)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"] == "Bearer"
        for path in ("/health", "/ready"):
            assert (await client.get(path, headers=headers)).status_code == 200

    call(scenario, config=ServeConfig(token=TOKEN))


def test_with_the_token_everything_is_open() -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> None:
        for scheme in ("Bearer", "bearer"):
            headers = {"authorization": f"{scheme} {TOKEN}"}
            answer = await client.post("/dense", json={"texts": ["a"]}, headers=headers)
            assert answer.status_code == 200
        assert (await client.get("/metrics")).status_code == 200

    call(scenario, config=ServeConfig(token=TOKEN, open_metrics=True))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_a_public_address_needs_a_token(host: str) -> None:
    with pytest.raises(ServingError, match="TANDEM_SERVE_TOKEN"):
        ServeConfig(host=host)
    assert ServeConfig(host=host, token=TOKEN).host == host


def test_wrong_settings_are_refused() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert ServeConfig(host=host).token is None
    for token in ("", "two words", "schlüssel", "line\n"):
        with pytest.raises(ServingError, match="printable"):
            ServeConfig(token=token)
    assert TOKEN not in repr(ServeConfig(token=TOKEN))
    with pytest.raises(ServingError, match="--queue"):
        ServeConfig(limits=Limits(texts=10), batching=Batching(queue=9))


# Load, faults, stop


def test_requests_at_once_share_batches_and_keep_their_results() -> None:
    dense = FakeDense()

    async def scenario(client: httpx.AsyncClient, _: Server) -> list[httpx.Response]:
        bodies = [{"texts": [f"text {n}", f"other {n}"]} for n in range(30)]
        return await asyncio.gather(*(client.post("/dense", json=body) for body in bodies))

    answers = call(scenario, all_models(dense), ServeConfig(batching=Batching(wait_ms=20)))
    for number, answer in enumerate(answers):
        expected = [vector_of(f"text {number}", 2), vector_of(f"other {number}", 2)]
        np.testing.assert_allclose(answer.json(), expected, atol=1e-7)
    assert len(dense.batches) < 15


def test_a_fault_is_answered_and_harms_nobody(logged: io.StringIO) -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> list[httpx.Response]:
        texts = [CANARY, FAULTY, "good"]
        return await asyncio.gather(
            *(client.post("/dense", json={"texts": [text]}) for text in texts)
        )

    first, faulty, last = call(scenario)
    assert (first.status_code, last.status_code) == (200, 200)
    assert faulty.status_code == 500
    assert faulty.headers["x-request-id"] in error_of(faulty)
    assert FAULTY not in faulty.text.replace("failed", "")
    assert CANARY not in logged.getvalue()
    assert "cannot encode" not in logged.getvalue()


def test_an_overload_is_said_at_once() -> None:
    dense = FakeDense()
    dense.open.clear()
    config = ServeConfig(limits=Limits(texts=8), batching=Batching(wait_ms=0, queue=8))

    async def scenario(client: httpx.AsyncClient, _: Server) -> list[httpx.Response]:
        def send() -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(client.post("/dense", json={"texts": ["a b c"] * 8}))

        working = send()
        await asyncio.sleep(0.05)
        waiting = send()
        await asyncio.sleep(0.05)
        refused = await send()
        dense.open.set()
        return [await working, await waiting, refused]

    working, waiting, refused = call(scenario, all_models(dense), config)
    assert (working.status_code, waiting.status_code) == (200, 200)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    assert "Ask again" in error_of(refused)


def test_a_request_that_takes_too_long_is_given_up() -> None:
    dense = FakeDense()
    dense.open.clear()

    async def scenario(client: httpx.AsyncClient, _: Server) -> None:
        answer = await client.post("/dense", json={"texts": ["a"]})
        dense.open.set()
        assert answer.status_code == 503
        assert "0.1 s" in error_of(answer)
        assert (await client.post("/sparse", json={"input": ["a"]})).status_code == 200

    call(scenario, all_models(dense), ServeConfig(timeout_s=0.1))


def test_a_client_that_leaves_takes_its_texts_along() -> None:
    dense = FakeDense()
    dense.open.clear()

    async def scenario(client: httpx.AsyncClient, server: Server) -> None:
        working = asyncio.create_task(client.post("/dense", json={"texts": ["first"]}))
        await asyncio.sleep(0.05)
        leaver = asyncio.create_task(_leave(server, "second"))
        await asyncio.wait_for(leaver, 2)
        assert server.engine.waiting()["dense", "document"] == 0
        dense.open.set()
        assert (await working).status_code == 200
        assert dense.batches == [["first"]]

    call(scenario, all_models(dense), ServeConfig(batching=Batching(wait_ms=0)))


async def _leave(server: Server, text: str) -> None:
    """A client that closes its connection 50 ms after it sent a request."""
    body = json.dumps({"texts": [text]}).encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        return None

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/dense",
        "raw_path": b"/dense",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
        "root_path": "",
    }
    await server.app(scope, receive, send)


def test_a_stopping_server_takes_nothing_new_and_finishes_the_rest() -> None:
    dense = FakeDense()
    dense.open.clear()

    async def scenario(client: httpx.AsyncClient, server: Server) -> None:
        working = asyncio.create_task(client.post("/dense", json={"texts": ["a"]}))
        await asyncio.sleep(0.05)
        server.lifecycle.begin_stop()
        refused = await client.post("/dense", json={"texts": ["b"]})
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/ready")).json()["status"] == "stopping"
        assert (await client.get("/health")).status_code == 200
        assert not await server.lifecycle.drained(0.05)
        dense.open.set()
        assert (await working).status_code == 200
        assert await server.lifecycle.drained(1)

    call(scenario, all_models(dense))


def test_at_the_end_of_the_stop_the_rest_hears_so() -> None:
    dense = FakeDense()
    dense.open.clear()

    async def scenario(client: httpx.AsyncClient, server: Server) -> None:
        working = asyncio.create_task(client.post("/dense", json={"texts": ["a"]}))
        await asyncio.sleep(0.05)
        server.engine.refuse()
        answer = await working
        dense.open.set()
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "stopping"

    call(scenario, all_models(dense))


def test_too_many_requests_at_once_are_refused_unread() -> None:
    dense = FakeDense()
    dense.open.clear()

    async def scenario(client: httpx.AsyncClient, _: Server) -> None:
        working = asyncio.create_task(client.post("/dense", json={"texts": ["a"]}))
        await asyncio.sleep(0.05)
        refused = await client.post("/dense", json={"texts": ["b"]})
        assert refused.status_code == 503
        assert (await client.get("/health")).status_code == 200
        dense.open.set()
        assert (await working).status_code == 200

    call(scenario, all_models(dense), ServeConfig(in_flight=1))


def test_not_ready_before_it_has_started() -> None:
    async def scenario() -> httpx.Response:
        server = build_server(all_models(), ServeConfig())
        transport = httpx.ASGITransport(server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/ready")

    answer = asyncio.run(scenario())
    assert answer.status_code == 503
    assert answer.json()["status"] == "starting"


def test_vectors_that_are_no_numbers_are_a_fault() -> None:
    class Broken(FakeDense):
        def encode_documents(self, texts: Any) -> np.ndarray:
            return np.full((len(texts), WIDTH), np.nan, dtype=np.float32)

    async def scenario(client: httpx.AsyncClient, _: Server) -> httpx.Response:
        return await client.post("/dense", json={"texts": ["a"]})

    assert call(scenario, ServedModels(dense=Broken())).status_code == 500


# Logs, ids, metrics, description


def test_one_log_line_per_request_without_its_text(logged: io.StringIO) -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> list[str]:
        bad = json.dumps({"texts": [CANARY], CANARY: CANARY})
        answers = [
            await client.post("/dense", json={"texts": [CANARY, "b"]}),
            await client.post("/dense", content=bad, headers={"content-type": "application/json"}),
            await client.post(f"/{CANARY}?q={CANARY}", content=CANARY),
            await client.request("CANARY", "/dense"),
            await client.post("/rerank", json={"query": CANARY, "texts": [CANARY] * 3}),
        ]
        return [answer.headers["x-request-id"] for answer in answers]

    ids = call(scenario)
    assert "canary" not in logged.getvalue().lower()
    requests = [line for line in lines(logged) if line["message"] == "request"]
    assert [line["request_id"] for line in requests] == ids
    assert [line["status"] for line in requests] == [200, 422, 404, 405, 200]
    assert [line["route"] for line in requests] == [
        "/dense",
        "/dense",
        "other",
        "/dense",
        "/rerank",
    ]
    assert [line["texts"] for line in requests] == [2, 0, 0, 0, 3]
    assert requests[0]["tokens"] == 2
    assert requests[0]["batch"] == 2
    assert requests[0]["ms"] >= 0


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.2_3", True), ("", False), ("a b", False), ("x" * 65, False)]
)
def test_a_sound_request_id_is_kept(given: str, kept: bool) -> None:
    answer = post("/dense", {"texts": ["a"]}, headers={"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"]


def test_a_logged_exception_shows_its_place_and_not_its_message() -> None:
    def fail() -> None:
        raise ValueError(CANARY)

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("test-of-exceptions")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        try:
            fail()
        except ValueError as error:
            raise RuntimeError(CANARY) from error
    except RuntimeError:
        logger.exception("it failed")
    (line,) = lines(stream)
    assert line["error"] == "RuntimeError"
    assert line["cause"] == "ValueError"
    assert line["cause_at"][-1].endswith(" fail")
    assert CANARY not in stream.getvalue()


def test_the_loops_own_reports_hide_exceptions(logged: io.StringIO) -> None:
    async def scenario(_: httpx.AsyncClient, server: Server) -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError(CANARY))
        del future
        import gc

        gc.collect()
        await asyncio.sleep(0)

    call(scenario)
    (line,) = [line for line in lines(logged) if line["logger"] == "serving.loop"]
    assert line["error"] == "ValueError"
    assert CANARY not in logged.getvalue()


def test_metrics_count_what_happened() -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> str:
        await client.post("/dense", json={"texts": ["a", "b"]})
        await client.post("/dense", json={})
        await client.get("/nowhere")
        return (await client.get("/metrics")).text

    page = call(scenario)
    for line in (
        'tandem_requests_total{route="/dense",status="200"} 1.0',
        'tandem_requests_total{route="/dense",status="422"} 1.0',
        'tandem_requests_total{route="other",status="404"} 1.0',
        'tandem_request_seconds_count{route="/dense"} 2.0',
        'tandem_batch_texts_count{encoder="dense",side="document"} 1.0',
        'tandem_batch_texts_sum{encoder="dense",side="document"} 2.0',
        'tandem_queue_texts{encoder="dense",side="query"} 0.0',
        'tandem_refused_total{reason="invalid"} 1.0',
        "tandem_requests_in_flight 1.0",
    ):
        assert line in page, line
    assert "tandem_encoder_seconds_total" in page


def test_the_description_has_the_limits_and_the_token() -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {TOKEN}"}
        return dict((await client.get("/openapi.json", headers=headers)).json())

    limits = Limits(texts=7, text_characters=11)
    schema = call(scenario, config=ServeConfig(token=TOKEN, limits=limits))
    texts = schema["components"]["schemas"]["DenseRequest"]["properties"]["texts"]
    assert (texts["maxItems"], texts["items"]["maxLength"], texts["minItems"]) == (7, 11, 1)
    assert "x-texts" not in json.dumps(schema)
    dense = schema["paths"]["/dense"]["post"]
    assert {"200", "400", "401", "413", "422", "500", "503"} <= set(dense["responses"])
    assert dense["security"]
    assert "security" not in schema["paths"]["/health"]["get"]
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_further_routes_lie_behind_the_same_gate() -> None:
    router = APIRouter()

    @router.post("/search/{name}")
    async def search(name: str) -> dict[str, str]:
        return {"searched": name}

    async def scenario() -> None:
        config = ServeConfig(token=TOKEN)
        server = build_server(ServedModels(sparse=FakeSparse()), config, [router])
        async with client_of(server) as client:
            assert (await client.post("/search/docs")).status_code == 401
            headers = {"authorization": f"Bearer {TOKEN}"}
            found = await client.post("/search/docs", headers=headers)
            assert found.json() == {"searched": "docs"}
            page = (await client.get("/metrics", headers=headers)).text
            assert 'route="/search/{name}",status="200"' in page

    asyncio.run(scenario())


def test_a_reranker_can_be_served_alone() -> None:
    async def scenario(client: httpx.AsyncClient, _: Server) -> httpx.Response:
        return await client.post("/rerank", json={"query": "ab", "texts": ["a", "ab"]})

    answer = call(scenario, ServedModels(reranker=FakeReranker()))
    assert [entry["index"] for entry in answer.json()["results"]] == [1, 0]


def test_prompts_count_as_tokens() -> None:
    class Prompted(FakeDense, Reading):
        model = SimpleNamespace(
            settings=SimpleNamespace(text=TextSettings(20, query_prompt="find this: "))
        )

    assert dense_task(Prompted(), "query").count(["a b"]) == [4]
    assert dense_task(Prompted(), "document").count(["a b"]) == [2]
