"""Logs in files, times as people write them, import and export."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from feedback_samples import START, MemoryLog, click

from operations.feedback.errors import FeedbackError
from operations.feedback.events import QueryEvent, UserEvent
from operations.feedback.exporting import export_log
from operations.feedback.importing import import_log
from operations.feedback.log_files import FileLog, read_log, write_log
from operations.feedback.privacy import Privacy
from operations.feedback.transfer import scan, store
from operations.feedback.ubi import UbiLog
from operations.feedback.windows import Window, is_window, parse_moment, parse_window

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
SALT = "sixteen characters"


def asked(number: int, text: str = "lost card", client: str | None = None) -> QueryEvent:
    moment = START + timedelta(hours=number)
    return QueryEvent(f"q{number}", text, moment, client_id=client, shown=("a", "b"))


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("7d", NOW - timedelta(days=7), None),
        ("90m", NOW - timedelta(minutes=90), None),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC), None),
        ("2026-03-01..2026-03-02T06:00Z", datetime(2026, 3, 1, tzinfo=UTC), ...),
        ("..2026-03-01", None, datetime(2026, 3, 1, tzinfo=UTC)),
        ("2w..1w", NOW - timedelta(weeks=2), NOW - timedelta(weeks=1)),
    ],
)
def test_windows_are_read(text: str, since: Any, until: Any) -> None:
    found = parse_window(text, NOW)
    assert found.since == since
    assert until is ... or found.until == until


@pytest.mark.parametrize("text", ["soon", "7 apples", "2026-13-01", "2026-03-02..2026-03-01"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(FeedbackError):
        parse_window(text, NOW)


def test_a_moment_without_zone_is_utc() -> None:
    assert parse_moment("2026-03-01T08:00") == datetime(2026, 3, 1, 8, tzinfo=UTC)
    assert is_window("7d") and is_window("a..b") and not is_window("clicks.jsonl")


def test_a_file_is_read_back_by_time(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    queries = [asked(n) for n in range(4)]
    assert write_log([*queries, click(queries[0], "a")], path) == 5
    log = FileLog((path,))
    assert list(log.queries()) == queries
    assert list(log.queries(START + timedelta(hours=2))) == queries[2:]
    assert [event.object_id for event in log.events()] == ["a"]
    assert not list(log.events(until=START))


def test_bad_lines_are_named_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    good = '{"query_id": "q", "user_query": "x", "timestamp": "2026-03-01T08:00:00Z"}'
    path.write_bytes(
        b"\xef\xbb\xbf" + f"{good}\nnot json\n\n[1]\n{{}}\n{good}\n".encode() + b'{"\xff": 1}\n'
    )
    faults: list[tuple[int, str]] = []
    found = list(read_log(path, lambda number, reason: faults.append((number, reason))))
    assert [number for number, _ in found] == [1, 6]
    assert [number for number, _ in faults] == [2, 4, 5, 7]
    with pytest.raises(FeedbackError, match=r"log.jsonl:2: not JSON"):
        list(FileLog((path,)).queries())
    with pytest.raises(FeedbackError, match="cannot be read"):
        list(FileLog((tmp_path / "none.jsonl",)).queries())


class Cluster:
    """As much of a client as the log uses; documents lie in memory."""

    def __init__(self, *, busy: int = 0, refuse: str = "", format: str = "") -> None:
        self.format = format
        self.stored: dict[str, dict[str, Any]] = {"ubi_queries": {}, "ubi_events": {}}
        self.busy, self.refuse = busy, refuse
        self.indices = self
        self.requests = 0

    def exists(self, index: str) -> bool:
        return True

    def refresh(self, **_: Any) -> None:
        pass

    def get_mapping(self, index: str) -> dict[str, Any]:
        timestamp = {"type": "date", **({"format": self.format} if self.format else {})}
        return {index: {"mappings": {"properties": {"timestamp": timestamp}}}}

    def bulk(self, body: bytes, index: str) -> dict[str, Any]:
        self.requests += 1
        lines = [json.loads(line) for line in body.splitlines()]
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            name = action["index"]["_id"]
            status, error = 201, None
            if self.busy:
                self.busy -= 1
                status = 429
            elif name == self.refuse:
                status, error = 400, {"reason": "it does not fit"}
            else:
                self.stored[index][name] = source
            items.append({"index": {"_id": name, "status": status, "error": error}})
        return {"items": items}

    def search(self, index: str, body: Any, params: Any) -> dict[str, Any]:
        hits = [{"_id": k, "_source": v} for k, v in self.stored[index].items()]
        return {"_scroll_id": "s", "hits": {"hits": hits}}

    def scroll(self, body: Any) -> dict[str, Any]:
        return {"hits": {"hits": []}}

    def clear_scroll(self, body: Any, params: Any) -> None:
        self.cleared = body["scroll_id"]


def test_import_is_idempotent_and_sets_bad_lines_aside(tmp_path: Path) -> None:
    path, rejects = tmp_path / "log.jsonl", tmp_path / "rejects.jsonl"
    query = asked(0, "mail me@example.com", client="anna")
    write_log([query, asked(1), click(query, "a")], path)
    with path.open("a") as file:
        file.write('{"user_query": "secret words"}\n')
    cluster = Cluster(refuse="q1")
    log = UbiLog(cluster, Privacy(salt=SALT))
    done = import_log(log, path, rejects)
    assert (done.queries, done.events, done.rejected) == (1, 1, 2)
    lines = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert sorted((line["line"], line["reason"]) for line in lines) == [
        (2, "OpenSearch: it does not fit"),
        (4, "no query_id"),
    ]
    assert "secret" not in rejects.read_text()
    before = json.dumps(cluster.stored)
    assert "me@example.com" not in before and "anna" not in before
    cluster.refuse = ""
    again = import_log(log, path, rejects)
    assert (again.queries, again.rejected) == (2, 1)
    assert len(cluster.stored["ubi_events"]) == 1


@pytest.mark.parametrize(
    ("asked_for", "written"),
    [
        ("", "2026-03-01T08:00:00.000Z"),
        ("strict_date_time", "2026-03-01T08:00:00.000Z"),
        ("strict_date_optional_time||epoch_millis", "2026-03-01T08:00:00.000Z"),
        ("rfc3339_lenient||epoch_millis", 1_772_352_000_000),
    ],
)
def test_times_are_written_as_the_index_reads_them(asked_for: str, written: Any) -> None:
    cluster = Cluster(format=asked_for)
    log = UbiLog(cluster)
    query = asked(0)
    log.record([query], [click(query, "a", timestamp=START)])
    for index in ("ubi_queries", "ubi_events"):
        (stored,) = cluster.stored[index].values()
        assert stored["timestamp"] == written
    assert list(log.queries()) == [query]


def test_an_import_without_a_usable_line_fails(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("{}\n")
    with pytest.raises(FeedbackError, match="1 lines set aside"):
        import_log(UbiLog(Cluster(), Privacy()), path, tmp_path / "rejects")


def test_a_busy_cluster_gets_its_documents_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("operations.feedback.transfer.time.sleep", pauses.append)
    cluster = Cluster(busy=3)
    outcome = dict(store(cluster, "ubi_queries", [(str(n), {"n": n}) for n in range(5)]))
    assert outcome == dict.fromkeys("01234")
    assert len(cluster.stored["ubi_queries"]) == 5
    assert pauses == [0.5]
    cluster.busy = 10**6
    with pytest.raises(Exception, match="too busy for 1 documents"):
        list(store(cluster, "ubi_queries", [("x", {})]))


def test_an_impossible_id_is_refused_alone() -> None:
    cluster = Cluster()
    outcome = dict(store(cluster, "ubi_queries", [("x" * 600, {}), ("y", {})]))
    assert outcome["y"] is None
    assert "longer than 512 bytes" in outcome["x" * 600]


def test_a_scan_lets_go_of_its_scroll() -> None:
    cluster = Cluster()
    cluster.stored["ubi_queries"] = {"a": {}, "b": {}}
    hits = scan(cluster, "ubi_queries", {})
    assert next(hits)["_id"] == "a"
    hits.close()
    assert cluster.cleared == ["s"]


def people(texts: list[str], clients: int) -> MemoryLog:
    queries = [
        asked(number * 100 + client, text, f"client {client}")
        for number, text in enumerate(texts)
        for client in range(clients)
    ]
    return MemoryLog(queries, [click(query, "a") for query in queries])


def test_rare_queries_stay_in_the_cluster(tmp_path: Path) -> None:
    common = people(["lost card", "Lost CARD!"], 2)  # one query, four times, two clients
    rare = [asked(900 + n, "my divorce", "one client") for n in range(9)]
    log = MemoryLog([*common.asked, *rare], [*common.done, click(rare[0], "a")])
    path = tmp_path / "out.jsonl"
    done = export_log(log, path, min_clients=2, privacy=Privacy(salt=SALT))
    assert (done.queries, done.events, done.withheld) == (4, 4, 9)
    assert "divorce" not in path.read_text()
    assert "client 1" not in path.read_text()
    assert export_log(log, path, min_clients=3, privacy=Privacy(salt=SALT)).queries == 0


def test_unknown_clients_are_one_client(tmp_path: Path) -> None:
    log = MemoryLog([asked(n) for n in range(9)])
    done = export_log(log, tmp_path / "out.jsonl", min_clients=2, privacy=Privacy())
    assert done.withheld == 9


def test_an_export_has_the_late_clicks_of_its_window(tmp_path: Path) -> None:
    queries = [asked(n, client=f"c{n}") for n in range(3)]
    clicks = [click(q, "a", timestamp=q.timestamp + timedelta(minutes=90)) for q in queries]
    stray = UserEvent("click", queries[0].timestamp, query_id="somewhere else", object_id="a")
    path = tmp_path / "out.jsonl"
    window = Window(until=START + timedelta(hours=1, minutes=1))
    done = export_log(
        MemoryLog(queries, [*clicks, stray]),
        path,
        window=window,
        min_clients=1,
        privacy=Privacy(salt=SALT),
    )
    assert (done.queries, done.events) == (2, 2)
