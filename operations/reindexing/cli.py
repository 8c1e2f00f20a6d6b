"""``tandem reindex``, ``tandem rollback`` and ``tandem versions``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.cli import EncoderChoice, encoder_options
from opensearch.cli.support import (
    echo_json,
    json_option,
    note,
    reports_errors,
    stderr_is_terminal,
    url_option,
)

if TYPE_CHECKING:
    from encoders.base import EncoderIdentity
    from operations.reindexing.catalogue import IndexVersion
    from operations.reindexing.job import ReindexJob, ReindexProgress, ReindexReport
    from operations.reindexing.rollback import RollbackReport

_LINE_EVERY_S = 5.0

wait_option = click.option(
    "--wait",
    "patience_s",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="Seconds to wait for a cluster that is away.",
)


@click.command()
@click.argument("name")
@click.option("--model", "ref", help="Version or tag in the model registry.")
@click.option("--registry", help="Folder or URL of the registry. Default: TANDEM_REGISTRY.")
@click.option("--registry-name", help="Name of the model in the registry. Default: NAME.")
@click.option(
    "--label", help="Version in the new index's name, without --model. Default: as it is now."
)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Most passages per second.")
@click.option("--no-swap", is_flag=True, help="Stop with a verified index that nobody searches.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Old versions that stay, the one a rollback returns to included.",
)
@click.option("--shards", type=click.IntRange(1), help="Primary shards. Default: as before.")
@click.option(
    "--replicas", type=click.IntRange(0), help="Copies of each shard. Default: as before."
)
@click.option("--rebuild", is_flag=True, help="Build anew although the version is current.")
@wait_option
@encoder_options
@url_option
@json_option
@reports_errors
def reindex(
    name: str, url: str | None, as_json: bool, encoders: EncoderChoice, **options: Any
) -> None:
    """Build a new version of the index NAME from its stored texts and swap it in.

    People search the old version until the new one holds the same documents, those written and
    deleted meanwhile included; then the alias moves in one step. Stopped and started again, it
    continues. Without --dense or --sparse (or --model) a leg is copied as it is; none drops it.

    \b
    Examples:
      tandem reindex docs --model 1.2.0
      tandem reindex docs --model candidate --rate 50 --no-swap
      tandem reindex docs --dense intfloat/multilingual-e5-small --label 2.0.0
      tandem reindex docs --rebuild --shards 3
    """
    from opensearch.workflows.connection import open_cluster
    from operations.reindexing.job import ReindexEvents
    from operations.reindexing.reindex import reindex as run

    client = open_cluster(url)
    job = _job(client, name, encoders, options)
    with _progress() as show:
        events = ReindexEvents(stage=lambda _, line: note(line), progress=show)
        report = run(client, job, events)
    if as_json:
        echo_json(report.as_dict())
    _tell_reindex(report)


@dataclass(frozen=True)
class _Models:
    version: str
    dense: str | None
    sparse: str | None


def _job(client: Any, name: str, encoders: EncoderChoice, options: dict[str, Any]) -> "ReindexJob":
    from operations.reindexing.job import ReindexJob

    models = _models(client, name, encoders, options)
    return ReindexJob(
        index=name,
        version=models.version,
        dense=models.dense,
        sparse=models.sparse,
        load=encoders.options,
        rate=options["rate"],
        swap=not options["no_swap"],
        keep=options["keep"],
        shards=options["shards"],
        replicas=options["replicas"],
        rebuild=options["rebuild"],
        patience_s=options["patience_s"],
    )


def _models(client: Any, name: str, encoders: EncoderChoice, options: dict[str, Any]) -> _Models:
    if options["ref"] is None:
        label = options["label"] or _current_version(client, name)
        return _Models(label, encoders.dense, encoders.sparse)
    if encoders.dense or encoders.sparse or options["label"]:
        msg = "--model names models and version; leave --dense, --sparse and --label out"
        raise click.UsageError(msg)
    from operations.registry.registry import Registry

    registry = Registry.open(options["registry"])
    fetched = registry.fetch(options["registry_name"] or name, options["ref"])
    return _Models(str(fetched.manifest.version), fetched.dense, fetched.sparse)


def _current_version(client: Any, name: str) -> str:
    from opensearch.index_info import read_index_info
    from operations.reindexing.catalogue import version_of

    return version_of(read_index_info(client, name))


def _tell_reindex(report: "ReindexReport") -> None:
    if report.unchanged:
        note(f"{report.index} is {report.after} already; nothing to do.")
    else:
        note(
            f"{report.after}: {report.copied:,} passages, {report.encoded:,} encoded, "
            f"{report.caught_up:,} of them written and {report.removed:,} deleted meanwhile; "
            f"{report.verified} compared."
        )
    if report.swapped:
        note(f"Writes waited {report.blocked_s:.1f} s before the swap.")
    elif not report.unchanged:
        note("Nobody searches it yet: the same command without --no-swap swaps it in.")
    for physical in report.dropped:
        note(f"Deleted the old version {physical}.")
    for warning in report.warnings:
        note(f"Note: {warning}")


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on a terminal, a line now and then elsewhere."""
    if not stderr_is_terminal():
        yield _Lines().show
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("copying", total=None)

        def show(progress: "ReindexProgress") -> None:
            bar.update(task, completed=progress.copied, total=max(progress.total, progress.copied))

        yield show


class _Lines:
    def __init__(self) -> None:
        self._last = self._began = time.monotonic()
        self._first: int | None = None

    def show(self, progress: "ReindexProgress") -> None:
        now = time.monotonic()
        self._first = progress.copied if self._first is None else self._first
        if now - self._last < _LINE_EVERY_S:
            return
        self._last = now
        rate = (progress.copied - self._first) / (now - self._began)
        left = (progress.total - progress.copied) / rate if rate else 0.0
        more = f", {left:.0f} s left" if left > 0 else ""
        note(f"{progress.copied:,} of {progress.total:,} passages, {rate:.0f} passages/s{more}")


@click.command()
@click.argument("name")
@click.option("--to", metavar="VERSION", help="Version or physical index to return to.")
@click.option("--no-catch-up", is_flag=True, help="Give up what was written since.")
@wait_option
@url_option
@json_option
@reports_errors
def rollback(
    name: str,
    to: str | None,
    no_catch_up: bool,
    patience_s: float,
    url: str | None,
    as_json: bool,
) -> None:
    """Swap the version before the current one back in, then carry over what was written since.

    The swap takes seconds; what was written since is encoded by the old version's encoders and
    added behind it, never over anything newer. Stopped and started again, it continues.

    \b
    Examples:
      tandem rollback docs
      tandem rollback docs --to 1.2.0
    """
    from opensearch.workflows.connection import open_cluster
    from operations.reindexing.rollback import RollbackOptions
    from operations.reindexing.rollback import rollback as run

    options = RollbackOptions(patience_s=patience_s, stage=note)
    report = run(open_cluster(url), name, to=to, catch_up=not no_catch_up, options=options)
    if as_json:
        echo_json(report.as_dict())
    _tell_rollback(report)


def _tell_rollback(report: "RollbackReport") -> None:
    if report.swapped:
        note(f"The swap took {report.swapped_s:.1f} s; writes waited {report.blocked_s:.1f} s.")
    else:
        note(f"{report.index} is {report.after}.")
    if report.abandoned:
        note(f"What was written to {report.before} since was given up.")
    elif report.before != report.after:
        note(
            f"Of what was written since, {report.carried:,} passages were carried over, "
            f"{report.removed:,} deleted, {report.newer:,} left alone as somebody wrote them anew."
        )


@click.command()
@click.argument("name")
@click.option("--prune", is_flag=True, help="Delete old versions beyond --keep.")
@click.option(
    "--keep",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Old versions that stay, the one a rollback returns to included.",
)
@click.option("--drop", metavar="PHYSICAL", help="Delete this version: a build given up, or old.")
@url_option
@json_option
@reports_errors
def versions(
    name: str, prune: bool, keep: int, drop: str | None, url: str | None, as_json: bool
) -> None:
    """List the versions of the index NAME: current, being built, old.

    \b
    Examples:
      tandem versions docs
      tandem versions docs --prune --keep 1
      tandem versions docs --drop docs-v1.2.0-1
    """
    from opensearch.workflows.connection import open_cluster
    from operations.reindexing.catalogue import index_versions
    from operations.reindexing.retention import drop as drop_version
    from operations.reindexing.retention import prune_now

    client = open_cluster(url)
    gone = [drop_version(client, name, drop)] if drop else []
    gone += prune_now(client, name, keep) if prune else []
    for physical in gone:
        note(f"Deleted {physical}.")
    found = index_versions(client, name)
    if as_json:
        echo_json([version.as_dict() for version in found])
    else:
        _show(found)


def _show(found: "list[IndexVersion]") -> None:
    head = ("INDEX", "VERSION", "STATE", "PASSAGES", "SIZE", "CREATED", "DENSE", "SPARSE")
    rows = [head, *(_row(version) for version in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _row(version: "IndexVersion") -> tuple[str, ...]:
    return (
        version.physical,
        version.version,
        version.state,
        f"{version.chunks:,}",
        f"{version.size_bytes / 1e6:.1f} MB",
        version.created[:16].replace("T", " "),
        *(_encoder(identity) for identity in (version.dense, version.sparse)),
    )


def _encoder(identity: "EncoderIdentity | None") -> str:
    if identity is None:
        return "none"
    folder = Path(identity.model)
    name = "/".join(folder.parts[-2:]) if folder.is_absolute() else identity.model
    return f"{name} ({identity.fingerprint[:7]})"
