"""``/search`` and ``/search/events`` of the server, with arms that need no cluster."""

import asyncio
from typing import Any

import httpx
import pytest
from experiment_samples import BROKEN, MemoryLog, experiment, open_fake
from serving_samples import all_models, client_of

from operations.experiments.assigning import group_of
from operations.experiments.background_log import BackgroundLog
from operations.experiments.experiment import Arm, Experiment
from operations.experiments.opening import OpenArm
from operations.experiments.router import RouterConfig, search_router
from operations.experiments.routing import Routes, Wanted
from operations.experiments.session import ExperimentSearch
from serving.app import build_server
from serving.config import Limits, ServeConfig

TOKEN = "a-long-token-of-this-test"
ONE = experiment(share=0.5)


class Site:
    """A server in this process around two arms."""

    def __init__(self, running: Experiment | None = ONE, **config: Any) -> None:
        self.log = MemoryLog()
        self.errors: dict[str, Exception] = {}
        self.config = ServeConfig(**config)
        routes = Routes(lambda: Wanted(Arm("docs-v1-1"), running), self.open)
        background = BackgroundLog(self.log.record)
        self.search = ExperimentSearch("docs", routes, background)

    def open(self, arm: Arm) -> OpenArm:
        letter = "a" if arm.physical == "docs-v1-1" else "b"
        return open_fake(arm, [f"{letter}{n}" for n in range(9)], self.errors.get(arm.physical))

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        return self.send("POST", path, json=body, headers=headers)

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def run() -> httpx.Response:
            router = search_router(
                self.search, RouterConfig(self.config.limits, self.config.timeout_s)
            )
            server = build_server(all_models(), self.config, [router])
            async with client_of(server) as client:
                return await client.request(method, path, **options)

        with self.search:
            return asyncio.run(asyncio.wait_for(run(), 30))


def key_in(group: str) -> str:
    return next(key for key in map(str, range(1000)) if group_of(ONE, key) == group)


@pytest.mark.parametrize(("group", "first"), [("A", "a0"), ("B", "b0")])
def test_search_answers_by_arm_and_hides_it(group: str, first: str) -> None:
    site = Site()
    body = {"query": "words", "key": key_in(group), "size": 2, "filters": ["lang=ko"]}
    answer = site.post("/search", body).json()
    assert set(answer) == {"query_id", "hits", "took_ms"}
    assert answer["hits"][0]["id"] == first
    assert "docs-v" not in str({**answer, "hits": [h | {"chunk_id": ""} for h in answer["hits"]]})
    (logged,) = site.log.stored_queries
    assert (logged.query_id, logged.attributes["arm"]) == (answer["query_id"], group)


def test_the_arm_is_told_when_asked() -> None:
    answer = Site().post("/search", {"query": "w", "key": key_in("B"), "show_arm": True}).json()
    assert (answer["experiment"], answer["arm"], answer["fallback"]) == ("docs-ab1", "B", False)
    mixed = Site(experiment(method="interleaving", share=1.0))
    hits = mixed.post("/search", {"query": "w", "key": "x", "show_arm": True}).json()["hits"]
    assert {hit["team"] for hit in hits} == {"A", "B"}


def test_events_are_logged() -> None:
    site = Site()
    body = {
        "query_id": "q1",
        "key": "ann",
        "events": [
            {"object_id": "a0", "position": 1},
            {"action": "judgement", "object_id": "a1", "grade": 2.0},
            {"action": "purchase", "object_id": "a1", "timestamp": "2026-03-01T10:00:00Z"},
        ],
    }
    answer = site.post("/search/events", body)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 3, "dropped": 0})
    click, judgement, purchase = site.log.stored_events
    assert (click.action_name, click.object_id, click.position) == ("click", "a0", 1)
    assert (click.query_id, click.client_id) == ("q1", "ann")
    assert judgement.attributes == {"grade": 2.0}
    assert purchase.timestamp.isoformat() == "2026-03-01T10:00:00+00:00"


def test_the_token_guards_all_of_it() -> None:
    for method, path in (
        ("POST", "/search"),
        ("POST", "/search/events"),
        ("GET", "/search/status"),
    ):
        assert Site(token=TOKEN).send(method, path, json={}).status_code == 401
    headers = {"authorization": f"Bearer {TOKEN}"}
    body = {"query": "w", "key": "k"}
    assert Site(token=TOKEN).post("/search", body, headers).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"query": ""},
        {"query": "   "},
        {"query": "w" * 51},
        {"key": ""},
        {"key": "two words"},
        {"key": "k" * 101},
        {"size": 0},
        {"size": 1001},
        {"offset": -1},
        {"mode": "magic"},
        {"filters": ["nonsense"]},
        {"filters": [1]},
        {"unknown": 1},
    ],
    ids=str,
)
def test_malformed_queries_are_refused(change: dict[str, Any]) -> None:
    site = Site(limits=Limits(text_characters=50))
    answer = site.post("/search", {"query": "secret", "key": "k", **change})
    assert answer.status_code == 422, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "code"}
    assert not site.log.stored_queries


@pytest.mark.parametrize(
    "event",
    [{"action": "Click!"}, {"position": 0}, {"object_id": "x" * 257}, {"timestamp": "yesterday"}],
    ids=str,
)
def test_malformed_events_are_refused(event: dict[str, Any]) -> None:
    site = Site()
    body = {"query_id": "q", "key": "k", "events": [event]}
    assert site.post("/search/events", body).status_code == 422
    assert Site().post("/search/events", {**body, "events": []}).status_code == 422
    assert not site.log.stored_events


def test_a_body_beyond_the_limit_is_refused() -> None:
    site = Site(limits=Limits(request_bytes=100))
    assert site.post("/search", {"query": "w" * 200, "key": "k"}).status_code == 413


def test_failures_of_the_search_are_told_without_the_query() -> None:
    site = Site(None)
    site.errors["docs-v1-1"] = BROKEN
    answer = site.post("/search", {"query": "secret words", "key": "k"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "secret" not in answer.text


def test_a_search_that_takes_too_long_is_given_up() -> None:
    site = Site(None, timeout_s=0.05)
    slow = site.search.search

    def slowly(question: Any) -> Any:
        import time

        time.sleep(0.3)
        return slow(question)

    site.search.search = slowly  # type: ignore[method-assign]
    answer = site.post("/search", {"query": "w", "key": "k"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "deadline")


def test_status_says_what_is_served() -> None:
    found = Site().send("GET", "/search/status").json()
    assert found["serving"] == "docs-v1-1"
    assert (found["experiment"], found["arm_b_open"]) == ("docs-ab1", True)
    assert found["log"] == {"written": 0, "waiting": 0, "dropped": 0}


def test_the_description_names_the_routes() -> None:
    paths = Site().send("GET", "/openapi.json").json()["paths"]
    assert {"/search", "/search/events", "/search/status"} <= set(paths)
    schema = Site(limits=Limits(text_characters=77)).send("GET", "/openapi.json").json()
    assert schema["components"]["schemas"]["SearchBody"]["properties"]["query"]["maxLength"] == 77
