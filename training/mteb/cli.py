"""``tandem mteb``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from encoders.options import DEVICES, RUNTIMES
from opensearch.cli.support import echo_json, json_option, note, reports_errors

if TYPE_CHECKING:
    from training.mteb.run import MtebOutcome


@click.command()
@click.argument("model")
@click.option("--task", "tasks", multiple=True, help="Name of an MTEB task. Repeatable.")
@click.option("--benchmark", help="All tasks of a benchmark, for example 'MTEB(kor, v2)'.")
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="FOLDER[:SPLIT]",
    help="BEIR folder, run as a retrieval task. Repeatable; needs no hub.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of MTEB's result files; tasks that have one there are not run again.",
)
@click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default="auto",
    show_default=True,
    help="What runs it.",
)
@click.option(
    "--device", type=click.Choice(DEVICES), default="auto", show_default=True, help="Where it runs."
)
@click.option("--max-tokens", type=click.IntRange(2), help="Cut texts off at so many tokens.")
@click.option(
    "--trust-remote-code", is_flag=True, help="Run Python code that ships with the model."
)
@json_option
@reports_errors
def mteb(model: str, as_json: bool, **options: Any) -> None:
    """Run MTEB tasks with an encoder: public benchmarks, or your own judged set.

    MODEL is a run's folder, a model's folder, a preset, a hub id or a service. Tasks of MTEB fetch
    their data from a model hub. A task that fails is reported and costs the others nothing; the
    exit code is 1 then. Sparse encoders run retrieval and reranking tasks.

    \b
    Examples:
      tandem mteb all-MiniLM-L6-v2 --set my-set:dev
      tandem mteb runs/first --task SciFact --task NFCorpus -o mteb-results
      tandem mteb bge-m3 --benchmark "MTEB(kor, v2)" --device cuda
    """
    from encoders.options import LoadOptions
    from training.config import EvaluationSet, set_table
    from training.mteb.run import MtebJob, run_mteb

    loading = ("runtime", "device", "max_tokens", "trust_remote_code")
    job = MtebJob(
        model=model,
        tasks=options["tasks"],
        benchmark=options["benchmark"],
        sets=[EvaluationSet.model_validate(set_table(text)) for text in options["sets"]],
        output=options["output"],
        load=LoadOptions(**{name: options[name] for name in loading}),
    )
    outcome = run_mteb(job)
    if as_json:
        echo_json(outcome.as_dict())
    else:
        _print(outcome)
    for name in outcome.skipped:
        note(f"Skipped {name}: sparse encoders search, they give no points to cluster or classify.")
    if outcome.failed:
        faults = "\n".join(f"  {name}: {fault}" for name, fault in outcome.failed.items())
        msg = f"{len(outcome.failed)} tasks failed\n{faults}"
        raise click.ClickException(msg)


def _print(outcome: "MtebOutcome") -> None:
    from training.compare.tables import Table

    rows = tuple(
        (
            entry.system,
            entry.task,
            entry.kind,
            entry.split,
            entry.subset,
            entry.main,
            f"{entry.scores.get(entry.main, float('nan')):.4f}",
        )
        for entry in outcome.scores
    )
    headers = ("system", "task", "type", "split", "subset", "score", "value")
    if rows:
        click.echo(Table(headers, rows, words=6).plain())
