"""An experiment from its start to its end on a real node."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from opensearch.cli.root import main
from opensearch.client import connect
from opensearch.search import Searcher
from opensearch.settings import load_settings
from operations.experiments.logged import open_logged_search
from operations.experiments.session import Question
from operations.experiments.store import INDEX
from operations.feedback.events import UserEvent
from operations.feedback.privacy import SALT_VARIABLE
from operations.feedback.ubi import UbiLog
from operations.feedback.ubi_mappings import EVENTS_INDEX, QUERIES_INDEX
from operations.reindexing.retention import arms

pytestmark = pytest.mark.operations

RECORDS = [
    {"_id": "fee", "title": "Transfer fees", "text": "A transfer abroad costs 25,000 won."},
    {"_id": "card", "title": "Lost card", "text": "Report a lost card in the app at once."},
    {"_id": "limit", "title": "E-4012", "text": "Error E-4012: the daily limit is used up."},
]


@dataclass
class Site:
    """An index of this test's own."""

    client: Any
    url: str
    name: str

    def tandem(self, *arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(main, [*arguments, "--url", self.url, "--json"])
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if code == 0 else result.output

    def question(self) -> Question:
        return Question("a lost card", "ann", size=3, query_id=f"{self.name}-{uuid.uuid4().hex}")


@pytest.fixture
def site(node_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv(SALT_VARIABLE, "a salt of this test alone")
    client = connect(load_settings(node_url))
    one = Site(client, node_url, f"ab{uuid.uuid4().hex[:8]}")
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(map(json.dumps, RECORDS)), encoding="utf-8")
    options = ("--dense", "none", "--sparse", "lexical")
    result = CliRunner().invoke(
        main, ["index", str(corpus), "--index", one.name, *options, "--url", node_url]
    )
    assert result.exit_code == 0, result.output
    yield one
    client.indices.delete(index=f"{one.name}-*", params={"ignore_unavailable": "true"})
    _forget(client, INDEX, {"term": {"index": one.name}})
    for log in (QUERIES_INDEX, EVENTS_INDEX):
        _forget(client, log, {"prefix": {"query_id": one.name}})


def _forget(client: Any, index: str, query: dict[str, Any]) -> None:
    options = {"ignore_unavailable": "true", "refresh": "true", "conflicts": "proceed"}
    client.delete_by_query(index=index, body={"query": query}, params=options)


def test_an_experiment_from_start_to_promotion(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.tandem("reindex", site.name, "--label", "2.0.0", "--rebuild", "--no-swap")
    started = site.tandem("ab", "start", site.name, "--b", "2.0.0", "--share", "50%")
    a, b = started["a"]["physical"], started["b"]["physical"]
    assert b.startswith(f"{site.name}-v2.0.0-")
    assert site.tandem("ab", "start", site.name, "--b", "2.0.0", "--share", "50%")["change"] == (
        "unchanged"
    )
    searched: list[str] = []
    send = Searcher._ask

    def ask(self: Searcher, index: str, body: Any) -> Any:
        searched.append(index)
        return send(self, index, body)

    monkeypatch.setattr(Searcher, "_ask", ask)
    seen: dict[str, set[str]] = {"A": set(), "B": set()}
    with open_logged_search(site.client, site.name) as search:
        for number in range(240):
            searched.clear()
            answer = search.search(
                Question(
                    *("a lost card", f"user-{number}"),
                    mode="bm25",
                    size=3,
                    query_id=f"{site.name}-{number}",
                )
            )
            seen[answer.group or "none"] |= set(searched)
            assert answer.hits[0].id == "card"
            if number % 3 == 0:
                search.record(
                    UserEvent(
                        action_name="click",
                        timestamp=_now(),
                        query_id=answer.query_id,
                        client_id=f"user-{number}",
                        object_id="card",
                    )
                )
    assert seen == {"A": {a}, "B": {b}}
    UbiLog(site.client).refresh()
    report = site.tandem("ab", "report", site.name)
    assert sum(report["users"].values()) == 240
    assert report["sample_ratio_p"] > 0.001
    clicks = report["metrics"]["ctr"]
    total = clicks["A"] * report["users"]["A"] + clicks["B"] * report["users"]["B"]
    assert total == pytest.approx(80, abs=1e-3)  # rates have six digits
    assert report["verdict"] == "keep running"
    assert report["looks"] == 1
    assert site.tandem("ab", "report", site.name)["looks"] == 1
    assert arms(site.client, site.name) == {a, b}
    refusal = site.tandem("versions", site.name, "--drop", b, code=1)
    assert "is an arm of a running experiment" in refusal
    power = site.tandem("ab", "power", site.name, "--minimum-effect", "10%")
    assert power["baseline"].startswith("the log")
    site.tandem("ab", "promote", site.name)
    assert list(site.client.indices.get_alias(name=site.name)) == [b]
    assert site.tandem("ab", "promote", site.name)["status"] == "promoted"
    listed = {one["name"]: one["status"] for one in site.tandem("ab", "list")}
    assert listed[f"{site.name}-ab1"] == "promoted"


def test_a_router_follows_a_start_and_a_stop(site: Site) -> None:
    site.tandem("reindex", site.name, "--label", "2.0.0", "--rebuild", "--no-swap")
    with open_logged_search(site.client, site.name, interval_s=600) as search:
        assert search.search(site.question()).experiment is None
        site.tandem(
            *("ab", "start", site.name, "--b", "2.0.0", "--name", f"{site.name}-mixed"),
            *("--method", "interleaving", "--share", "100%"),
        )
        search._routes.refresh()
        answer = search.search(site.question())
        assert (answer.group, len(answer.teams)) == ("interleaved", len(answer.hits))
        site.tandem("ab", "stop", f"{site.name}-mixed")
        search._routes.refresh()
        assert search.search(site.question()).group is None
    output = site.tandem("ab", "promote", site.name, code=1)
    assert "was stopped" in output


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)
