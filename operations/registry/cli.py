"""``tandem registry``."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option

if TYPE_CHECKING:
    from operations.registry.draft import Draft
    from operations.registry.manifest import Manifest
    from operations.registry.registry import Registry
    from operations.registry.versions import Version

registry_option = click.option(
    "--registry",
    "place",
    envvar="TANDEM_REGISTRY",
    show_envvar=True,
    help="Folder or fsspec URL, such as s3://bucket/models. Default: ./registry.",
)


@click.group()
def registry() -> None:
    """Keep models as versions that never change, and say which one is in production.

    VERSION is a number such as 1.2.0, a tag, or latest.

    \b
    Examples:
      tandem registry publish bank --dense runs/dense/model --sparse lexical --tag candidate
      tandem registry promote bank candidate
      tandem registry show bank production --format html --output audit.html
    """


@registry.command()
@click.argument("name")
@click.option("--dense", metavar="MODEL", help="Folder, which is copied, or a preset's name.")
@click.option("--sparse", metavar="MODEL", help="Likewise; or lexical.")
@click.option(
    "--export", "exports", multiple=True, metavar="NAME=PATH", help="File or folder. Repeatable."
)
@click.option(
    "--configuration",
    type=click.Path(exists=True, path_type=Path),
    help="Settings of the training run, a file or a folder.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="ROLE=PATH",
    help="Training or evaluation data; only its SHA-256 is kept. Repeatable.",
)
@click.option(
    "--metrics",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What was measured, as JSON.",
)
@click.option(
    "--parity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How far the exports are from the model, as JSON.",
)
@click.option("--notes", default="", help="Why this version exists.")
@click.option("--author", envvar="TANDEM_AUTHOR", show_envvar=True, help="Who publishes.")
@click.option("--version", "number", help="Its number. Default: the highest one, raised.")
@click.option(
    "--bump",
    type=click.Choice(["major", "minor", "patch"]),
    default="minor",
    show_default=True,
    help="Which part of the highest number is raised.",
)
@click.option("--tag", "tags", multiple=True, help="Put this tag on it. Repeatable.")
@registry_option
@json_option
@reports_errors
def publish(
    name: str,
    number: str | None,
    bump: str,
    tags: tuple[str, ...],
    place: str | None,
    as_json: bool,
    **draft: Any,
) -> None:
    """Publish a model, or a pair of models, as the next version of NAME.

    The same content published again is found, not published twice; a publication that broke off
    goes on with the number it had. METRICS and PARITY are JSON files.

    \b
    Examples:
      tandem registry publish bank --dense all-MiniLM-L6-v2 --sparse lexical
      tandem registry publish bank --dense runs/dense/model --data train=pairs.jsonl --bump major
    """
    from operations.registry.versions import Version

    opened = _open(place)
    wanted = Version.parse(number) if number else None
    manifest = opened.publish(
        name,
        _draft(draft),
        version=wanted,
        bump=bump,  # type: ignore[arg-type]  # click.Choice
    )
    for tag in tags:
        opened.tag(name, tag, manifest.version)
    if as_json:
        echo_json(manifest.as_dict())
        return
    note(f"{name} {manifest.version}: {len(manifest.files)} files, sha256 {manifest.digest[:12]}")


@registry.command(name="list")
@click.argument("name", required=False)
@registry_option
@json_option
@reports_errors
def list_command(name: str | None, place: str | None, as_json: bool) -> None:
    """List models, or the versions of one.

    \b
    Examples:
      tandem registry list
      tandem registry list bank --json
    """
    opened = _open(place)
    rows = [row for found in ([name] if name else opened.names()) for row in _rows(opened, found)]
    if as_json:
        echo_json(rows)
        return
    if not rows:
        note("The registry is empty. `tandem registry publish NAME --dense MODEL` begins it.")
    for row in rows:
        tags = ", ".join(row["tags"])
        click.echo(f"{row['name']:<24} {row['version']:<10} {row['created']:<26} {tags}".rstrip())


@registry.command()
@click.argument("name")
@click.argument("version", default="latest")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "markdown", "html", "json"]),
    default="text",
    show_default=True,
    help="Form of the audit document.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write a file.")
@registry_option
@json_option
@reports_errors
def show(
    name: str, version: str, format_: str, output: Path | None, place: str | None, as_json: bool
) -> None:
    """Show the audit document of a version.

    \b
    Examples:
      tandem registry show bank production
      tandem registry show bank 1.2.0 --format html --output audit.html
    """
    from operations.registry.audit import audit, render

    document = render(
        audit(_open(place), name, version),
        "json" if as_json else format_,  # type: ignore[arg-type]  # click.Choice
    )
    if output is None:
        click.echo(document, nl=False)
        return
    _write(output, document)
    note(f"Written: {output}")


@registry.command()
@click.argument("name")
@click.argument("version")
@click.argument("tag")
@registry_option
@json_option
@reports_errors
def tag(name: str, version: str, tag: str, place: str | None, as_json: bool) -> None:
    """Put TAG on a version, taking it from another.

    \b
    Example:
      tandem registry tag bank 1.2.0 candidate
    """
    opened = _open(place)
    opened.tag(name, tag, opened.resolve(name, version))
    _tell_tags(opened, name, as_json)


@registry.command()
@click.argument("name")
@click.argument("tag")
@registry_option
@json_option
@reports_errors
def untag(name: str, tag: str, place: str | None, as_json: bool) -> None:
    """Take TAG off; `production` only moves.

    \b
    Example:
      tandem registry untag bank candidate
    """
    opened = _open(place)
    opened.untag(name, tag)
    _tell_tags(opened, name, as_json)


@registry.command()
@click.argument("name")
@click.argument("version")
@registry_option
@json_option
@reports_errors
def promote(name: str, version: str, place: str | None, as_json: bool) -> None:
    """Put a version into production; what was there becomes `previous`, in one step.

    \b
    Examples:
      tandem registry promote bank candidate
      tandem registry promote bank previous   # take back
    """
    opened = _open(place)
    opened.promote(name, opened.resolve(name, version))
    _tell_tags(opened, name, as_json)


@registry.command()
@click.argument("name")
@click.argument("version", required=False)
@registry_option
@json_option
@reports_errors
def verify(name: str, version: str | None, place: str | None, as_json: bool) -> None:
    """Read every byte of a version, or of all, and compare with what was published.

    Exit code 1 where a file is changed, missing or added.

    \b
    Examples:
      tandem registry verify bank
      tandem registry verify bank production --json
    """
    opened = _open(place)
    wanted = [version] if version else [str(found) for found in opened.versions(name)]
    faults = {found: opened.verify(name, found) for found in wanted}
    if as_json:
        echo_json(faults)
    for found, lines in faults.items():
        for line in lines:
            note(f"{name} {found}: {line}")
    if any(faults.values()):
        raise click.exceptions.Exit(1)
    note(f"{name}: {len(faults)} version(s) are as published.")


@registry.command()
@click.argument("name")
@click.argument("version", default="latest")
@registry_option
@json_option
@reports_errors
def fetch(name: str, version: str, place: str | None, as_json: bool) -> None:
    """Have a version's files on this machine, checked, and print where they are.

    \b
    Example:
      tandem registry fetch bank production
    """
    fetched = _open(place).fetch(name, version)
    if as_json:
        echo_json(
            {
                "name": name,
                "version": str(fetched.manifest.version),
                "folder": str(fetched.folder),
                "dense": fetched.dense,
                "sparse": fetched.sparse,
            }
        )
        return
    click.echo(str(fetched.folder))


@registry.command()
@click.argument("name")
@click.argument("version", default="production")
@click.option("--deploy/--no-deploy", default=True, show_default=True, help="Load and verify it.")
@click.option(
    "--statistics-of",
    metavar="INDEX",
    help="Of a lexical sparse side: the index whose words the query side is for.",
)
@click.option("--apply-settings", is_flag=True, help="Change cluster settings in the way.")
@registry_option
@url_option
@json_option
@reports_errors
def push(
    name: str,
    version: str,
    deploy: bool,
    statistics_of: str | None,
    apply_settings: bool,
    place: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Put a version's models on the cluster's nodes, as `tandem models push` does.

    They are named NAME-dense-VERSION and NAME-sparse-VERSION, in the model groups NAME-dense and
    NAME-sparse.

    \b
    Example:
      tandem registry push bank production
    """
    from opensearch.ml.upload import Silent
    from opensearch.workflows.connection import open_cluster
    from operations.registry.pushing import PushOptions, push_version

    options = PushOptions(deploy, statistics_of, apply_settings)
    pushed = push_version(open_cluster(url), _open(place), name, version, options, Silent())
    if as_json:
        echo_json([result.as_dict() for result in pushed])
        return
    for result in pushed:
        note(f"{result.model.label}: {result.how}, {result.model.state.lower()}")


def _open(place: str | None) -> "Registry":
    from operations.registry.registry import Registry

    return Registry.open(place)


def _draft(values: Mapping[str, Any]) -> "Draft":
    from operations.registry.draft import Draft

    return Draft(
        dense=values["dense"],
        sparse=values["sparse"],
        exports=_pairs(values["exports"], "--export"),
        configuration=values["configuration"],
        data=_pairs(values["data"], "--data"),
        metrics=_json(values["metrics"]),
        parity=_json(values["parity"]),
        notes=values["notes"],
        author=values["author"],
    )


def _pairs(given: Iterable[str], option: str) -> dict[str, Path]:
    found = {}
    for pair in given:
        name, sign, path = pair.partition("=")
        if not sign or not name or not path:
            msg = f"{option} {pair!r}: write NAME=PATH"
            raise click.UsageError(msg)
        found[name] = Path(path)
    return found


def _json(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} is no JSON file: {error}"
        raise click.ClickException(msg) from error
    return value if isinstance(value, dict) else {"value": value}


def _rows(opened: "Registry", name: str) -> list[dict[str, Any]]:
    tags = opened.tags(name)
    return [
        _row(opened.manifest(name, str(version)), version, tags)
        for version in reversed(opened.versions(name))
    ]


def _row(manifest: "Manifest", version: "Version", tags: Mapping[str, "Version"]) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "version": str(version),
        "created": manifest.created.isoformat(timespec="seconds"),
        "author": manifest.author,
        "tags": sorted(tag for tag, found in tags.items() if found == version),
        "digest": manifest.digest,
    }


def _tell_tags(opened: "Registry", name: str, as_json: bool) -> None:
    tags = {found: str(version) for found, version in sorted(opened.tags(name).items())}
    if as_json:
        echo_json(tags)
        return
    for found, version in tags.items():
        click.echo(f"{found:<14} {version}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}"
        raise click.ClickException(msg) from error
