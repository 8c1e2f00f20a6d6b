"""``tandem shadow``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option
from opensearch.errors import SettingsError
from operations.feedback.cli import as_window

if TYPE_CHECKING:
    from operations.shadow.comparing import ShadowQuery, ShadowReport, Side

_SHOWN_IDS = 5


@click.command()
@click.argument("name")
@click.option(
    "--candidate",
    required=True,
    metavar="INDEX|VERSION",
    help="The other index: a physical or logical name, or a version of NAME.",
)
@click.option(
    "--queries",
    type=click.Path(exists=True, path_type=Path),
    help="Queries to ask: a log (JSONL), a BEIR folder or its queries.jsonl, or lines of text.",
)
@click.option(
    "--last",
    callback=as_window,
    metavar="TIME",
    help="Or those of the cluster's log: 1d, 12h, FROM..TO.",
)
@click.option(
    "-m",
    "--mode",
    type=click.Choice(["bm25", "dense", "sparse", "hybrid"]),
    default="hybrid",
    show_default=True,
    help="Which legs search.",
)
@click.option("-k", "--size", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option(
    "--rbo-p",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Persistence of the rank-biased overlap: the larger, the more deep ranks count.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Most queries per second; each is sent to both sides.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Most queries; of more, a random sample is asked.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option(
    "--examples",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Queries with the largest disagreement to list.",
)
@click.option(
    "--min-clients",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Do not quote logged queries that fewer clients issued.",
)
@click.option("--candidate-dense", metavar="MODEL", help="Load the candidate's dense model there.")
@click.option(
    "--candidate-sparse", metavar="MODEL", help="Load the candidate's sparse model there."
)
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 1),
    help="Exit with 1 if the rank-biased overlap is lower, or if the candidate failed.",
)
@url_option
@json_option
@reports_errors
@click.pass_context
def shadow(
    context: click.Context, /, name: str, url: str | None, as_json: bool, **options: Any
) -> None:
    """Ask a candidate the queries of an index, unseen, and compare the answers.

    NAME is the index that people search; nobody sees the candidate's answers. Measured are
    overlap@k, rank-biased overlap, latency and empty answers on both sides.

    \b
    Examples:
      tandem shadow docs --candidate 1.1.0 --last 1d
      tandem shadow docs --candidate docs-v1.1.0-1 --queries my-set --limit 500 --rate 20
      tandem shadow docs --candidate docs-v1.1.0-1 --queries queries.txt --fail-under 0.6
    """
    from operations.shadow.comparing import ShadowOptions
    from operations.shadow.comparing import shadow as compare

    if (options["queries"] is None) == (options["last"] is None):
        msg = "which queries? Give either --queries FILE or --last TIME"
        raise SettingsError(msg)
    queries = _queries(name, url, options)
    production, candidate = _sides(name, url, options)
    note(f"{len(queries)} queries to {production.name} and {candidate.name} …")
    chosen = ShadowOptions(
        size=options["size"],
        p=options["rbo_p"],
        rate=options["rate"],
        limit=options["limit"],
        examples=options["examples"],
    )
    report = compare(production, candidate, queries, chosen)
    if as_json:
        echo_json(report.as_dict())
    else:
        _show(report)
    context.exit(_verdict(report, options["fail_under"]))


def _queries(name: str, url: str | None, options: dict[str, Any]) -> "list[ShadowQuery]":
    from opensearch.workflows.connection import open_cluster
    from operations.feedback.ubi import UbiLog
    from operations.shadow.sampling import Sampling, sample_file, sample_log

    sampling = Sampling(options["limit"], options["seed"], name, options["min_clients"])
    if options["queries"] is not None:
        return sample_file(options["queries"], sampling)
    return sample_log(UbiLog(open_cluster(url)), options["last"], sampling)


def _sides(name: str, url: str | None, options: dict[str, Any]) -> "tuple[Side, Side]":
    from encoders.options import LoadOptions
    from opensearch.index_info import read_index_info
    from opensearch.workflows.connection import open_cluster
    from operations.shadow.opening import candidate_info, open_side

    client, mode = open_cluster(url), options["mode"]
    other = candidate_info(client, name, options["candidate"])
    production = open_side(client, read_index_info(client, name), mode, LoadOptions())
    candidate = open_side(
        client,
        other,
        mode,
        LoadOptions(),
        dense=options["candidate_dense"],
        sparse=options["candidate_sparse"],
    )
    return production, candidate


def _verdict(report: "ShadowReport", least: float | None) -> int:
    if least is None:
        return 0
    failed = report.failed["candidate"]
    if failed:
        note(f"The candidate failed on {failed} queries.")
    if report.rbo < least:
        note(f"Rank-biased overlap {report.rbo:.3f} is below {least:g}.")
    return int(bool(failed) or report.rbo < least)


def _show(report: "ShadowReport") -> None:
    click.echo(f"production  {report.production}")
    click.echo(f"candidate   {report.candidate}")
    click.echo(f"queries     {report.queries} in {report.seconds:.1f} s")
    for side, count in report.failed.items():
        if count:
            click.echo(f"failed      {count} on {side}")
    overlaps = "  ".join(f"@{k} {value:.3f}" for k, value in report.overlap.items())
    click.echo(f"\noverlap     {overlaps}")
    click.echo(
        f"RBO         {report.rbo:.3f} ± {1.96 * report.rbo_error:.3f}  "
        f"(p {report.p:g}, at least {report.rbo_least:.3f})"
    )
    click.echo(f"same        first {report.same_first:.1%}  answer {report.same_answer:.1%}")
    click.echo(f"empty       {_counts(report.nothing_found)}")
    click.echo("\n            p50 ms   p95 ms   p99 ms")
    for side, latency in report.latency.items():
        click.echo(f"{side:<10}{latency.p50:>8.1f} {latency.p95:>8.1f} {latency.p99:>8.1f}")
    if report.examples:
        click.echo("\nlargest disagreement")
    for example in report.examples:
        click.echo(f"  {example.rbo:.3f}  {example.query or '(too few clients to quote it)'}")
        for side in ("production", "candidate"):
            ids = ", ".join(getattr(example, side)[:_SHOWN_IDS]) or "nothing"
            click.echo(f"         {side}: {ids}")


def _counts(counts: Any) -> str:
    return "  ".join(f"{name} {count}" for name, count in counts.items())
