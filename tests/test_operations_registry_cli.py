import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from opensearch.cli.root import main


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TANDEM_AUTHOR", "Ada <ada@bank>")
    (tmp_path / "train.jsonl").write_text("{}\n")
    (tmp_path / "metrics.json").write_text('{"ndcg": {"at_10": 0.51}, "|odd*": "<b>"}')
    (tmp_path / "job.toml").write_text("steps = 1\n")

    def run(*arguments, code=0):
        result = CliRunner().invoke(main, ["registry", *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def published(run):
    run(
        *("publish", "bank", "--sparse", "lexical", "--data", "train=train.jsonl"),
        *("--metrics", "metrics.json", "--configuration", "job.toml", "--tag", "candidate"),
        *("--notes", "<script>alert(1)</script> | first"),
    )
    return run


def test_publish_says_the_number_and_again_the_same(published):
    again = published(
        *("publish", "bank", "--sparse", "lexical", "--data", "train=train.jsonl", "--json"),
        *("--metrics", "metrics.json", "--configuration", "job.toml"),
        *("--notes", "<script>alert(1)</script> | first"),
    )
    assert json.loads(again.stdout)["version"] == "1.0.0"


def test_list(published):
    published("promote", "bank", "candidate")
    assert re.fullmatch(r"bank +1\.0\.0 +\S+ +candidate, production\n", published("list").stdout)
    (row,) = json.loads(published("list", "bank", "--json").stdout)
    assert row["tags"] == ["candidate", "production"]


def test_an_empty_registry_says_how_to_begin(run):
    assert "tandem registry publish" in run("list").stderr


def test_tags(published):
    published("tag", "bank", "latest", "spring")
    assert "spring         1.0.0" in published("promote", "bank", "spring").stdout
    found = json.loads(published("untag", "bank", "spring", "--json").stdout)
    assert found == {"candidate": "1.0.0", "production": "1.0.0"}


def test_text_names_everything(published):
    text = published("show", "bank").stdout
    for part in ("bank 1.0.0", "Ada <ada@bank>", "metric ndcg.at_10", "0.51", "data train"):
        assert part in text


def test_html_is_escaped_and_whole(published):
    published("show", "bank", "candidate", "--format", "html", "--output", "audit.html")
    page = Path("audit.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;alert(1)" in page
    assert "Ada &lt;ada@bank&gt;" in page and "number reserved" in page
    assert "http://" not in page and "https://" not in page


def test_markdown_keeps_its_tables_whole(published):
    page = published("show", "bank", "--format", "markdown").stdout
    (notes,) = (line for line in page.splitlines() if line.startswith("| Notes"))
    assert notes == "| Notes | \\<script>alert(1)\\</script> \\| first |"
    assert "| \\|odd\\* | \\<b> |" in page
    assert re.search(
        r"^\| train \| train\.jsonl \| 1 \| 3 B \| [0-9a-f]{64} \|$", page, re.MULTILINE
    )


def test_json_is_the_manifest_with_its_history(published):
    value = json.loads(published("show", "bank", "--json").stdout)
    assert value["metrics"]["ndcg"] == {"at_10": 0.51}
    assert value["tags"] == ["candidate"]
    assert [entry["action"] for entry in value["history"]] == ["reserve", "publish", "tag"]


def test_verify_says_no_with_exit_code_one(published):
    assert json.loads(published("verify", "bank", "--json").stdout) == {"1.0.0": []}
    Path("registry/bank/1.0.0/more.txt").write_text("more")
    result = published("verify", "bank", code=1)
    assert "bank 1.0.0: more.txt: added" in result.stderr


def test_fetch_prints_the_folder(published):
    folder = Path(published("fetch", "bank").stdout.strip())
    assert (folder / "configuration/job.toml").read_text() == "steps = 1\n"
    value = json.loads(published("fetch", "bank", "candidate", "--json").stdout)
    assert value["sparse"] == "lexical" and value["dense"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["publish", "bank"], 1, "needs a model"),
        (["publish", "bank", "--sparse", "lexical", "--data", "train"], 2, "NAME=PATH"),
        (["publish", "bank", "--sparse", "lexical", "--version", "1"], 1, "MAJOR.MINOR.PATCH"),
        (["publish", "bank", "--sparse", "lexical", "--metrics", "job.toml"], 1, "no JSON file"),
        (["show", "nothing"], 1, "has no model"),
        (["promote", "bank", "previous"], 1, "has no tag"),
        (["tag", "bank", "latest", "latest"], 1, "is no tag"),
    ],
)
def test_refusals(published, arguments, code, message):
    assert message in published(*arguments, code=code).stderr
