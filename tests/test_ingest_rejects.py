"""The rejects file."""

import json
from pathlib import Path

import pytest

from ingest.errors import IngestError
from ingest.records import Document, Origin, Reject
from ingest.rejects import RejectWriter

BAD = Reject(Origin("c.jsonl", 7), "bad JSON: at column 3", raw="x" * 900)


def test_no_reject_no_file(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    path.write_text("left by an earlier run", encoding="utf-8")
    with RejectWriter(path) as writer:
        assert list(writer.keep([Document("a", "x")])) == [Document("a", "x")]
    assert not path.exists()
    assert writer.total == 0


def test_rejects_are_written_at_once_one_per_line(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rejects.jsonl"
    with RejectWriter(path) as writer:
        writer.write(BAD)
        assert len(path.read_text(encoding="utf-8").splitlines()) == 1
        writer.write(Reject(Origin("a.txt"), "empty text", "a.txt"))
        writer.write(Reject(Origin("c.jsonl", 9), "bad JSON: at column 8"))
    first, second, _ = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first == BAD.as_dict() | {"raw": "x" * 500}
    assert second == {
        "file": "a.txt", "line": None, "id": "a.txt", "reason": "empty text", "raw": ""
    }  # fmt: skip
    assert writer.counts == {"bad JSON": 2, "empty text": 1}
    assert writer.total == 3


def test_documents_pass_and_rejects_stay(tmp_path: Path) -> None:
    with RejectWriter(tmp_path / "r.jsonl") as writer:
        assert list(writer.keep([Document("a", "x"), BAD, Document("b", "y")])) == [
            Document("a", "x"),
            Document("b", "y"),
        ]
    assert writer.counts == {"bad JSON": 1}


def test_broken_characters_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with RejectWriter(path) as writer:
        writer.write(Reject(Origin("bad\udcff.txt", 1), "broken character", raw="\ud800 한"))
    assert json.loads(path.read_text(encoding="utf-8"))["raw"] == "\ud800 한"


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(IngestError, match="cannot write the rejects file"),
        RejectWriter(tmp_path / "file" / "r.jsonl") as writer,
    ):
        writer.write(BAD)
