"""Feedback, drift and shadow check on a node, through the command line.

The log of the node may hold what others wrote: everything here happens in January 2001.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from feedback_samples import START, Users

from opensearch.cli.root import main
from opensearch.client import connect
from opensearch.settings import load_settings
from operations.feedback.log_files import FileLog, write_log
from operations.feedback.ubi import UbiLog
from operations.feedback.ubi_mappings import EVENTS_INDEX, QUERIES_INDEX
from operations.feedback.windows import parse_window
from training.data.readers import read_records

pytestmark = [pytest.mark.node, pytest.mark.operations]

INDEX, CANDIDATE = "test-feedback", "test-feedback-other"
SINCE, UNTIL = "2001-01-01", "2001-02-01"
WINDOW = f"{SINCE}..{UNTIL}"
TEXTS = {
    "card": "Report a lost card in the app at once.",
    "fee": "A transfer abroad costs 25,000 won.",
    "code": "Error E-4012: the daily limit is used up.",
}
QUERIES = ["lost card", "stolen card", "who has my card me@example.com", "card"]


def run(url: str, *words: object):
    arguments = [str(word) for word in words]
    return CliRunner().invoke(main, [*arguments, "--url", url])


@pytest.fixture(scope="module")
def indices(node_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two indices, the candidate without one of the documents; removed at the end."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = [json.dumps({"_id": name, "text": text}) for name, text in TEXTS.items()]
    for name, kept in ((INDEX, lines), (CANDIDATE, lines[:2])):
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(kept), encoding="utf-8")
        done = run(node_url, "index", path, "--index", name, "--dense", "none")
        assert done.exit_code == 0, done.output
    yield node_url
    client = connect(load_settings(node_url))
    for name in (INDEX, CANDIDATE):
        client.indices.delete(index=f"{name}-v0-1")
    forget_january(client)


def forget_january(client: Any) -> None:
    """Remove what was logged here, and nothing else."""
    log, window = UbiLog(client), parse_window(WINDOW)
    written = {
        QUERIES_INDEX: [q.query_id for q in log.queries(window.since, window.until)],
        EVENTS_INDEX: [e.event_id for e in log.events(window.since, window.until)],
    }
    lines = [{"delete": {"_index": i, "_id": n}} for i, names in written.items() for n in names]
    client.bulk(body="\n".join(map(json.dumps, lines)) + "\n", params={"refresh": "true"})


@pytest.fixture(scope="module")
def log_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of January 2001, and the salt beside it."""
    path = tmp_path_factory.mktemp("log") / "clicks.jsonl"
    log = Users({"fee": 0.0, "card": 0.9, "code": 0.1}, eta=0.5).log(QUERIES, 20)
    shift = datetime(2001, 1, 10, tzinfo=UTC) - START
    attributes = {"scores": [0.9, 0.5, 0.1]}
    asked = [
        replace(
            q,
            query_id=f"jan-{q.query_id}",
            timestamp=q.timestamp + shift,
            index=INDEX,
            attributes=attributes,
        )
        for q in log.asked
    ]
    done = [
        replace(e, query_id=f"jan-{e.query_id}", timestamp=e.timestamp + shift) for e in log.done
    ]
    write_log([*asked, *done], path)
    (path.parent / "salt").write_text("a salt for this test", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def imported(indices: str, log_file: Path) -> str:
    """The log in the cluster, imported twice."""
    words = ("feedback", "import", log_file, "--salt-file", log_file.parent / "salt", "--json")
    for _ in range(2):
        done = run(indices, *words)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["queries"] == 80
    return indices


def test_the_log_holds_every_event_once_and_no_client(imported: str, log_file: Path) -> None:
    log = UbiLog(connect(load_settings(imported)))
    window = parse_window(WINDOW)
    stored = list(log.queries(window.since, window.until))
    assert len(stored) == 80
    assert [q.timestamp for q in stored] == sorted(q.timestamp for q in stored)
    assert all(str(q.client_id).startswith("anon-") for q in stored)
    assert not any("@" in q.user_query for q in stored)
    given = list(FileLog((log_file,)).events())
    assert len(list(log.events(window.since, window.until))) == len(given)


def test_what_is_exported_gives_the_records_of_the_cluster(imported: str, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    bounds = ("--since", SINCE, "--until", UNTIL)
    exported = run(imported, "feedback", "export", *bounds, path, "--json")
    assert exported.exit_code == 0, exported.output
    assert json.loads(exported.stdout)["withheld"] == 0
    outputs = []
    for source in ("cluster", path):
        out = tmp_path / f"from-{Path(source).stem}"
        words = ("feedback", "records", source, "--index", INDEX, "-o", out, *bounds)
        done = run(imported, *words, "--eta", 0.5, "--eval-share", 0.4)
        assert done.exit_code == 0, done.output
        outputs.append((out / "records.jsonl").read_text())
    assert outputs[0] == outputs[1]
    record = next(read_records(tmp_path / "from-cluster" / "records.jsonl"))
    assert (record.pos[0], record.neg) == (TEXTS["card"], (TEXTS["fee"],))


def test_drift_of_the_cluster_s_log(imported: str, tmp_path: Path) -> None:
    reference, other = tmp_path / "reference.json", tmp_path / "korean.txt"
    taken = run(imported, "drift", "snapshot", WINDOW, "--index", INDEX, "-o", reference)
    assert taken.exit_code == 0, taken.output
    words = ("drift", "--reference", reference, "--index", INDEX, "--fail-on-drift", "--window")
    same = run(imported, *words, WINDOW)
    assert same.exit_code == 0, same.output
    assert "words not in the index" in same.stdout
    other.write_text("\n".join(f"카드 분실 {n}" for n in range(60)), encoding="utf-8")
    assert run(imported, *words, other).exit_code == 1


def test_a_shadow_check_of_logged_queries(imported: str) -> None:
    words = ("shadow", INDEX, "--candidate", CANDIDATE, "--last", WINDOW, "--rate", 200)
    done = run(imported, *words, "--limit", 10, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["queries"] == 10
    assert report["production"] == f"{INDEX}-v0-1"
    assert report["rbo"] > 0.9
    assert report["latency_ms"]["candidate"]["p99"] > 0


def test_a_shadow_check_finds_what_is_missing(imported: str, tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_text("E-4012\nlost card\n")
    words = ("shadow", INDEX, "--candidate", f"{CANDIDATE}-v0-1", "--queries", path)
    done = run(imported, *words, "--mode", "bm25", "--fail-under", 0.9)
    assert done.exit_code == 1
    assert "candidate: nothing" in done.output and "below 0.9" in done.output
    itself = run(imported, "shadow", INDEX, "--candidate", f"{INDEX}-v0-1", "--queries", path)
    assert itself.exit_code == 1 and "nothing to compare" in itself.output
    unknown = run(imported, "shadow", INDEX, "--candidate", "9.9.9", "--queries", path)
    assert unknown.exit_code == 1 and "no version '9.9.9'" in unknown.output
