"""``tandem drift``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option
from opensearch.errors import SettingsError
from operations.feedback.cli import read_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from operations.drift.observed import ObservedQuery
    from operations.drift.query_features import WordCheck
    from operations.drift.snapshot import Snapshot

_index_option = click.option(
    "--index",
    metavar="NAME",
    help="Only queries this index answered; also count words that no document of it holds.",
)


@click.group(invoke_without_command=True)
@click.option(
    "--reference",
    metavar="SNAPSHOT|FILE|TIME",
    help="What to compare with: a snapshot, a file of queries, or a time of the cluster's log.",
)
@click.option(
    "--window",
    metavar="FILE|TIME",
    help="What is compared: 7d, 2026-01-01..2026-02-01, or a file of queries.",
)
@_index_option
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Chance of any false alarm, all features together.",
)
@click.option(
    "--min-distance",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="Least distance that matters (0..1), however significant.",
)
@click.option(
    "--min-queries",
    type=click.IntRange(2),
    default=50,
    show_default=True,
    help="Fewer on either side say nothing about a feature.",
)
@click.option("--fail-on-drift", is_flag=True, help="Exit with 1 if something has drifted.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report there as Markdown; with --json as JSON.",
)
@url_option
@json_option
@reports_errors
@click.pass_context
def drift(context: click.Context, /, url: str | None, as_json: bool, **options: Any) -> None:
    """Compare the queries of a time with those the model was evaluated on.

    Compared are length, script, new words, scores and the rate of empty answers. Drift is what is
    both significant and large enough to matter. The exit code is 0 either way, unless
    --fail-on-drift is given.

    \b
    Examples:
      tandem drift snapshot 90d --index docs -o reference.json
      tandem drift --reference reference.json --window 7d --index docs
      tandem drift --reference my-set --window clicks.jsonl --fail-on-drift
    """
    if context.invoked_subcommand is not None:
        return
    if options["reference"] is None or options["window"] is None:
        msg = "--reference and --window are both needed"
        raise SettingsError(msg)
    from operations.drift.report import DriftOptions, drift_report

    least = options["min_distance"]
    chosen = DriftOptions(options["alpha"], least, least, least, options["min_queries"])
    reference, window = _compared(options, url)
    report = drift_report(window, reference, chosen)
    _show_drift(report, options["output"], as_json)
    context.exit(1 if options["fail_on_drift"] and report.drifted else 0)


@drift.command("snapshot")
@click.argument("source", metavar="FILE|TIME")
@_index_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The snapshot; it holds distributions and digests, no query.",
)
@url_option
@json_option
@reports_errors
def snapshot(source: str, index: str | None, output: Path, url: str | None, as_json: bool) -> None:
    """Keep what the queries of a time look like, to compare with later.

    The source is a time of the cluster's log (90d), a log file, or an evaluation set.

    \b
    Examples:
      tandem drift snapshot 90d --index docs -o reference.json
      tandem drift snapshot my-set -o reference.json
    """
    from operations.drift.snapshot import write_snapshot

    taken = _reference(source, index, url)
    write_snapshot(taken, output)
    if as_json:
        echo_json({"snapshot": str(output), "source": source, "queries": taken.queries})
    else:
        click.echo(f"{taken.queries} queries of {source}: {output}")


def _compared(options: dict[str, Any], url: str | None) -> tuple["Snapshot", "Snapshot"]:
    from operations.drift.snapshot import read_snapshot, take_window

    given, index = options["reference"], options["index"]
    if given.endswith(".json"):
        reference = read_snapshot(Path(given))
    else:
        reference = _reference(given, index, url)
    queries, _ = _observed(options["window"], index, url)
    words = _word_check(index, url)
    return reference, take_window(queries, reference, source=options["window"], in_index=words)


def _reference(source: str, index: str | None, url: str | None) -> "Snapshot":
    from operations.drift.snapshot import take_reference

    queries, distinct = _observed(source, index, url)
    words = _word_check(index, url)
    return take_reference(queries, source=source, distinct=distinct, in_index=words)


def _observed(
    source: str, index: str | None, url: str | None
) -> tuple["Iterable[ObservedQuery]", bool]:
    from opensearch.workflows.connection import open_cluster
    from operations.drift.observed import observed_in_file, observed_in_log
    from operations.feedback.ubi import UbiLog
    from operations.feedback.windows import parse_window

    if Path(source).exists():
        return observed_in_file(Path(source), index)
    window = read_time(parse_window, source)
    return observed_in_log(UbiLog(open_cluster(url)), window, index), False


def _word_check(index: str | None, url: str | None) -> "WordCheck | None":
    """Knows the words of an index, where it has word statistics."""
    if index is None:
        return None
    from opensearch.index_info import read_index_info
    from opensearch.workflows.connection import open_cluster
    from operations.drift.index_words import unknown_to_index

    client = open_cluster(url)
    return unknown_to_index(client, read_index_info(client, index))


def _show_drift(report: Any, output: Path | None, as_json: bool) -> None:
    import json

    from operations.drift.markdown import as_markdown
    from operations.feedback.whole_files import whole_file

    values = report.as_dict()
    if output is not None:
        text = json.dumps(values, ensure_ascii=False, indent=2) if as_json else as_markdown(report)
        with whole_file(output) as file:
            file.write(text)
        note(f"Written: {output}")
    if as_json:
        echo_json(values)
    else:
        click.echo(as_markdown(report), nl=False)
