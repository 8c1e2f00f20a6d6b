"""Hard negatives: the choice, the job that resumes, exact search without an index."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from encoders.base import EncoderIdentity
from training.data.errors import TrainingDataError
from training.data.indexed_corpus import IndexedCorpus
from training.data.mining.finders import CorpusFinder
from training.data.mining.job import Miner, mine_file
from training.data.mining.selection import Candidate, Selection, choose, limit, without_relevant
from training.data.mining.teachers import DenseTeacher
from training.data.progress_log import ProgressLog
from training.data.records import TrainingRecord

LONG = "a card that was lost is blocked in the app at once"


def ranking(*scores: float) -> list[Candidate]:
    return [Candidate(f"d{n}", f"text {n}", s) for n, s in enumerate(scores, start=1)]


def test_relevant_texts_never_become_negatives() -> None:
    record = TrainingRecord("q", (LONG,), pos_ids=("p",))
    found = [
        Candidate("p", "a passage of the relevant document"),
        Candidate("copy", LONG.upper() + "!"),
        Candidate("part", "title\n" + LONG[:30], body=LONG[:30]),
        Candidate("more", f"{LONG}. And more."),
        Candidate("n", "something else"),
        Candidate("n2", "Something else."),
    ]
    assert [c.id for c in without_relevant(found, record)] == ["n"]


def test_the_margin_is_relative_and_works_below_zero() -> None:
    assert limit(1.0, 0.95) == pytest.approx(0.95)
    assert limit(-1.0, 0.9) == pytest.approx(-1.1)
    assert limit(None, 0.9) == float("inf")
    chosen = choose(ranking(0.99, 0.9, 0.5), [], 0.95, Selection(negatives=2))
    assert [c.id for c in chosen] == ["d2", "d3"]


def test_random_negatives_take_their_share_and_fill_up() -> None:
    drawn = [Candidate(f"r{n}", f"random {n}") for n in range(9)]
    selection = Selection(negatives=4, random_share=0.5)
    assert [c.id[0] for c in choose(ranking(3, 2, 1), drawn, 9, selection)] == ["d", "d", "r", "r"]
    assert [c.id[0] for c in choose(ranking(3), drawn, 9, selection)] == ["d", "r", "r", "r"]


@pytest.mark.parametrize(
    "values", [{"from_rank": 9, "to_rank": 5}, {"negatives": 0}, {"margin": 0}]
)
def test_impossible_selections_are_refused(values: dict) -> None:
    with pytest.raises(TrainingDataError):
        Selection(**values)


@dataclass
class Fixed:
    """Finds the same for every query."""

    asked: list[str] = field(default_factory=list)

    def find(self, queries, depth):
        self.asked += queries
        return [ranking(9, 8, 7, 6, 5)[:depth] for _ in queries]

    def lowest(self, queries, texts):
        return None


class Likes2:
    """A teacher that finds `text 2` as good as the relevant text."""

    def score(self, query, texts):
        return np.array([1.0 if t in ("yes", "text 2") else 0.1 for t in texts], np.float32)


def test_the_teacher_takes_out_false_negatives_and_its_scores_stay() -> None:
    miner = Miner(Fixed(), Selection(from_rank=1, negatives=3), Likes2())
    (found,) = miner.mine([TrainingRecord("q", ("yes",))])
    assert found.neg == ("text 1", "text 3", "text 4")
    assert found.neg_ids == ("d1", "d3", "d4")
    assert found.pos_scores == (1.0,)
    assert found.neg_scores == pytest.approx((0.1, 0.1, 0.1))


def test_the_rank_window_and_own_negatives() -> None:
    record = TrainingRecord("q", ("yes",), neg=("own",))
    selection = Selection(from_rank=2, to_rank=4, negatives=3)
    assert Miner(Fixed(), selection).mine([record])[0].neg == ("text 2", "text 3", "text 4")
    kept = Miner(Fixed(), selection, keep_own=True).mine([record])[0]
    assert kept.neg == ("own", "text 2", "text 3")


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    out, job = tmp_path / "mined.jsonl", {"negatives": 2}
    records = [TrainingRecord(f"q{n}", ("yes",)) for n in range(5)]
    miner = Miner(Fixed(), Selection(from_rank=1, negatives=2))
    mine_file(records[:3], miner, ProgressLog(out, job))
    with out.open("a", encoding="utf-8") as file:
        file.write('{"query": "q3", "po')  # killed while writing
    finder = Fixed()
    again = Miner(finder, miner.selection)
    report = mine_file(records, again, ProgressLog(out, job)).as_dict()
    assert finder.asked == ["q3", "q4"]
    assert (report["records"], report["skipped"], report["per_record"]) == (2, 3, 2.0)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["query"] for line in lines] == ["q0", "q1", "q2", "q3", "q4"]
    with pytest.raises(TrainingDataError, match="--restart"):
        ProgressLog(out, {"negatives": 3})


class Letters:
    """A dense encoder that counts letters."""

    identity = EncoderIdentity("dense", "letters", "0", 26)

    def encode_documents(self, texts):
        rows = np.array(
            [[t.lower().count(chr(97 + n)) for n in range(26)] for t in texts], np.float32
        )
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    encode_queries = encode_documents


def test_exact_search_by_blocks_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    words = ["abc", "abd", "xyz", "xxz", "aab", "mno", "abcd"]
    lines = [{"_id": f"w{n}", "title": "", "text": word} for n, word in enumerate(words)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    corpus = IndexedCorpus(path)
    assert (len(corpus), corpus.text(4)) == (7, "aab")
    finder = CorpusFinder(Letters(), corpus, tmp_path, block=2)
    (found,) = finder.find(["abc"], 3)
    exact = Letters().encode_documents(words) @ Letters().encode_queries(["abc"])[0]
    assert [c.text for c in found] == [words[n] for n in np.argsort(-exact, kind="stable")[:3]]
    assert finder.lowest(["abc"], [("abc", "xyz")]) == [0.0]
    assert DenseTeacher(Letters()).score("abc", ["abc"]) == pytest.approx([1.0])
