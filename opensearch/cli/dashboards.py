"""``tandem dashboards``: saved objects for OpenSearch Dashboards, queries for its Dev Tools."""

from pathlib import Path
from typing import Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option

_output = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write; standard output without it.",
)


@click.group()
def dashboards() -> None:
    """Bring search quality and ready queries into OpenSearch Dashboards.

    \b
    Examples:
      tandem evaluate docs --queries my-set/ --store
      tandem dashboards export --index docs -o tandem.ndjson
      tandem dashboards import --dashboards-url http://127.0.0.1:5601
      tandem dashboards queries docs -o queries.txt
    """


@dashboards.command("export")
@click.option(
    "--index",
    "indices",
    multiple=True,
    metavar="NAME",
    help="Also a pattern and a saved search for this index. Repeatable.",
)
@_output
@reports_errors
def export(indices: tuple[str, ...], output: Path | None) -> None:
    """Write index patterns, saved searches, charts and a dashboard as one ndjson file.

    Import it under Dashboards Management > Saved objects, or with `tandem dashboards import`.

    \b
    Example:
      tandem dashboards export --index docs -o tandem.ndjson
    """
    from opensearch.dashboards.board import board
    from opensearch.dashboards.saved_objects import to_ndjson

    _write(to_ndjson(board(indices)), output)


@dashboards.command("import")
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False
)
@click.option(
    "--dashboards-url",
    required=True,
    envvar="TANDEM_DASHBOARDS_URL",
    show_envvar=True,
    help="Address of OpenSearch Dashboards.",
)
@click.option("--index", "indices", multiple=True, metavar="NAME", help="As in export.")
@click.option(
    "--ca-certs",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificate authority that signed the certificate of Dashboards.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be imported.")
@json_option
@reports_errors
def import_(
    file: Path | None,
    dashboards_url: str,
    indices: tuple[str, ...],
    ca_certs: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import the saved objects into a running OpenSearch Dashboards, replacing earlier ones.

    Without FILE it imports what `tandem dashboards export` would write. Login and password are
    read from TANDEM_DASHBOARDS_USER and TANDEM_DASHBOARDS_PASSWORD.

    \b
    Example:
      tandem dashboards import --dashboards-url http://127.0.0.1:5601 --dry-run
    """
    from opensearch.dashboards.board import board
    from opensearch.dashboards.importing import import_objects
    from opensearch.dashboards.saved_objects import to_ndjson

    text = file.read_text(encoding="utf-8") if file else to_ndjson(board(indices))
    count = sum(1 for line in text.splitlines() if line.strip())
    if not dry_run:
        count = import_objects(dashboards_url, text, verify=ca_certs or True).count
    if as_json:
        echo_json({"objects": count, "imported": not dry_run})
    else:
        click.echo(f"{count} objects {'would be ' if dry_run else ''}imported.")


@dashboards.command("queries")
@click.argument("name")
@click.option("--query", "text", default="lost card", show_default=True, help="The query they ask.")
@click.option("--dense-model-id", metavar="NAME", help="Dense model of the cluster (name or id).")
@click.option("--sparse-model-id", metavar="NAME", help="Sparse model of the cluster (name or id).")
@_output
@url_option
@reports_errors
def queries(
    name: str,
    text: str,
    dense_model_id: str | None,
    sparse_model_id: str | None,
    output: Path | None,
    url: str | None,
) -> None:
    """Write queries for Dev Tools in every mode of the index NAME, model ids filled in.

    Models are those that the index's pipelines name, unless others are given. Modes without a
    model in the cluster are left out.

    \b
    Example:
      tandem dashboards queries docs --query "how do I get my money back" -o queries.txt
    """
    from opensearch.capabilities import detect
    from opensearch.dashboards.devtools import devtools_file, devtools_queries
    from opensearch.index_info import read_index_info
    from opensearch.workflows.connection import open_cluster
    from opensearch.workflows.query_encoders import default_fusion

    client = open_cluster(url)
    info = read_index_info(client, name)
    models = _models(client, info, dense_model_id, sparse_model_id)
    asked = devtools_queries(info, models, default_fusion(info), text, detect(client))
    _write(devtools_file(asked), output)


def _models(client: Any, info: Any, dense: str | None, sparse: str | None) -> Any:
    from opensearch.errors import SettingsError
    from opensearch.model_queries import QueryModels
    from opensearch.workflows.query_models import ModelChoice, query_models

    try:
        return query_models(client, info, ModelChoice(dense=dense, sparse=sparse))
    except SettingsError as error:
        note(f"Only BM25: {error}")
        return QueryModels()


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    note(f"Written: {output}")
