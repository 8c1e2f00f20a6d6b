"""The command line as a whole: help, misuse, speed of `--help`."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from opensearch.cli.root import COMMANDS, main


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command below a group, as the words a person types."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = sorted(commands(main))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, [*words, "--help"])
    assert result.exit_code == 0, result.output
    text = result.output
    assert "Usage:" in text
    assert len(text.splitlines()) > 5
    assert "tandem " in text, "an example belongs into the help"


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_option_is_explained(words: tuple[str, ...]) -> None:
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    options = [p for p in command.params if isinstance(p, click.Option)]
    silent = [o.name for o in options if not o.help and o.name not in SELF_EXPLAINED]
    assert not silent


# Their name and default say it.
SELF_EXPLAINED = {"size", "shards", "replicas"}


def test_overview_lists_all_commands() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert all(name in output for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command"),
        (["search", "docs"], "Missing argument"),
        (["search", "docs", "q", "--mode", "magic"], "magic"),
        (["search", "docs", "q", "--url", "ftp://x"], "must start with http"),
        (["evaluate", "docs", "--queries", "/nonexistent"], "does not exist"),
        (["index", "x.jsonl"], "--index"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_misuse_exits_with_2(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output


def test_help_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "onnxruntime", "numpy", "opensearchpy", "pydantic", "rich")
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom opensearch.cli.root import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
