"""`tandem engine`: a real OpenSearch on this machine, without containers."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from opensearch.cli.engine_progress import Rendered
from opensearch.cli.support import echo_json, json_option, note, reports_errors
from opensearch.errors import EngineError
from opensearch.local.engine import (
    DEFAULT_NAME,
    DEFAULT_VERSION,
    EngineOptions,
    log_file,
    running_engine,
    start_engine,
    stop_engine,
)
from opensearch.local.locks import known_versions
from opensearch.local.readiness import last_lines
from opensearch.local.state import EngineState

_FOLLOW_S = 0.3

name_option = click.option(
    "--name", default=DEFAULT_NAME, show_default=True, help="Which engine; each has its own data."
)


@click.group()
def engine() -> None:
    """Run a real OpenSearch on this machine, without containers.

    The first start fetches about 620 MB and needs 4 GB of disk and a Java (21 or newer); later
    starts take seconds. The engine listens on 127.0.0.1 only and runs on until it is stopped.

    \b
    Example:
      tandem engine start
      tandem engine status
      tandem engine stop
    """


@engine.command()
@click.option(
    "--version",
    type=click.Choice(known_versions()),
    default=DEFAULT_VERSION,
    show_default=True,
    help="OpenSearch version.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port of 127.0.0.1; of the first node where there are several. Default: a free one.",
)
@click.option("--heap", default="1g", show_default=True, help="Heap of each node, as 512m or 2g.")
@click.option(
    "--nodes",
    type=click.IntRange(1, 9),
    default=1,
    show_default=True,
    help="Nodes of the cluster, all on this machine.",
)
@click.option(
    "--secure",
    is_flag=True,
    help="TLS and a login; only with --version 2.19.1, and the extra `secure` installed.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=180.0,
    show_default=True,
    help="Seconds to wait for its first answer.",
)
@name_option
@json_option
@reports_errors
def start(
    version: str,
    port: int | None,
    heap: str,
    nodes: int,
    secure: bool,
    timeout: float,
    name: str,
    as_json: bool,
) -> None:
    """Start an engine, and wait until it answers.

    Where one of that name runs already, this only says where. Data of earlier runs is kept.

    \b
    Example:
      tandem engine start
      tandem engine start --port 9200 --heap 2g
      tandem engine start --name cluster --nodes 3 --heap 512m
      tandem engine start --name old --version 2.19.1 --secure
    """
    options = EngineOptions(
        name=name,
        version=version,
        port=port,
        heap=heap,
        nodes=nodes,
        timeout_s=timeout,
        secure=secure,
    )
    before = running_engine(name)
    with Rendered() as progress:
        state = start_engine(options, progress)
    started = before is None
    if as_json:
        echo_json({"started": started, **state.to_json()})
        return
    note("Started." if started else "It runs already.")
    _describe(state)


@engine.command()
@name_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds each node may take to end before it is killed.",
)
@json_option
@reports_errors
def stop(name: str, timeout: float, as_json: bool) -> None:
    """Stop an engine; its data stays for the next start.

    \b
    Example:
      tandem engine stop
      tandem engine stop --name cluster
    """
    report = stop_engine(name, timeout_s=timeout)
    killed = list(report.killed) if report else []
    if as_json:
        echo_json({"name": name, "stopped": report is not None, "killed": killed})
        return
    if report is None:
        note(f"No engine {name!r} runs.")
        return
    note(f"Stopped the engine {name!r}. Its data stays in {report.state.data}.")
    if killed:
        note(f"Killed after {timeout:g} s, as it did not end by itself: {', '.join(killed)}.")


@engine.command()
@name_option
@json_option
@click.pass_context
@reports_errors
def status(context: click.Context, name: str, as_json: bool) -> None:
    """Say whether an engine runs, and where; exit code 1 when not.

    \b
    Example:
      tandem engine status
      tandem engine status --json
    """
    state = running_engine(name)
    if as_json:
        found: dict[str, Any] = state.to_json() if state else {"name": name}
        echo_json({"running": state is not None, **found})
    elif state is None:
        note(f"No engine {name!r} runs. Start it: tandem engine start --name {name}")
    else:
        _describe(state)
    if state is None:
        context.exit(1)


@engine.command()
@name_option
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many lines.",
)
@click.option("--follow", is_flag=True, help="Go on with new lines until Ctrl-C.")
@click.option("--node", default="node-1", show_default=True, help="Which node of a cluster.")
@reports_errors
def logs(name: str, lines: int, follow: bool, node: str) -> None:
    """Show the last lines of an engine's log, also of one that has ended.

    \b
    Example:
      tandem engine logs -n 20
      tandem engine logs --follow
    """
    path = log_file(name, node=node)
    if not path.is_file():
        msg = f"No log yet: {path} does not exist. Was the engine {name!r} ever started?"
        raise EngineError(msg)
    for line in last_lines(path, lines):
        click.echo(line)
    if follow:
        for text in _new_text(path):
            click.echo(text, nl=False)


def _describe(state: EngineState) -> None:
    for node in state.nodes:
        click.echo(f"{node.url}  OpenSearch {state.version}, {node.name}, pid {node.process.pid}")
        note(f"  data {node.data}\n  logs {node.logs}")
    if state.login:
        note(f"  user {state.login.user}, password in {state.login.password_file}")
        note(f"  authority to trust {state.login.ca_file}")
    if not state.knn_natives:
        note("  without the faiss library: use k-NN fields of the engine `lucene`")


def _new_text(path: Path) -> Iterator[str]:
    """What is appended to a file from now on; also after it was rolled over."""
    position = path.stat().st_size
    while True:
        size = path.stat().st_size if path.exists() else 0
        if size < position:
            position = 0
        if size > position:
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(position)
                yield file.read()
                position = file.tell()
        time.sleep(_FOLLOW_S)
