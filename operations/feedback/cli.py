"""``tandem feedback``."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import (
    combined,
    echo_json,
    json_option,
    note,
    reports_errors,
    url_option,
)
from opensearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from operations.feedback.collecting import Collected, CollectOptions
    from operations.feedback.log_files import LogSource
    from operations.feedback.privacy import Privacy
    from operations.feedback.windows import Window

_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
CLUSTER = "cluster"


def as_moment(context: click.Context, option: click.Parameter, value: str | None) -> Any:
    """Read an option's value as a moment; a usage error where it is none."""
    from operations.feedback.windows import parse_moment

    return read_time(parse_moment, value)


def as_window(context: click.Context, option: click.Parameter, value: str | None) -> Any:
    """Read an option's value as a window; a usage error where it is none."""
    from operations.feedback.windows import parse_window

    return read_time(parse_window, value)


def read_time(parse: "Callable[[str], Any]", value: str | None) -> Any:
    """A time as a parser reads it; a usage error where it cannot."""
    from operations.feedback.errors import FeedbackError

    try:
        return None if value is None else parse(value)
    except FeedbackError as error:
        raise click.BadParameter(str(error)) from error


_clients_option = click.option(
    "--clients",
    type=click.Choice(["hash", "drop", "keep"]),
    default="hash",
    show_default=True,
    help="What becomes of client and session ids: an HMAC with the salt, nothing, or themselves.",
)
_salt_option = click.option(
    "--salt-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the salt, the same every time.  [default: $TANDEM_FEEDBACK_SALT]",
)
_since_option = click.option(
    "--since", callback=as_moment, metavar="TIME", help="From then on: 7d, 2026-01-31, …."
)
_until_option = click.option(
    "--until", callback=as_moment, metavar="TIME", help="Up to, and without, then."
)
_min_clients_option = click.option(
    "--min-clients",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Leave out queries that fewer clients issued (k-anonymity).",
)


@click.group()
def feedback() -> None:
    """Bring queries and clicks in and out, and turn them into training data.

    \b
    Examples:
      tandem feedback import clicks.jsonl
      tandem feedback export --since 30d clicks.jsonl
      tandem feedback records cluster --index docs -o feedback
    """


@feedback.command("import")
@click.argument("file", type=_FILE)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for lines that cannot be used.  [default: FILE.rejects.jsonl]",
)
@_clients_option
@_salt_option
@url_option
@json_option
@reports_errors
def import_(file: Path, rejects: Path | None, url: str | None, as_json: bool, **who: Any) -> None:
    """Write the queries and actions of FILE into the cluster's log (ubi_queries, ubi_events).

    FILE holds one JSON object per line in the form of the UBI schema (docs/feedback.md); - is
    standard input. Personal data is masked first. Run again, it writes the same documents again.

    \b
    Example:
      tandem feedback import clicks.jsonl --salt-file salt.txt
    """
    from opensearch.workflows.connection import open_cluster
    from operations.feedback.importing import import_log
    from operations.feedback.ubi import UbiLog

    privacy = _privacy(who)
    if rejects is None:
        rejects = Path("rejects.jsonl") if str(file) == "-" else Path(f"{file}.rejects.jsonl")
    done = import_log(UbiLog(open_cluster(url), privacy), file, rejects)
    if as_json:
        echo_json({**done.as_dict(), "masked": dict(privacy.masked)})
        return
    click.echo(f"{done.queries} queries and {done.events} actions in {done.seconds:.1f} s.")
    for kind, count in privacy.masked.items():
        click.echo(f"  masked: {count} × {kind}")
    if done.rejects:
        note(f"{done.rejected} lines set aside: {done.rejects}")


@feedback.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_since_option
@_until_option
@_min_clients_option
@_clients_option
@_salt_option
@url_option
@json_option
@reports_errors
def export(
    file: Path,
    since: Any,
    until: Any,
    min_clients: int,
    url: str | None,
    as_json: bool,
    **who: Any,
) -> None:
    """Write the cluster's log, or a time of it, to FILE: what enough clients asked.

    \b
    Examples:
      tandem feedback export --since 30d clicks.jsonl
      tandem feedback export --since 2026-01-01 --until 2026-02-01 --min-clients 10 january.jsonl
    """
    from opensearch.workflows.connection import open_cluster
    from operations.feedback.exporting import export_log
    from operations.feedback.ubi import UbiLog

    done = export_log(
        UbiLog(open_cluster(url)),
        file,
        window=_window(since, until),
        min_clients=min_clients,
        privacy=_privacy(who),
    )
    if as_json:
        echo_json(done.as_dict())
        return
    click.echo(f"{done.queries} queries and {done.events} actions written to {file}.")
    click.echo(f"{done.withheld} queries stay: fewer than {min_clients} clients issued them.")


_record_options = combined(
    click.option(
        "--corpus",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="BEIR folder that the texts are read from, instead of the index.",
    ),
    click.option(
        "--eta",
        type=click.FloatRange(0, 5),
        help="Position bias: rank k is looked at with probability k^-eta.  [default: estimated]",
    ),
    click.option(
        "--clip",
        type=click.FloatRange(1),
        default=10.0,
        show_default=True,
        help="Most that one click weighs.",
    ),
    click.option(
        "--smoothing",
        type=click.FloatRange(0, min_open=True),
        default=2.0,
        show_default=True,
        help="Examinations of average outcome that every document is credited with.",
    ),
    click.option(
        "--min-impressions",
        type=click.IntRange(1),
        default=5,
        show_default=True,
        help="Clients who must have been shown a document before its clicks count.",
    ),
    click.option(
        "--min-clicks",
        type=click.IntRange(1),
        default=2,
        show_default=True,
        help="Clients who must have clicked it before it counts as relevant.",
    ),
    click.option(
        "--min-skips",
        type=click.IntRange(1),
        default=3,
        show_default=True,
        help="Clients who must have passed it over before it is a hard negative.",
    ),
    click.option(
        "--action",
        "actions",
        multiple=True,
        default=("click", "click_through"),
        show_default=True,
        help="Action that says a result was wanted. Repeatable.",
    ),
    click.option(
        "--robots",
        "robot_queries",
        type=click.IntRange(1),
        default=1000,
        show_default=True,
        help="Leave out clients with more queries on one day.",
    ),
    click.option(
        "--unidentified",
        type=click.Choice(["one", "each"]),
        default="one",
        show_default=True,
        help="Count queries without a client as those of one client, or each as one of its own.",
    ),
    click.option(
        "--eval-share",
        type=click.FloatRange(0, 1),
        default=0.2,
        show_default=True,
        help="Share of the queries that is evaluated on and never trained on.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Of that choice."),
    click.option(
        "--eval-since",
        callback=as_moment,
        metavar="TIME",
        help="Instead: evaluate on what happened since, train on other queries before.",
    ),
)


@feedback.command("records")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE…")
@click.option("--index", metavar="NAME", help="The index that was searched, and holds the texts.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for records.jsonl, evaluation/ and report.json; written anew.",
)
@_since_option
@_until_option
@_min_clients_option
@_record_options
@url_option
@json_option
@reports_errors
def records(
    sources: tuple[str, ...],
    index: str | None,
    output: Path,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn a log into training records and an evaluation set of other queries.

    SOURCE is `cluster` (ubi_queries and ubi_events), or JSONL files in the form of
    `tandem feedback export`. Clicks are weighted by how likely each rank is looked at; explicit
    judgements override them.

    \b
    Examples:
      tandem feedback records cluster --index docs --since 90d -o feedback
      tandem feedback records clicks.jsonl --corpus my-set -o feedback --eval-since 7d
    """
    from operations.feedback.collecting import collect

    log, texts = _sources(sources, index, options["corpus"], url)
    with closing(texts):
        collected = collect(log, _collect_options(texts, index, output, options))
    if as_json:
        echo_json(collected.as_dict())
    else:
        _show_collected(collected)


def _sources(
    sources: tuple[str, ...], index: str | None, corpus: Path | None, url: str | None
) -> tuple["LogSource", Any]:
    from operations.feedback.stored_texts import FolderTexts, IndexTexts

    if index is None and corpus is None:
        msg = "where are the texts? Name the index with --index, or a BEIR folder with --corpus"
        raise SettingsError(msg)
    log = _log(sources, url)
    if corpus is not None:
        return log, FolderTexts(corpus)
    from opensearch.index_info import read_index_info
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url)
    return log, IndexTexts(client, read_index_info(client, str(index)))


def _log(sources: tuple[str, ...], url: str | None) -> "LogSource":
    from opensearch.workflows.connection import open_cluster
    from operations.feedback.log_files import FileLog
    from operations.feedback.ubi import UbiLog

    if sources == (CLUSTER,):
        return UbiLog(open_cluster(url))
    if CLUSTER in sources:
        msg = "SOURCE is either `cluster` or files, not both"
        raise SettingsError(msg)
    return FileLog(tuple(Path(source) for source in sources))


def _collect_options(
    texts: Any, index: str | None, output: Path, given: dict[str, Any]
) -> "CollectOptions":
    from operations.feedback.collecting import CollectOptions
    from operations.feedback.evidence import EvidenceOptions
    from operations.feedback.relevance import RelevanceOptions
    from operations.feedback.splitting import HashSplit, TimeSplit

    since = given["eval_since"]
    split = TimeSplit(since) if since else HashSplit(given["eval_share"], given["seed"])
    whose = ("actions", "min_clients", "robot_queries", "unidentified")
    much = ("clip", "smoothing", "min_impressions", "min_clicks", "min_skips")
    return CollectOptions(
        texts=texts,
        output=output,
        window=_window(given["since"], given["until"]),
        split=split,
        evidence=EvidenceOptions(index=index, **{name: given[name] for name in whose}),
        relevance=RelevanceOptions(**{name: given[name] for name in much}),
        eta=given["eta"],
    )


def _show_collected(collected: "Collected") -> None:
    bias = collected.bias
    error = f" ± {bias.standard_error:.2f}" if bias.standard_error is not None else ""
    click.echo(f"{collected.training_queries} records: {collected.records or 'none'}")
    click.echo(
        f"{collected.evaluation_queries} evaluation queries, {collected.judgements} judgements: "
        f"{collected.evaluation or 'none'}"
    )
    click.echo(
        f"position bias: rank^-{bias.eta:.2f} ({bias.source}{error}, "
        f"{bias.clicks} clicks at several ranks)"
    )
    for name, count in collected.counts.items():
        click.echo(f"  {count} {name}")


def _privacy(given: dict[str, Any]) -> "Privacy":
    from operations.feedback.privacy import Privacy

    return Privacy.of(given["clients"], given["salt_file"])


def _window(since: Any, until: Any) -> "Window":
    from operations.feedback.errors import FeedbackError
    from operations.feedback.windows import Window

    try:
        return Window(since, until)
    except FeedbackError as error:
        raise SettingsError(str(error)) from error
