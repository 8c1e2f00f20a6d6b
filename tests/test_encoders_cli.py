import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from encoders.cli import EncoderChoice, encode, encoder_options
from encoders.lexical import LexicalEncoder


def _run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(encode, arguments, input=stdin)


def test_help_names_every_option_and_an_example() -> None:
    text = _run("--help").output
    for option in ("--dense", "--sparse", "--query", "--json", "--trust-remote-code", "Example"):
        assert option in text


def test_the_default_is_dense() -> None:
    done = _run("hello world")
    assert done.exit_code == 0, done.output
    head, values = done.stdout.split("384 dimensions: ")
    assert head.endswith("all-MiniLM-L6-v2, ")
    shown = [float(value) for value in values.split(", ")[:4]]
    assert shown == pytest.approx([-0.03448, 0.03102, 0.00673, 0.02611], abs=2e-5)
    assert "sparse" not in done.stdout


def test_sparse_shows_top_tokens_and_says_where_statistics_come_from() -> None:
    done = _run("--sparse", "lexical", "the annual fee", "a loan")
    assert done.exit_code == 0, done.output
    assert "lexical, 2 tokens" in done.stdout
    assert "statistics from the 2 texts given" in done.stderr


def test_json_lines_from_standard_input() -> None:
    arguments = ("--dense", "all-MiniLM-L6-v2", "--sparse", "lexical", "--json")
    done = _run(*arguments, stdin="annual fee\n\n유동성 위험\n")
    assert done.exit_code == 0, done.output
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["text"] == "annual fee"
    assert len(first["dense"]) == 384
    assert set(first["sparse"]) == {"annual", "fee"}
    assert first["dense_knows"] and first["sparse_knows"]
    assert not second["dense_knows"]


def test_an_unknown_language_is_pointed_out() -> None:
    assert "was not made for this language" in _run("유동성 위험").stdout
    assert "was not made for this language" not in _run("liquidity risk").stdout


def test_queries_and_documents_differ(tmp_path: Path) -> None:
    statistics = tmp_path / "lexical.json"
    statistics.write_text(json.dumps(LexicalEncoder.fit(["annual fee", "loan"]).state()))
    common = ("--sparse", "lexical", "--statistics", str(statistics), "--json", "fee fee fee")
    query = json.loads(_run("--query", *common).stdout)["sparse"]["fee"]
    document = json.loads(_run("--document", *common).stdout)["sparse"]["fee"]
    assert query == pytest.approx(3 * 0.693147, rel=1e-4)
    assert document != query
    assert json.loads(_run(*common).stdout)["sparse"]["fee"] == document


def test_a_file_of_texts(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("annual fee\nloan\n", encoding="utf-8")
    done = _run("--sparse", "lexical", "--input", str(path), "--json")
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["annual fee", "loan"]


def test_errors_are_messages(tmp_path: Path) -> None:
    done = _run("--dense", "all-minilm-l6", "x")
    assert done.exit_code == 1
    assert "Did you mean 'all-MiniLM-L6-v2'?" in done.stderr
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    done = _run("--sparse", "lexical", "--statistics", str(broken), "x")
    assert done.exit_code == 1
    assert "is not valid JSON" in done.stderr
    broken.write_text("[]")
    done = _run("--sparse", "lexical", "--statistics", str(broken), "x")
    assert done.exit_code == 1


def test_misuse_is_exit_code_2() -> None:
    assert _run("--runtime", "tensorflow", "x").exit_code == 2
    assert _run("--prune-ratio", "1.5", "x").exit_code == 2


def test_other_commands_take_the_same_options() -> None:
    @click.command()
    @click.option("--name")
    @encoder_options
    def other(name: str, encoders: EncoderChoice) -> None:
        click.echo(f"{name} {encoders.dense} {encoders.sparse} {encoders.options.top_k}")

    done = CliRunner().invoke(other, ["--name", "n", "--dense", "bge-m3", "--top-k", "9"])
    assert done.output == "n bge-m3 None 9\n"
