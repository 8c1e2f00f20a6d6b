"""``tandem models connect``."""

import os
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option
from opensearch.errors import SettingsError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from encoders.base import DenseEncoder, SparseEncoder
    from opensearch.ml.connectors.spec import Connection


@click.command()
@click.argument("server", metavar="SERVER")
@click.option(
    "--kind",
    type=click.Choice(["dense", "sparse", "rerank"]),
    required=True,
    help="What the model makes of texts: vectors, token weights, or scores of pairs.",
)
@click.option(
    "--flavour",
    type=click.Choice(["tandem", "openai", "tei", "vllm"]),
    default="tandem",
    show_default=True,
    help="Whose wire format the server speaks; openai is any server with /v1/embeddings.",
)
@click.option("--name", help="Name of the model in the cluster.  [default: KIND-at-HOST-PORT]")
@click.option("--model", help="Name of the model on the server, where it serves several.")
@click.option(
    "--dimension", type=click.IntRange(1, 16_000), help="Width of the vectors; asked if not given."
)
@click.option(
    "--side",
    type=click.Choice(["both", "query", "document"]),
    default="both",
    show_default=True,
    help="Which texts it gets. Before OpenSearch 3.5 each side needs a connection of its own.",
)
@click.option(
    "--key-env",
    metavar="VARIABLE",
    help="Environment variable with the server's key; kept in the cluster as a credential.",
)
@click.option("--dense", metavar="MODEL", help="Compare its vectors with this local encoder.")
@click.option("--sparse", metavar="MODEL", help="Compare its weights with this local encoder.")
@click.option(
    "--apply-settings",
    is_flag=True,
    help="Let the cluster's nodes call this server, where its settings do not allow it yet.",
)
@click.option("--replace", is_flag=True, help="Point an existing model of that name to SERVER.")
@click.option(
    "--connect-timeout",
    type=click.IntRange(1, 300),
    default=5,
    show_default=True,
    help="Seconds the nodes wait for a connection.",
)
@click.option(
    "--read-timeout",
    type=click.IntRange(1, 3600),
    default=60,
    show_default=True,
    help="Seconds the nodes wait for an answer.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 10),
    default=2,
    show_default=True,
    help="Tries after one that failed on the network or was throttled.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@url_option
@json_option
@reports_errors
def connect(server: str, url: str | None, as_json: bool, dry_run: bool, **options: Any) -> None:
    """Register the model server at SERVER with the cluster, and test it.

    SERVER is its address as the nodes of the cluster reach it. Run again, the command finds the
    model by its name and brings it up to date.

    \b
    Examples:
      tandem models connect http://10.0.0.7:8080 --kind dense --name minilm --apply-settings
      tandem models connect http://10.0.0.7:8080 --kind sparse --key-env TANDEM_SERVE_TOKEN
      tandem models connect https://api.openai.com --kind dense --flavour openai \\
        --model text-embedding-3-small --key-env OPENAI_API_KEY
      tandem models connect http://127.0.0.1:8080 --kind rerank --dry-run
    """
    from opensearch.workflows.connect_model import ConnectJob, connect_model, planned
    from opensearch.workflows.connection import open_cluster

    connection = _connection(server, options)
    if dry_run:
        echo_json(planned(connection))
        return
    job = ConnectJob(
        connection,
        encoder=_encoder(options),
        apply_settings=options["apply_settings"],
        replace=options["replace"],
    )
    report = connect_model(open_cluster(url), job)
    if as_json:
        echo_json(_as_dict(connection, report))
    else:
        _show(connection, report)


def _connection(server: str, options: dict[str, Any]) -> "Connection":
    from opensearch.ml.connectors.spec import Connection, Limits, default_name

    return Connection(
        url=server.rstrip("/"),
        kind=options["kind"],
        flavour=options["flavour"],
        name=options["name"] or default_name(server, options["kind"]),
        model=options["model"],
        dimension=options["dimension"],
        side=options["side"],
        key=_key(options["key_env"]),
        limits=Limits(
            connect_s=options["connect_timeout"],
            read_s=options["read_timeout"],
            retries=options["retries"],
        ),
    )


def _key(variable: str | None) -> "SecretStr | None":
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value:
        msg = f"--key-env names {variable}, which is not set or empty"
        raise SettingsError(msg)
    from pydantic import SecretStr

    return SecretStr(value)


def _encoder(options: dict[str, Any]) -> "DenseEncoder | SparseEncoder | None":
    for kind in ("dense", "sparse"):
        if options[kind] and options["kind"] != kind:
            msg = f"--{kind} names an encoder to compare with; the kind is {options['kind']}"
            raise SettingsError(msg)
    from encoders.registry import LoadOptions, load_dense, load_sparse

    if options["dense"]:
        return load_dense(options["dense"], LoadOptions())
    return load_sparse(options["sparse"], LoadOptions()) if options["sparse"] else None


def _as_dict(connection: "Connection", report: Any) -> dict[str, Any]:
    return {
        "name": connection.name,
        "model_id": report.registered.model_id,
        "connector_id": report.registered.connector_id,
        "action": report.registered.action,
        "dimension": report.check.dimension,
        "agreement": report.check.agreement,
        "settings": report.settings,
    }


def _show(connection: "Connection", report: Any) -> None:
    registered, check = report.registered, report.check
    for name, value in (item for part in report.settings.values() for item in part.items()):
        note(f"Changed the cluster setting {name} to {value}.")
    click.echo(f"{connection.name}  {registered.model_id}  ({registered.action})")
    click.echo(
        f"  {connection.kind} model at {connection.url}, connector {registered.connector_id}"
    )
    width = f", {check.dimension} components each" if check.dimension else ""
    click.echo(f"  answered for {check.texts} texts{width}")
    if check.agreement is not None:
        what = "least cosine with" if connection.kind == "dense" else "largest difference to"
        click.echo(f"  {what} the local encoder: {check.agreement:.6f}")
