"""From a log to records and an evaluation set."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from feedback_samples import START, MemoryLog, Users, corpus

from ingest.records import Chunk
from operations.feedback.collecting import CollectOptions, collect
from operations.feedback.errors import FeedbackError
from operations.feedback.evidence import EvidenceOptions
from operations.feedback.splitting import HashSplit, TimeSplit
from operations.feedback.stored_texts import FolderTexts, IndexTexts
from training.data.readers import read_records
from training.evaluation.datasets import find_split, load_split

NAMES = ["skipped", "wanted", "other"]
USERS = Users({"skipped": 0.0, "wanted": 0.9, "other": 0.3}, eta=0.3)
QUERIES = [f"question {number}" for number in range(12)]


def options(folder: Path, **changes) -> CollectOptions:
    texts = FolderTexts(corpus(folder / "corpus", NAMES))
    evidence = EvidenceOptions(min_clients=2)
    values = {"texts": texts, "output": folder / "out", "evidence": evidence, "eta": 0.3}
    return CollectOptions(**(values | changes))


def test_records_and_evaluation_set_are_of_different_queries(tmp_path: Path) -> None:
    chosen = options(tmp_path, split=HashSplit(0.4))
    found = collect(USERS.log(QUERIES, 30), chosen)
    records = list(read_records(found.records))
    judged = load_split(find_split(found.evaluation))
    learnt = {record.query for record in records}
    measured = {query.text for query in judged}
    assert len(learnt) + len(measured) == 12
    assert learnt and measured and not learnt & measured
    assert (found.training_queries, found.evaluation_queries) == (len(learnt), len(measured))
    first = records[0]
    assert first.pos_ids[0] == "wanted"
    assert first.pos[0] == "The text of wanted."
    assert first.neg_ids == ("skipped",)
    assert len(first.pos_scores) == len(first.pos)
    grades = next(iter(judged.qrels.values()))
    assert grades["wanted"] == 3 and grades["skipped"] == 0
    ids = [json.loads(line)["_id"] for line in (found.evaluation / "corpus.jsonl").open()]
    assert sorted(ids) == sorted(NAMES)
    report = json.loads((found.output / "report.json").read_text())
    assert report["counts"]["queries"] == 360
    assert report["bias"]["eta"] == 0.3
    chosen.texts.close()


def test_the_same_log_gives_the_same_files_and_replaces_them(tmp_path: Path) -> None:
    chosen = options(tmp_path)
    first = collect(USERS.log(QUERIES, 20), chosen)
    before = {p.name: p.read_bytes() for p in first.output.rglob("*") if p.is_file()}
    (first.output / "stale").write_text("from another run")
    second = collect(USERS.log(QUERIES, 20), chosen)
    after = {p.name: p.read_bytes() for p in second.output.rglob("*") if p.is_file()}
    assert before == after
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus", "out"]


def test_no_client_and_no_personal_data_is_written(tmp_path: Path) -> None:
    found = collect(
        USERS.log(["refund to me@example.com", "call 010-1234-5678"], 30), options(tmp_path)
    )
    written = "".join(p.read_text() for p in found.output.rglob("*") if p.is_file())
    assert "user 1" not in written
    assert "me@example.com" not in written and "010-1234" not in written
    assert "[EMAIL]" in written


def test_by_time_the_later_queries_are_measured_with(tmp_path: Path) -> None:
    early = USERS.log(["early", "both"], 20)
    late = USERS.log(["late", "both"], 20)
    shift = timedelta(days=7)
    moved = [
        type(e)(**{f: getattr(e, f) for f in e.__dataclass_fields__} | _later(e, shift))
        for e in [*late.asked, *late.done]
    ]
    log = MemoryLog(
        [*early.asked, *moved[: len(late.asked)]], [*early.done, *moved[len(late.asked) :]]
    )
    split = TimeSplit(START + timedelta(days=5))
    found = collect(log, options(tmp_path, split=split))
    assert [r.query for r in read_records(found.records)] == ["early"]
    assert {q.text for q in load_split(find_split(found.evaluation))} == {"late", "both"}
    assert found.counts["queries of both times"] == 1


def _later(event, shift):
    return {"timestamp": event.timestamp + shift, "query_id": f"late {event.query_id}"}


def test_too_little_evidence_says_what_was_needed_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FeedbackError, match="--min-clients 2, --min-impressions 5"):
        collect(USERS.log(QUERIES, 3), options(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corpus"]


def test_a_part_without_content_is_absent(tmp_path: Path) -> None:
    found = collect(USERS.log(QUERIES[:2], 30), options(tmp_path, split=HashSplit(0)))
    assert found.evaluation is None
    assert not (found.output / "evaluation").exists()
    found = collect(USERS.log(QUERIES[:2], 30), options(tmp_path, split=HashSplit(1)))
    assert found.records is None
    assert not (found.output / "records.jsonl").exists()


def test_documents_that_are_gone_are_left_out(tmp_path: Path) -> None:
    texts = FolderTexts(corpus(tmp_path / "small", ["wanted"]))
    found = collect(USERS.log(QUERIES[:1], 30), options(tmp_path, texts=texts, split=HashSplit(0)))
    (record,) = read_records(found.records)
    assert (record.pos_ids, record.neg_ids) == (("wanted",), ())
    assert found.counts["documents that are gone"] >= 1
    texts.close()


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(FeedbackError, match="0 to 1"):
        HashSplit(share)


class Index:
    """A client whose index holds one long document and one short."""

    TEXT = "One. Two. Three."

    def __init__(self) -> None:
        cuts = [(0, 9), (5, 16)]  # overlapping
        chunks = [
            Chunk("long", n, self.TEXT[a:b], a, b, title="Long") for n, (a, b) in enumerate(cuts)
        ]
        self.chunks = {c.id: c for c in [*chunks, Chunk("short", 0, "Short.", 0, 6)]}

    def mget(self, index, body, params):
        return {
            "docs": [
                {"_id": i, "found": i in self.chunks, "_source": self._source(i)}
                for i in body["ids"]
            ]
        }

    def search(self, index, body):
        (wanted,) = (c["terms"]["doc_id"] for c in body["query"]["bool"]["filter"] if "terms" in c)
        hits = [{"_source": self._source(i)} for i, c in self.chunks.items() if c.doc_id in wanted]
        return {"hits": {"hits": hits}}

    def _source(self, chunk_id):
        chunk = self.chunks.get(chunk_id)
        names = ("doc_id", "ordinal", "title", "text", "start", "end")
        return {name: getattr(chunk, name) for name in names} if chunk else {}


class Info:
    name = physical = "docs"


def test_texts_of_an_index_are_documents_or_the_passages_shown() -> None:
    texts = IndexTexts(Index(), Info())
    whole = dict(texts.documents(["long", "short", "long#1", "gone"]))
    assert whole["long"].text == Index.TEXT
    assert whole["long#1"] == whole["long"]
    assert "gone" not in whole
    wanted = [("long", "long#1"), ("long", "long#0"), ("short", None), ("long#0", None), ("x", "y")]
    passages = dict(texts.passages(wanted))
    assert passages["long", "long#1"].passage == f"Long\n{Index.TEXT[5:16]}"
    assert passages["long", "long#0"].text == Index.TEXT[:9]
    assert passages["short", None].text == "Short."
    assert passages["long#0", None].doc_id == "long"
    assert len(passages) == 4
