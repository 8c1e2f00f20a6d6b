"""``tandem pipelines``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opensearch.pipeline_files.changes import Change
    from opensearch.pipeline_files.models import ModelNames

_FILE = click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE"
)


@click.group()
def pipelines() -> None:
    """Keep ingest and search pipelines as one file declares them.

    \b
    Examples:
      tandem pipelines init docs --dense-model minilm > pipelines.toml
      tandem pipelines diff pipelines.toml
      tandem pipelines apply pipelines.toml
    """


@pipelines.command()
@_FILE
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--force", is_flag=True, help="Overwrite pipelines that Tandem did not write, too.")
@url_option
@json_option
@reports_errors
def apply(file: Path, dry_run: bool, force: bool, url: str | None, as_json: bool) -> None:
    """Make the cluster's pipelines as FILE (TOML or YAML) declares them; only what differs.

    \b
    Examples:
      tandem pipelines apply pipelines.toml
      tandem pipelines apply pipelines.toml --dry-run
    """
    from opensearch.pipeline_files.changes import apply_changes
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    changes, names = _changes(client, file, force=force)
    if not dry_run:
        apply_changes(client, changes)
    if as_json:
        echo_json([_as_dict(change) for change in changes])
        return
    _show_diff(changes, names)
    done = "would change" if dry_run else "changed"
    click.echo(f"{len(changes)} {done}." if changes else "The cluster is as the file says.")


@pipelines.command()
@_FILE
@click.option("--force", is_flag=True, help="Compare with pipelines Tandem did not write, too.")
@url_option
@json_option
@reports_errors
def diff(file: Path, force: bool, url: str | None, as_json: bool) -> None:
    """Show how the cluster's pipelines differ from FILE.

    \b
    Example:
      tandem pipelines diff pipelines.toml
    """
    from opensearch.workflows.connection import open_cluster

    changes, names = _changes(open_cluster(url), file, force=force)
    if as_json:
        echo_json([_as_dict(change) for change in changes])
        return
    _show_diff(changes, names)
    if not changes:
        click.echo("The cluster is as the file says.")


@pipelines.command()
@_FILE
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--force", is_flag=True, help="Detach indices that use them first.")
@url_option
@json_option
@reports_errors
def remove(file: Path, dry_run: bool, force: bool, url: str | None, as_json: bool) -> None:
    """Remove the pipelines that FILE declares; refused while an index uses one.

    \b
    Example:
      tandem pipelines remove pipelines.toml --force
    """
    from opensearch.pipeline_files.changes import find_removal, remove_pipelines
    from opensearch.pipeline_files.loading import load_pipeline_file
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    removal = find_removal(client, load_pipeline_file(file))
    if not dry_run:
        remove_pipelines(client, removal, force=force)
    if as_json:
        echo_json(
            {
                "removed": [list(pipeline) for pipeline in removal.pipelines],
                "detached": [use.index for use in removal.detached],
                "absent": [list(pipeline) for pipeline in removal.absent],
            }
        )
        return
    done = "would be " if dry_run else ""
    for use in removal.detached:
        click.echo(f"{done}detached: index {use.index} ({use.setting})")
    for kind, name in removal.pipelines:
        click.echo(f"{done}removed: {kind} pipeline {name}")
    for kind, name in removal.absent:
        note(f"There is no {kind} pipeline {name}.")


@pipelines.command("list")
@url_option
@json_option
@reports_errors
def list_command(url: str | None, as_json: bool) -> None:
    """List the cluster's pipelines, what keeps them and which indices use them.

    The third column says `file` for what `tandem pipelines apply` wrote and `own` for what
    `tandem index` did; the last one says `?` where you may not see which indices use it.

    \b
    Example:
      tandem pipelines list
    """
    from opensearch.mappings import DEFAULT_PIPELINE as own
    from opensearch.pipeline_files.changes import list_pipelines
    from opensearch.workflows.connection import open_cluster

    found = list_pipelines(open_cluster(url))
    if as_json:
        echo_json([pipeline.as_dict() for pipeline in found])
        return
    for pipeline in found:
        keeper = "file" if pipeline.managed else "own" if pipeline.name == own else "-"
        used = "?" if pipeline.indices is None else ", ".join(pipeline.indices) or "-"
        click.echo(f"{pipeline.kind:<7} {pipeline.name:<32} {keeper:<5} {used}")
    if not found:
        click.echo("No pipelines.")


@pipelines.command()
@click.argument("index")
@click.option("--dense-model", metavar="NAME", help="Model of the cluster for the dense field.")
@click.option(
    "--dense-query-model",
    metavar="NAME",
    help="Model of the query side, where it is another one (connected with --side query).",
)
@click.option("--sparse-model", metavar="NAME", help="Model of the cluster for the sparse field.")
@click.option(
    "--sparse-query-model",
    metavar="NAME",
    help="The same for the sparse field (inference-free, lexical, --side query).",
)
@click.option("--rerank-model", metavar="NAME", help="Connected cross-encoder.")
@url_option
@reports_errors
def init(index: str, url: str | None, **models: str | None) -> None:
    """Print a pipeline file for INDEX, which `tandem index` built, to start from.

    \b
    Examples:
      tandem pipelines init docs --dense-model minilm > pipelines.toml
      tandem pipelines init docs --dense-model minilm-document --dense-query-model minilm-query
    """
    from opensearch.capabilities import detect
    from opensearch.index_info import read_index_info
    from opensearch.pipeline_files.starting_file import StartingModels, starting_file
    from opensearch.workflows.connection import open_cluster
    from opensearch.workflows.query_encoders import default_fusion

    client = open_cluster(url)
    info = read_index_info(client, index)
    named = StartingModels(**{name.removesuffix("_model"): model for name, model in models.items()})
    text = starting_file(info, named, default_fusion(info), detect(client))
    click.echo(text, nl=False)


def _changes(client: Any, file: Path, *, force: bool) -> "tuple[Sequence[Change], ModelNames]":
    """Everything is checked here, before anything is sent."""
    from opensearch.capabilities import detect
    from opensearch.pipeline_files.changes import find_changes
    from opensearch.pipeline_files.features import check_features
    from opensearch.pipeline_files.loading import load_pipeline_file
    from opensearch.pipeline_files.models import model_names

    declared = load_pipeline_file(file)
    check_features(declared, detect(client))
    names = model_names(client)
    return find_changes(client, declared, names, force=force), names


def _as_dict(change: "Change") -> dict[str, Any]:
    return {"what": change.title, "before": change.before, "after": change.after}


def _show_diff(changes: "Sequence[Change]", names: "ModelNames") -> None:
    for change in changes:
        for line in change.diff().splitlines():
            click.secho(line, fg=_COLOURS.get(line[:1]))
        click.echo()
    for model_id, label in names.resolved.items():
        note(f"{label} is {model_id}.")


_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
