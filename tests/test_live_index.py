"""`tandem index` on a real node: killed and resumed, broken input, changed documents."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opensearch.client import connect
from opensearch.index_info import read_index_info
from opensearch.indices import count_chunks, delete_index, index_exists
from opensearch.settings import load_settings

pytestmark = pytest.mark.node

WORDS = (
    "account balance card credit deposit fee interest loan mortgage payment rate transfer".split()
)
DOCUMENTS = 1400


@pytest.fixture
def client(node_url: str) -> Any:
    return connect(load_settings(node_url))


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    """A unique index name; what stands under it is deleted at the end."""
    unique = f"test-{uuid.uuid4().hex[:12]}"
    yield unique
    for index in (unique, f"{unique}-whole"):
        if index_exists(client, index):
            delete_index(client, read_index_info(client, index))


def command(url: str, *arguments: str) -> list[str]:
    program = "from opensearch.cli.root import main; main()"
    return [sys.executable, "-c", program, *arguments, "--url", url]


def run(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(url, *arguments), capture_output=True, text=True, timeout=300, check=False
    )


def text_of(number: int) -> str:
    """A distinct text per number, from a few words."""
    chosen = [WORDS[(number // 12**place) % 12] for place in range(4)]
    return f"{' '.join(chosen)} {'and '.join(chosen)} number {number}"


def write_corpus(path: Path, count: int = DOCUMENTS) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            record = {"_id": f"d{number}", "title": f"T {number}", "text": text_of(number)}
            file.write(json.dumps(record) + "\n")
    return path


def stored(client: Any, name: str) -> dict[str, Any]:
    """Everything an index holds, by chunk id."""
    from opensearchpy.helpers import scan

    client.indices.refresh(index=name)
    return {hit["_id"]: hit["_source"] for hit in scan(client, index=name)}


def wait_until(condition: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("the condition was not met in time")
        time.sleep(0.05)


def test_a_killed_run_continues_to_the_same_index(
    client: Any, node_url: str, name: str, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl")
    whole = f"{name}-whole"
    rejects = ("--rejects", str(tmp_path / "r.jsonl"))
    assert run(node_url, "index", str(corpus), "--index", whole, *rejects).returncode == 0

    process = subprocess.Popen(
        command(node_url, "index", str(corpus), "--index", name, *rejects),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def some_but_not_all() -> bool:
        if process.poll() is not None:
            pytest.fail("the run ended before it could be killed")
        if not index_exists(client, name):
            return False
        client.indices.refresh(index=name)
        return count_chunks(client, read_index_info(client, name)) > 0

    wait_until(some_but_not_all)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    client.indices.refresh(index=name)
    assert 0 < len(stored(client, name)) < DOCUMENTS

    again = run(node_url, "index", str(corpus), "--index", name, "--json", *rejects)
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert report["unchanged"] > 0
    assert report["unchanged"] + report["written"] == DOCUMENTS
    expected, actual = stored(client, whole), stored(client, name)
    assert len(actual) == DOCUMENTS
    assert {i: (d["fingerprint"], d["encoder"]) for i, d in actual.items()} == {
        i: (d["fingerprint"], d["encoder"]) for i, d in expected.items()
    }
    assert all(actual[i]["sparse"] == expected[i]["sparse"] for i in expected)


BROKEN: dict[str, bytes] = {
    "bad JSON": b'{"_id": "x1", "text": "unfinished',
    "not an object": b'["a", "list"]',
    "missing text": b'{"_id": "x2", "title": "only a title"}',
    "wrong encoding": '{"_id": "x3", "text": "요금 안내"}'.encode("cp949"),
    "empty document": b'{"_id": "x4", "text": "   "}',
    "five megabytes": json.dumps({"_id": "x5", "text": "long " * 1_000_000}).encode(),
    "duplicated id": b'{"_id": "d1", "text": "another text under an id that was used"}',
    "missing id": b'{"text": "nobody knows me"}',
}


def test_broken_lines_are_set_aside_with_file_and_line(
    client: Any, node_url: str, name: str, tmp_path: Path
) -> None:
    good = write_corpus(tmp_path / "good.jsonl", 20).read_bytes().splitlines()
    corpus = tmp_path / "broken.jsonl"
    lines = [*good[:10], *BROKEN.values(), *good[10:]]
    corpus.write_bytes(b"\n".join(lines) + b"\n")
    rejects = tmp_path / "rejects.jsonl"

    done = run(node_url, "index", str(corpus), "--index", name, "--rejects", str(rejects))

    assert done.returncode == 0, done.stderr
    assert sorted(stored(client, name)) == sorted(f"d{number}#0" for number in range(20))
    found = [json.loads(line) for line in rejects.read_text(encoding="utf-8").splitlines()]
    assert [record["line"] for record in found] == list(range(11, 11 + len(BROKEN)))
    assert all(record["file"].endswith("broken.jsonl") and record["reason"] for record in found)
    assert f"{len(BROKEN)} inputs were set aside" in done.stderr
    assert "broken.jsonl:11:" in done.stderr


def test_a_changed_document_is_replaced_and_the_rest_left_alone(
    client: Any, node_url: str, name: str, tmp_path: Path
) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", 30)
    assert run(node_url, "index", str(corpus), "--index", name).returncode == 0
    lines = corpus.read_text(encoding="utf-8").splitlines()
    lines[7] = json.dumps({"_id": "d7", "text": "an entirely new text about cheques"})
    corpus.write_text("\n".join(lines) + "\n", encoding="utf-8")

    again = run(node_url, "index", str(corpus), "--index", name, "--json")

    assert json.loads(again.stdout)["written"] == 1, again.stderr
    assert stored(client, name)["d7#0"]["text"] == "an entirely new text about cheques"
    hits = json.loads(run(node_url, "search", name, "cheques", "--json").stdout)
    assert hits[0]["id"] == "d7"
    assert set(hits[0]["legs"]) == {"bm25", "dense", "sparse"}


def test_another_encoder_is_refused(node_url: str, name: str, tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus.jsonl", 5)
    assert run(node_url, "index", str(corpus), "--index", name).returncode == 0
    cut = run(node_url, "search", name, "fee", "--dimension", "128")
    assert cut.returncode == 1
    assert "was built with the dense encoder all-MiniLM-L6-v2" in cut.stderr
    assert "Traceback" not in cut.stderr


def test_documents_in_a_language_the_encoders_do_not_know(
    client: Any, node_url: str, name: str, tmp_path: Path
) -> None:
    corpus = tmp_path / "korean.jsonl"
    texts = [
        "적금 중도해지이율 안내입니다",
        "해외송금 수수료는 건당 5,000원입니다",
        "DSR은 총부채원리금상환비율입니다",
    ]
    records = [{"_id": f"k{i}", "text": text} for i, text in enumerate(texts)]
    corpus.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in records) + "\n")

    done = run(node_url, "index", str(corpus), "--index", name)

    assert done.returncode == 0, done.stderr
    assert "all-MiniLM-L6-v2 does not know the language of 3 passages (100 %)" in done.stderr
    assert all("dense" not in document for document in stored(client, name).values())

    def ids(query: str) -> list[str]:
        found = run(node_url, "search", name, query, "--mode", "bm25", "--json")
        return [hit["id"] for hit in json.loads(found.stdout)]

    assert ids("해외송금 수수료")[0] == "k1"
    assert ids("DSR") == ["k2"]
    assert ids("DSR이 뭐예요")[0] == "k2"
    assert ids("5,000원")[0] == "k1"
    told = run(node_url, "search", name, "해외송금 수수료")
    assert "The dense leg was left out" in told.stderr


def test_stdin_and_unreachable_cluster(node_url: str, name: str) -> None:
    line = json.dumps({"_id": "s1", "text": "read from standard input"}) + "\n"
    done = subprocess.run(
        command(node_url, "index", "-", "--index", name),
        input=line,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    nowhere = run("http://127.0.0.1:9", "search", name, "standard input")
    assert nowhere.returncode == 1
    assert "cannot be reached" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr


def test_an_index_is_added_to_as_it_was_built(
    client: Any, node_url: str, name: str, tmp_path: Path
) -> None:
    corpus = tmp_path / "long.jsonl"
    sentence = "The annual fee is refunded when the card is closed within the first month. "
    corpus.write_text(json.dumps({"_id": "long", "text": sentence * 12}) + "\n")
    first = ("--chunking", "two-level", "--chunk-size", "40", "--chunk-overlap", "0")
    assert run(node_url, "index", str(corpus), "--index", name, *first).returncode == 0
    built = stored(client, name)
    assert {d["level"] for d in built.values()} == {"coarse", "fine"}

    again = run(node_url, "index", str(corpus), "--index", name, "--json")

    assert json.loads(again.stdout)["unchanged"] == len(built), again.stderr
    assert stored(client, name) == built
    hits = json.loads(run(node_url, "search", name, "refund of the fee", "--json").stdout)
    assert [hit["id"] for hit in hits] == ["long"]
    assert built[hits[0]["chunk_id"]]["level"] == "fine"

    other = run(node_url, "index", str(corpus), "--index", name, "--chunking", "recursive")
    assert other.returncode == 2
    assert "was built with two-level" in other.stderr
    assert stored(client, name) == built
