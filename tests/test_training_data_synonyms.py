"""Triplets from a glossary: hard negatives, the split, faults with their line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from opensearch.cli.root import main
from training.data.errors import TrainingDataError
from training.data.readers import read_records
from training.data.synonyms.glossary import Columns, Entry, read_glossary
from training.data.synonyms.job import SynonymOptions, write_triplets
from training.data.synonyms.triplets import Thesaurus, triplets

ENTRIES = [
    Entry("손해배상", ("손실보상",), "law"),
    Entry("손해보험", ("재산보험",), "law"),
    Entry("손실보상", ("피해보상",), "law"),
    Entry("손해율", ("loss ratio",), "insurance"),
]


def test_a_hard_negative_looks_alike_and_is_no_synonym() -> None:
    found = {t.anchor: t for t in triplets(Thesaurus(ENTRIES))}
    assert found["손해배상"].negative == "손해보험"
    assert found["손해배상"].alike
    # A synonym's synonym, however alike, is none; nor is a term of another domain.
    negatives = {t.negative for t in triplets(Thesaurus(ENTRIES), 3) if t.anchor == "손해배상"}
    assert negatives == {"손해보험", "재산보험"}
    assert "손해율" not in found  # its domain has nothing else


def test_both_ways_makes_synonyms_anchors() -> None:
    anchors = {t.anchor for t in triplets(Thesaurus(ENTRIES, both_ways=True))}
    assert {"재산보험", "피해보상"} <= anchors


def test_no_word_is_on_both_sides(tmp_path: Path) -> None:
    names = [chr(97 + n) * 3 for n in range(26)]
    entries = [Entry(f"term {n}", (f"{n} word", f"{n} name"), "d") for n in names]
    report = write_triplets(entries, tmp_path, SynonymOptions(dev_share=0.25, negatives=2))
    train, dev = (list(read_records(tmp_path / f"{side}.jsonl")) for side in ("train", "dev"))
    assert (report.train, report.dev, report.anchors) == (len(train), len(dev), 26)
    words = [{text for r in side for text in (r.query, *r.pos)} for side in (train, dev)]
    assert not words[0] & words[1]
    assert len({r.query for r in dev}) == 6
    for entry in (*train, *dev):
        assert not set(entry.neg) & {entry.query, *entry.pos}


def test_tables_and_json_lines_are_read(tmp_path: Path) -> None:
    table, lines = tmp_path / "g.tsv", tmp_path / "g.jsonl"
    table.write_text(
        "\ufeffword\tother\nAI\tai; 인공지능 ;artificial  intelligence\nx\t\n", "utf-8"
    )
    entry = Entry("AI", ("인공지능", "artificial intelligence"))
    assert list(read_glossary(table, Columns("word", "other", separator=";"))) == [entry]
    lines.write_text(json.dumps({"term": "AI", "synonyms": ["인공지능"], "domain": "it"}), "utf-8")
    assert list(read_glossary(lines)) == [Entry("AI", ("인공지능",), "it")]


def test_faults_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("term,synonyms\n,b\na,b,c\nok,fine\n", encoding="utf-8")
    with pytest.raises(TrainingDataError) as caught:
        list(read_glossary(path))
    assert len(caught.value.faults) == 2
    assert f"{path}:2: term is empty" in str(caught.value)


def test_the_command_writes_and_refuses(tmp_path: Path) -> None:
    path = tmp_path / "g.csv"
    path.write_text("term,synonyms\nbank card,plastic\nbank fee,charge\n", encoding="utf-8")
    out = tmp_path / "out"
    done = CliRunner().invoke(main, ["synonyms", str(path), "-o", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["anchors"] == 2
    wrong = CliRunner().invoke(main, ["synonyms", str(path), "-o", str(out), "--term", "word"])
    assert wrong.exit_code == 1
    assert "no column 'word'" in wrong.output
