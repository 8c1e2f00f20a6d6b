"""Charts and stored measurements, on a real node."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opensearch.client import connect
from opensearch.dashboards.board import CHARTS
from opensearch.errors import SearchBackendError
from opensearch.measurements import QUALITY_INDEX, SERVING_INDEX, store_measurements
from opensearch.settings import load_settings
from training.evaluation.datasets import JudgedQueries, Query
from training.evaluation.measurements import measurements
from training.evaluation.results import Searched
from training.evaluation.runner import compare_modes, run_mode

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def client(node_url: str) -> Iterator[Any]:
    client = connect(load_settings(url=node_url))
    for index in (QUALITY_INDEX, SERVING_INDEX):
        client.indices.delete(index=index, ignore_unavailable=True)
    yield client
    for index in (QUALITY_INDEX, SERVING_INDEX):
        client.indices.delete(index=index, ignore_unavailable=True)


@pytest.fixture(scope="module")
def filled(client: Any) -> Any:
    """A cluster with one evaluation of two modes, and three reports of a server."""
    queries = {f"q{n}": Query(f"q{n}", f"text {n}") for n in range(4)}
    judged = JudgedQueries(queries, {name: {"d1": 1} for name in queries}, name="set/dev")
    good = run_mode(judged, lambda _: Searched([("d1", 1.0)], 1.0, 2.0))
    poor = run_mode(judged, lambda _: Searched([("d2", 1.0), ("d1", 0.5)], 0.0, 1.0))
    report = compare_modes({"bm25": poor, "hybrid": good})
    assert store_measurements(client, QUALITY_INDEX, measurements(report)) == 2
    now = datetime.now(UTC)
    served = [
        {
            "@timestamp": (now - timedelta(minutes=n)).isoformat(),
            "server": "a",
            "route": "/sparse",
            "requests": 10,
            "errors": 0,
            "refused": 1,
            "texts": 20,
            "tokens": 300,
            "p50_ms": 4.0,
            "p95_ms": 9.0,
            "max_ms": 11.0,
            "seconds": 10.0,
        }
        for n in range(3)
    ]
    assert store_measurements(client, SERVING_INDEX, served) == 3
    client.indices.refresh(index=f"{QUALITY_INDEX},{SERVING_INDEX}")
    return client


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.key)
def test_each_chart_has_something_to_show(filled: Any, chart) -> None:
    answer = filled.search(index=chart.index, body=chart.search_body())
    values = list(numbers(answer["aggregations"]))
    assert len(values) >= len(chart.values)
    assert all(value is not None for value in values)


def numbers(node: Any) -> Iterator[float | None]:
    """Every value at the leaves of an answer's aggregations."""
    for entry in node.values() if isinstance(node, dict) else ():
        if isinstance(entry, dict) and set(entry) == {"value"}:
            yield entry["value"]
        elif isinstance(entry, dict) and "buckets" in entry:
            for bucket in entry["buckets"]:
                yield from numbers(bucket)


def test_an_evaluation_is_kept_with_its_verdict(filled: Any) -> None:
    query = {"query": {"term": {"mode": "hybrid"}}}
    (hit,) = filled.search(index=QUALITY_INDEX, body=query)["hits"]["hits"]
    kept = hit["_source"]
    assert kept["ndcg_10"] == 1.0
    assert kept["difference"] > 0.3
    assert kept["set"] == "set/dev"
    assert {"p50_ms", "p95_ms", "verdict", "p_holm"} <= set(kept)


def test_what_does_not_fit_is_refused_with_the_reason(filled: Any) -> None:
    with pytest.raises(SearchBackendError, match="1 measurements were refused"):
        store_measurements(filled, SERVING_INDEX, [{"@timestamp": "yesterday", "requests": 1}])


def test_nothing_to_store_is_nothing_sent() -> None:
    assert store_measurements(None, SERVING_INDEX, []) == 0
