"""``tandem retrain``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors, url_option

if TYPE_CHECKING:
    from operations.retraining.plan import Plan
    from operations.retraining.run import Retrained

# As operations.retraining.run.STEP_NAMES; named here so that help needs no model library.
STEPS = (
    "collect",
    "prepare",
    "mine",
    "train",
    "evaluate",
    "gate",
    "export",
    "parity",
    "publish",
    "push",
    "reindex",
    "swap",
    "report",
)


@click.command()
@click.argument("job", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it costs; no more.")
@click.option("--until", type=click.Choice(STEPS), help="Stop after this step.")
@click.option("--force", is_flag=True, help="Begin a new run although nothing changed.")
@url_option
@json_option
@reports_errors
def retrain(
    job: Path, dry_run: bool, until: str | None, force: bool, url: str | None, as_json: bool
) -> None:
    """Retrain a model as the file JOB says, and put it into production if it is better.

    JOB is a TOML file. It collects records, trains, holds the candidate against production,
    publishes what passes the gate, builds the index anew beside the old one and swaps it in.
    Interrupted, the same command goes on; where nothing changed it does nothing. Exit code 1: a
    step failed, or the gate says no.

    \b
    Examples:
      tandem retrain job.toml --dry-run
      tandem retrain job.toml
      tandem retrain job.toml --until gate --json
    """
    from operations.retraining.job import load_job

    known = load_job(job)
    if dry_run:
        from operations.retraining.plan import make_plan

        plan = make_plan(known, url=url, force=force)
        echo_json(plan.as_dict()) if as_json else _print_plan(plan)
        return
    from operations.retraining.errors import StepFailedError
    from operations.retraining.run import Options, retrain

    try:
        done = retrain(known, Options(url=url, until=until, force=force, echo=note))
    except StepFailedError:
        if as_json:
            echo_json(_failed(known))
        raise
    if as_json:
        echo_json(_values(known, done))
    else:
        click.echo(done.headline)
        click.echo(f"in {done.folder}")
    if done.refused:
        raise click.exceptions.Exit(1)


def _values(job: Any, done: "Retrained") -> dict[str, Any]:
    from operations.retraining.report import report_values

    return {"how": done.how, "folder": str(done.folder), **report_values(job, done.state)}


def _failed(job: Any) -> dict[str, Any] | None:
    from operations.retraining.report import report_values
    from operations.retraining.state import latest_state

    state = latest_state(job.output)
    return None if state is None else report_values(job, state)


def _print_plan(plan: "Plan") -> None:
    click.echo(plan.start)
    width = max(len(step.name) for step in plan.steps)
    for step in plan.steps:
        click.echo(f"  {step.name:{width}}  {step.text}")
    for line in plan.costs:
        click.echo(line)
