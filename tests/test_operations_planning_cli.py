import json

import pytest
from click.testing import CliRunner

from opensearch.cli.root import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unmeasured = tmp_path / "constants.json"
    monkeypatch.setattr("operations.planning.constants.constants_file", lambda: unmeasured)
    records = [{"_id": f"d{n}", "text": f"fee {n} of the card number {n * 37}"} for n in range(60)]
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, records)))

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, ["plan", "docs.jsonl", *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


def test_a_table_and_the_three_ways(run):
    result = run("--dense", "none", "--top-k", "0", "--top-k", "2")
    rows = result.stdout.splitlines()
    assert [row.split("  ")[0] for row in rows[1:6]] == [
        "BM25",
        "BM25 + rank_features",
        "BM25 + rank_features top 2",
        "BM25 + seismic",
        "BM25 + seismic top 2",
    ]
    assert [row.split()[0] for row in rows[8:11]] == ["full", "dual", "incremental"]
    assert "60 of 60 documents looked at" in result.stderr
    assert "--measure" in result.stderr


def test_more_documents_take_more(run):
    few = json.loads(run("--dense", "none", "--json").stdout)
    many = json.loads(run("--dense", "none", "--documents", "6000", "--json").stdout)
    assert many["documents"] == 6000
    assert many["chunks"] == 100 * few["chunks"]
    for small, large in zip(few["candidates"], many["candidates"], strict=True):
        assert 20 < (large["disk_bytes"] - 8000) / (small["disk_bytes"] - 8000) <= 101


def test_pruning_is_counted_on_the_sample(run):
    found = json.loads(run("--dense", "none", "--top-k", "0", "--top-k", "1", "--json").stdout)
    sizes = {c["label"]: c["disk_bytes"] for c in found["candidates"]}
    assert sizes["BM25"] < sizes["BM25 + rank_features top 1"] < sizes["BM25 + rank_features"]


def test_every_formula_is_shown(run):
    text = run("--dense", "none", "--explain").stdout
    assert "B of LZ4 in _source" in text and "tokens × 4.04" in text


def test_what_is_only_a_formula_is_marked(run):
    result = run("--vectors", "byte", "--sparse", "none", "--gpu-tflops", "10")
    assert "384d byte *" in result.stdout and "encode, GPU" in result.stdout
    assert "does not build it" in result.stderr


def test_an_unknown_model_is_refused(run):
    assert "nonsense" in run("--dense", "nonsense", code=1).stderr
