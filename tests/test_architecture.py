"""The rules that keep the packages apart, read from the source."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from opensearch.cli.root import COMMANDS, main

ROOT = Path(__file__).parent.parent
PACKAGES = ("encoders", "ingest", "operations", "opensearch", "serving", "training")
FILES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}

# What each package may know of the others.
ALLOWED = {
    "encoders": set(),
    "ingest": {"encoders.base"},
    "opensearch": {"encoders.base", "ingest.records"},
}


def imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """``(module, name)`` of everything a file imports, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (
                ("." * node.level + (node.module or ""), alias.name) for alias in node.names
            )


def top(module: str) -> str:
    return module.partition(".")[0]


def is_command_line(name: str) -> bool:
    return name.endswith("/cli.py") or name.startswith("opensearch/cli/")


def wires_packages(name: str) -> bool:
    return (
        is_command_line(name)
        or name.startswith("opensearch/workflows/")
        or top_folder(name) in ("operations", "serving", "training")
    )


def top_folder(name: str) -> str:
    return name.partition("/")[0]


def test_the_rules_see_files() -> None:
    assert {top_folder(name) for name in FILES} == set(PACKAGES)
    assert len(FILES) > 50


def test_packages_know_only_what_lies_below_them() -> None:
    offenders = [
        f"{name} imports {module}"
        for name, tree in FILES.items()
        if not wires_packages(name)
        for module, _ in imports(tree)
        if top(module) in set(PACKAGES) - {top_folder(name)}
        and module not in ALLOWED[top_folder(name)]
    ]
    assert not offenders


def test_our_own_modules_are_imported_by_full_path() -> None:
    offenders = [
        f"{name} imports {imported} from {module!r}"
        for name, tree in FILES.items()
        for module, imported in imports(tree)
        if module.startswith(".") or module in PACKAGES
    ]
    assert not offenders


def test_only_the_command_line_knows_click() -> None:
    users = {n for n, tree in FILES.items() if "click" in {top(m) for m, _ in imports(tree)}}
    assert users
    assert not [name for name in users if not is_command_line(name)]


def test_one_place_builds_clients() -> None:
    builders = {
        name
        for name, tree in FILES.items()
        for module, imported in imports(tree)
        if top(module) == "opensearchpy" and "exceptions" not in (imported, module[-10:])
    }
    assert builders == {"opensearch/client.py"}


# Hands every exception of its thread to the consumer, which raises it.
CATCHES_ALL = {"ingest/background.py"}


def test_nothing_swallows_every_exception() -> None:
    offenders = [
        f"{name}:{handler.lineno}"
        for name, tree in FILES.items()
        if name not in CATCHES_ALL
        for handler in ast.walk(tree)
        if isinstance(handler, ast.ExceptHandler) and _is_broad(handler) and not _cleans_up(handler)
    ]
    assert not offenders


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return bool(names & {"Exception", "BaseException"})


def _cleans_up(handler: ast.ExceptHandler) -> bool:
    """Whether the handler passes the same exception on."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_nothing_prints() -> None:
    offenders = [
        f"{name}:{node.lineno}"
        for name, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not offenders


HEAVY = {
    "matplotlib",
    "onnx",
    "onnxruntime",
    "peft",
    "pyarrow",
    "sentence_transformers",
    "torch",
    "trafilatura",
    "transformers",
}


def at_import_time(tree: ast.Module) -> Iterator[str]:
    """Packages a file imports as soon as it is imported itself."""
    todo: list[ast.stmt] = list(tree.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (top(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield top(node.module or "")
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            todo += [*node.body, *node.orelse]
        elif isinstance(node, ast.Try):
            todo += node.body


# Run as a script by another interpreter, never imported.
SCRIPTS = {"encoders/export/old_runtime_script.py"}


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    offenders = {
        name: HEAVY & set(at_import_time(tree))
        for name, tree in FILES.items()
        if name not in SCRIPTS
    }
    assert not {name: heavy for name, heavy in offenders.items() if heavy}


def test_the_package_named_opensearch_is_ours() -> None:
    # opensearch-py 3.1 and 3.2 bring a package of the same name that takes the place of ours.
    package = importlib.import_module("opensearch")
    assert Path(package.__file__).parent == ROOT / "opensearch"
    assert Path(package.__file__).read_text(encoding="utf-8") == ""
    client = importlib.import_module("opensearchpy")
    assert "OpenSearch" in vars(client)


def test_the_table_of_commands_is_complete() -> None:
    assert main.list_commands(click.Context(main)) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_in_one_line_what_it_does(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    first = (command.help or "").strip().partition("\n")[0]
    for line in (first, COMMANDS[name].summary):
        assert line[:1].isupper() and line.endswith("."), line
        assert len(line) <= 100


def test_an_unknown_command_is_not_there() -> None:
    assert main.get_command(click.Context(main), "nonsense") is None
