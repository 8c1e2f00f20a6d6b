"""`tandem models`: encoders that run in the cluster."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.lazy import LazyCommand, LazyGroup
from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option

if TYPE_CHECKING:
    from rich.table import Table

    from opensearch.ml.catalogue import ModelInfo
    from opensearch.ml.usage import Usage
    from opensearch.workflows.push_model import Pushed

_HERE = "opensearch.cli.models"
COMMANDS: Mapping[str, LazyCommand] = MappingProxyType(
    {
        "recommend": LazyCommand(
            "training.recommending.cli:recommend",
            "Name models that fit, with reasons, and say whether to tune at all.",
        ),
        "push": LazyCommand(f"{_HERE}:push", "Put an encoder on the cluster's nodes and prove it."),
        "list": LazyCommand(f"{_HERE}:list_command", "List the models that the cluster holds."),
        "show": LazyCommand(f"{_HERE}:show", "Show one model, and everything that uses it."),
        "deploy": LazyCommand(f"{_HERE}:deploy", "Load a model into the nodes' memory."),
        "undeploy": LazyCommand(f"{_HERE}:undeploy", "Free the memory of a model."),
        "delete": LazyCommand(f"{_HERE}:delete", "Remove a model from the cluster."),
        "connect": LazyCommand(
            "opensearch.cli.connect:connect",
            "Register the model server at SERVER with the cluster, and test it.",
        ),
    }
)

force_option = click.option(
    "--force", is_flag=True, help="Even where pipelines or indices name the model."
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    help="Seconds a deployment may take.",
)


@click.group(cls=LazyGroup, lazy=COMMANDS)
def models() -> None:
    """Run encoders in the cluster: push, list, deploy, delete.

    A model in the cluster answers `neural` and `neural_sparse` queries by its id, for every client
    of OpenSearch; nothing of Tandem runs at query time.

    \b
    Example:
      tandem models push all-MiniLM-L6-v2
      tandem models list
    """


@models.command()
@click.argument("model", required=False)
@click.option(
    "--kind",
    type=click.Choice(["dense", "sparse"]),
    help="What the model is. Default: what its own files say.",
)
@click.option("--name", help="Its name in the cluster. Default: made from MODEL.")
@click.option("--group", help="Its model group, which counts versions. Default: its name.")
@click.option(
    "--deploy/--no-deploy",
    default=True,
    show_default=True,
    help="Load it into the nodes' memory, and compare it with the local encoder.",
)
@click.option(
    "--tokenizer-only",
    is_flag=True,
    help="Of an inference-free sparse model, only the query side: a tokenizer and weights.",
)
@click.option(
    "--statistics-of",
    metavar="INDEX",
    help="The query side of the lexical token weights that INDEX was built with.",
)
@click.option(
    "--format",
    "graph_format",
    type=click.Choice(["onnx", "torchscript"]),
    default="onnx",
    show_default=True,
    help="What the graph is written in; TorchScript for clusters that refuse ONNX.",
)
@click.option("--text", "texts", multiple=True, help="Compare on this text, too. May be repeated.")
@click.option("--max-tokens", type=click.IntRange(1, 512), help="Cut texts after so many tokens.")
@click.option("--query-prompt", help="Put before each query, instead of the model's own.")
@click.option("--document-prompt", help="Put before each document, instead of the model's own.")
@click.option("--revision", help="Branch, tag or commit on the model hub.")
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that ships with MODEL.")
@click.option(
    "--apply-settings",
    is_flag=True,
    help="Change the cluster settings that keep models from the nodes.",
)
@timeout_option
@url_option
@json_option
@reports_errors
def push(
    model: str | None,
    kind: str | None,
    name: str | None,
    group: str | None,
    deploy: bool,
    tokenizer_only: bool,
    statistics_of: str | None,
    graph_format: str,
    texts: tuple[str, ...],
    apply_settings: bool,
    timeout: float,
    url: str | None,
    as_json: bool,
    **loading: Any,
) -> None:
    """Put an encoder on the cluster's nodes and prove it.

    MODEL is a preset, a folder or a hub id. It is exported (once), uploaded, deployed, and must
    then answer what the local encoder answers, or is undeployed again. Pushing again what is there
    changes nothing; an upload that broke off goes on. An inference-free sparse model becomes two:
    one for documents and one, with `-query` behind its name, for queries.

    \b
    Example:
      tandem models push all-MiniLM-L6-v2
      tandem models push opensearch-project/opensearch-neural-sparse-encoding-doc-v3-distill
      tandem models push ./my-model --kind sparse --name bank-sparse --no-deploy
      tandem models push --statistics-of docs
    """
    from encoders.options import LoadOptions
    from opensearch.workflows.connection import open_cluster
    from opensearch.workflows.model_packages import Naming
    from opensearch.workflows.push_model import PushRequest
    from opensearch.workflows.push_model import push as push_model

    if model is None and statistics_of is None:
        msg = "Name a MODEL, or an index with --statistics-of."
        raise click.UsageError(msg)
    request = PushRequest(
        model=model,
        kind=kind,  # type: ignore[arg-type]  # click.Choice
        naming=Naming(name, group),
        options=LoadOptions(**loading),
        deploy=deploy,
        tokenizer_only=tokenizer_only,
        statistics_of=statistics_of,
        graph_format=graph_format,  # type: ignore[arg-type]  # click.Choice
        texts=texts,
        timeout_s=timeout,
        apply_settings=apply_settings,
    )
    with _upload_progress() as progress:
        pushed = push_model(open_cluster(url), request, progress)
    if as_json:
        echo_json([result.as_dict() for result in pushed])
        return
    for result in pushed:
        _show_pushed(result)


@models.command(name="list")
@url_option
@json_option
@reports_errors
def list_command(url: str | None, as_json: bool) -> None:
    """List the models that the cluster holds.

    \b
    Example:
      tandem models list
      tandem models list --json
    """
    from opensearch.ml.catalogue import list_models
    from opensearch.ml.usage import read_use, usage_of
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    found = list_models(client)
    use = read_use(client)
    rows = [(model, usage_of(model, use)) for model in found]
    if as_json:
        echo_json([{**model.as_dict(), "used_by": usage.as_dict()} for model, usage in rows])
        return
    if not rows:
        note("The cluster holds no models. `tandem models push MODEL` puts one there.")
        return
    _print(_table(rows))
    if use.unknown:
        note(f"Not allowed to read: {', '.join(use.unknown)}; so more may use them.")


@models.command()
@click.argument("model")
@url_option
@json_option
@reports_errors
def show(model: str, url: str | None, as_json: bool) -> None:
    """Show one model, and everything that uses it.

    MODEL is a name (its newest deployed version, else its newest), name@version, or an id.

    \b
    Example:
      tandem models show all-minilm-l6-v2
      tandem models show all-minilm-l6-v2@1 --json
    """
    from opensearch.ml.catalogue import find_model, stored_chunks
    from opensearch.ml.usage import read_use, usage_of
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    found = find_model(client, model)
    usage = usage_of(found, read_use(client))
    stored = None
    if found.incomplete and found.chunks:
        stored = len(stored_chunks(client, found.id, found.chunks))
    if as_json:
        shown = {**found.as_dict(), "config": dict(found.config), "used_by": usage.as_dict()}
        echo_json({**shown, "chunks": found.chunks, "stored_chunks": stored})
        return
    for label, value in _details(found, usage, stored):
        click.echo(f"{label:<16} {value}")


@models.command()
@click.argument("model")
@timeout_option
@url_option
@json_option
@reports_errors
def deploy(model: str, timeout: float, url: str | None, as_json: bool) -> None:
    """Load a model into the nodes' memory.

    \b
    Example:
      tandem models deploy all-minilm-l6-v2
    """
    from opensearch.ml.catalogue import find_model, refreshed
    from opensearch.ml.deployment import deploy as deploy_model
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    found = find_model(client, model)
    task = deploy_model(client, found, deadline_s=timeout)
    found = refreshed(client, found)
    if as_json:
        echo_json({**found.as_dict(), "changed": task is not None})
        return
    took = f" after {task.seconds:.1f} s" if task else " already"
    note(f"{found.label} is {found.state.lower()}{took}, on {found.workers} node(s).")


@models.command()
@click.argument("model")
@force_option
@url_option
@json_option
@reports_errors
def undeploy(model: str, force: bool, url: str | None, as_json: bool) -> None:
    """Free the memory of a model.

    It stays in the cluster, and `tandem models deploy` brings it back. One that pipelines or
    indices name is left alone without --force.

    \b
    Example:
      tandem models undeploy all-minilm-l6-v2
    """
    from opensearch.ml.catalogue import refreshed
    from opensearch.ml.deployment import undeploy as undeploy_model
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    found = _unused(client, model, "Their documents and queries would fail.", force=force)
    undeploy_model(client, found)
    found = refreshed(client, found)
    if as_json:
        echo_json(found.as_dict())
        return
    note(f"{found.label} is {found.state.lower()}.")


@models.command()
@click.argument("model")
@force_option
@url_option
@json_option
@reports_errors
def delete(model: str, force: bool, url: str | None, as_json: bool) -> None:
    """Remove a model from the cluster.

    A name that stands for several versions is refused: name one as name@version. One that
    pipelines or indices name is left alone without --force.

    \b
    Example:
      tandem models delete all-minilm-l6-v2@1
    """
    from opensearch.ml.connectors.registration import remove
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    found = _unused(client, model, "They would fail without it.", force=force)
    remove(client, found)
    if as_json:
        echo_json({"deleted": found.as_dict()})
        return
    note(f"Deleted {found.label} ({found.id}).")


def _unused(client: Any, name: str, consequence: str, *, force: bool) -> "ModelInfo":
    """The one model of a name; refused while something uses it, unless forced."""
    from opensearch.ml.catalogue import choose_model, list_models, refreshed
    from opensearch.ml.usage import read_use, refuse_in_use, usage_of

    found = refreshed(client, choose_model(list_models(client), name, only=True))
    if not force:
        refuse_in_use(found, usage_of(found, read_use(client)), consequence)
    return found


def _show_pushed(result: "Pushed") -> None:
    model = result.model
    what = {"found": "is there already", "continued": "was completed", "registered": "is new"}
    note(f"{model.label} {what[result.how]}: {model.state.lower()}, {result.seconds:.1f} s.")
    if result.verification is not None:
        note(f"It agrees with the local encoder: {result.verification}.")
    elif not model.deployed:
        note(f"Not deployed, so not compared: tandem models deploy {model.label}")
    click.echo(model.id)


def _details(
    model: "ModelInfo", usage: "Usage", stored: int | None
) -> Sequence[tuple[str, object]]:
    state = model.state if stored is None else f"{model.state}, {stored} of {model.chunks} chunks"
    details = [
        ("name", model.name),
        ("version", model.version),
        ("group", model.group),
        ("id", model.id),
        ("state", state),
        ("function", model.function),
        ("format", model.format or "none: it runs elsewhere"),
        ("size", _megabytes(model.size_bytes)),
        ("memory", _megabytes(model.memory_bytes)),
        ("nodes", f"{model.workers} of {model.planned_workers}"),
        ("made from", model.notes.get("model", "unknown: not pushed by Tandem")),
        ("fingerprint", model.fingerprint or "unknown"),
        ("ingest", ", ".join(usage.ingest_pipelines) or "no pipeline"),
        ("search", ", ".join(usage.search_pipelines) or "no pipeline"),
        ("indices", ", ".join(usage.indices) or "none"),
        ("same encoder", ", ".join(usage.same_encoder) or "no index"),
    ]
    if usage.unknown:
        details.append(("not readable", ", ".join(usage.unknown)))
    return details


def _table(rows: Sequence[tuple["ModelInfo", "Usage"]]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("model", no_wrap=True)
    table.add_column("group")
    table.add_column("state")
    table.add_column("function")
    table.add_column("size", justify="right")
    table.add_column("memory", justify="right")
    table.add_column("nodes", justify="right")
    table.add_column("used by")
    table.add_column("id", no_wrap=True)
    for model, usage in rows:
        table.add_row(
            model.label,
            model.group,
            model.state.lower(),
            _function(model),
            _megabytes(model.size_bytes),
            _megabytes(model.memory_bytes),
            f"{model.workers}/{model.planned_workers}",
            _users(usage),
            model.id,
        )
    return table


def _function(model: "ModelInfo") -> str:
    return model.function.lower().replace("_", " ")


def _users(usage: "Usage") -> str:
    parts = (usage.ingest_pipelines, usage.search_pipelines, usage.indices)
    users = sorted({name for part in parts for name in part})
    return ", ".join([*users, *(f"({name})" for name in usage.same_encoder if name not in users)])


def _megabytes(size: int | None) -> str:
    if size is None:
        return "-"
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _print(table: "Table") -> None:
    import sys

    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(table)


def _upload_progress() -> Any:
    from opensearch.cli.upload_progress import Rendered

    return Rendered()
