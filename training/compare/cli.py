"""``tandem compare``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.options import DEVICES, RUNTIMES
from opensearch.cli.support import echo_json, json_option, note, reports_errors

if TYPE_CHECKING:
    from training.config import EvaluationSet


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="FOLDER[:SPLIT]",
    help="BEIR folder to measure on. Repeatable. Default: the sets of the first run.",
)
@click.option(
    "--baseline", metavar="RUN", help="What the others are compared with. Default: first."
)
@click.option("--with-base", is_flag=True, help="Put what the runs were trained from before them.")
@click.option(
    "--examples",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="Queries shown for each system and set, in each direction.",
)
@click.option(
    "--max-documents",
    type=click.IntRange(1),
    help="Search so many documents of each --set: all relevant ones, others drawn.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for report.md, report.html, report.json, plots and run files.",
)
@click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default="auto",
    show_default=True,
    help="What runs models.",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Where they run.",
)
@click.option("--max-tokens", type=click.IntRange(2), help="Cut texts off at so many tokens.")
@click.option("--trust-remote-code", is_flag=True, help="Run Python code that ships with a model.")
@click.option(
    "--cache/--no-cache", default=True, show_default=True, help="Keep vectors for the next time."
)
@json_option
@reports_errors
def compare(names: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Show runs and models side by side: metrics, significance, wins and losses.

    RUN is a run's folder, a model's folder, a preset, a hub id, a service, `lexical` or `bm25`
    (over words and pairs of characters). Sets are searched exactly. A run whose train loss fell
    while its dev metric fell is named.

    \b
    Examples:
      tandem compare runs/first --with-base
      tandem compare bm25 runs/static --set my-set:dev -o comparison
      tandem compare runs/v1 runs/v2 --baseline runs/v1 --json
    """
    from encoders.options import LoadOptions
    from training.compare.job import CompareJob, run_comparison
    from training.compare.moves import find_moves
    from training.compare.report import plain_report
    from training.compare.storage import as_json as json_values
    from training.compare.storage import save_comparison

    loading = ("runtime", "device", "max_tokens", "trust_remote_code")
    job = CompareJob(
        names=names,
        sets=[_set(text, options["max_documents"]) for text in options["sets"]],
        baseline=options["baseline"],
        with_base=options["with_base"],
        load=LoadOptions(**{name: options[name] for name in loading}),
        **({} if options["cache"] else {"cache": None}),
    )
    outcome = run_comparison(job, note)
    moves = find_moves(outcome, options["examples"])
    if options["output"]:
        save_comparison(outcome, moves, options["output"])
        note(f"Report: {options['output'] / 'report.html'}")
    if as_json:
        echo_json(json_values(outcome, moves))
        return
    click.echo(plain_report(outcome, moves))
    for warning in outcome.warnings:
        note(f"Note: {warning}")


def _set(text: str, max_documents: int | None) -> "EvaluationSet":
    from training.config import EvaluationSet, set_table

    return EvaluationSet.model_validate({**set_table(text), "max_documents": max_documents})
