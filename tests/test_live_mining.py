"""`tandem mine` and the round trip of `tandem synthesize` on a real index."""

import json
import uuid
from pathlib import Path

import pytest
from click.testing import CliRunner

from opensearch.cli.root import main
from training.data.readers import read_records
from training.sample_corpus import sample_folder

pytestmark = pytest.mark.node


def tandem(*args: str) -> str:
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_negatives_from_a_live_index(node_url: str, tmp_path: Path) -> None:
    name = f"test-mining-{uuid.uuid4().hex[:8]}"
    docs = [
        {"_id": f"d{n}", "title": f"Card {n}", "text": f"card fee number {n} of the list " * n}
        for n in range(1, 13)
    ]
    corpus = tmp_path / "docs.jsonl"
    corpus.write_text("\n".join(map(json.dumps, docs)) + "\n", encoding="utf-8")
    tandem("index", str(corpus), "--index", name, "--url", node_url)
    record = {"query": "card fee", "pos": ["the relevant one"], "pos_ids": ["d3"]}
    records = tmp_path / "records.jsonl"
    records.write_text(json.dumps(record) + "\n", encoding="utf-8")
    out = tmp_path / "mined.jsonl"
    common = ("--index", name, "--url", node_url, "--leg", "bm25")
    options = ("--from-rank", "1", "--margin", "1", "--negatives", "3", "--json")
    summary = json.loads(tandem("mine", str(records), "-o", str(out), *common, *options))
    (mined,) = read_records(out)
    assert summary["records"] == 1
    assert mined.neg and "d3" not in mined.neg_ids
    assert len(mined.neg) == len(mined.neg_ids) == summary["negatives"]
    written = tmp_path / "synthetic.jsonl"
    check = ("--check-index", name, "--check-leg", "bm25", "--url", node_url, "--check-depth", "1")
    source = str(sample_folder())
    report = json.loads(
        tandem(
            "synthesize", source, "-o", str(written), "--offline", "--limit", "2", *check, "--json"
        )
    )
    assert report["queries"] == 0  # another corpus: nothing finds its own passage
    assert sum(report["set_aside"].values()) > 0
