"""``tandem ablate``."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors

if TYPE_CHECKING:
    from training.ablation.findings import Findings
    from training.ablation.plan import Plan


@click.command()
@click.argument("config", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--dry-run", is_flag=True, help="List the cells, and the time they need once one is done."
)
@json_option
@reports_errors
def ablate(config: Path, dry_run: bool, as_json: bool) -> None:
    """Train a grid of runs from one file and say which setting matters.

    CONFIG is a TOML or YAML file: a base run, axes (records, negatives, learning_rate, rank or any
    key of the run) and seeds. Cells that are finished are left alone, one that was killed goes on.
    A cell that fails is reported and costs the others nothing; the exit code is 1 then.

    \b
    Examples:
      tandem ablate grid.toml --dry-run
      tandem ablate grid.toml
      tandem ablate grid.toml --json
    """
    from training.ablation.config import load_ablation
    from training.ablation.findings import summarise
    from training.ablation.plan import build_plan
    from training.ablation.report import plain, save_findings
    from training.ablation.running import run_cells

    # Between two releases of the libraries below us; nothing that a user could mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    plan = build_plan(load_ablation(config))
    if dry_run:
        _list(plan, as_json)
        return
    findings = summarise(plan, run_cells(plan, note))
    report, *_ = save_findings(findings)
    if as_json:
        echo_json(findings.as_dict())
    else:
        click.echo(plain(findings))
    note(f"Report: {report}")
    _exit(findings)


def _list(plan: "Plan", as_json: bool) -> None:
    from training.ablation.findings import dry_run_dict
    from training.ablation.running import CellResult, estimated_seconds, finished, shown_time

    results = [finished(cell) or CellResult(cell, "waiting") for cell in plan.cells]
    if as_json:
        echo_json(dry_run_dict(plan, results))
        return
    for result in results:
        click.echo(f"{result.state:8} {result.cell.name}   {result.cell.folder.root}")
    seconds = estimated_seconds(results, len(plan.cells))
    left = sum(result.state == "waiting" for result in results)
    when = "known once one is done" if seconds is None else f"about {shown_time(seconds)}"
    click.echo(f"\n{len(results)} cells, {left} left; time: {when}")


def _exit(findings: "Findings") -> None:
    if findings.failed:
        msg = (
            f"{len(findings.failed)} of {len(findings.results)} cells failed; the same command "
            "tries them again"
        )
        raise click.ClickException(msg)
