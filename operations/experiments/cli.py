"""The commands ``tandem ab …``."""

import re
from dataclasses import replace
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

if TYPE_CHECKING:
    from operations.experiments.experiment import Experiment, Plan
    from operations.experiments.power import Baseline, PowerPlan
    from operations.experiments.report import Report

_METRICS = ("ctr", "clicks", "mrr", "abandonment", "zero_results", "latency_ms", "preference")
_NUMBER = re.compile(r"\d+(\.\d+)?%?|\.\d+%?")


def share_value(text: str) -> float:
    """``10%`` or ``0.1``."""
    share, _ = _amount(text)
    if not 0 < share <= 1:
        msg = f"{text} is not between 0 and 100 %"
        raise click.BadParameter(msg)
    return share


def effect_value(text: str) -> tuple[float, bool]:
    """``0.02``, or ``5%`` of the baseline; whether it is a percentage."""
    amount, relative = _amount(text)
    if not amount > 0:
        msg = f"{text} is not above 0"
        raise click.BadParameter(msg)
    return amount, relative


def _amount(text: str) -> tuple[float, bool]:
    if not _NUMBER.fullmatch(text):
        msg = f"{text!r} is neither a number such as 0.02 nor a percentage such as 5%"
        raise click.BadParameter(msg)
    relative = text.endswith("%")
    return (float(text[:-1]) / 100 if relative else float(text)), relative


# What is looked for; shared by ``start`` and ``power``.
plan_options = combined(
    click.option(
        "--share",
        type=share_value,
        default="10%",
        show_default=True,
        metavar="SHARE",
        help="Users that see B, or both arms interleaved: 10% or 0.1.",
    ),
    click.option(
        "--method",
        type=click.Choice(["split", "interleaving"]),
        default="split",
        show_default=True,
        help="Each user sees one arm, or a list of both (team draft).",
    ),
    click.option(
        "--metric",
        type=click.Choice(_METRICS),
        help="What the verdict is about.  [default: ctr; preference for interleaving]",
    ),
    click.option(
        "--cutoff", type=click.IntRange(1, 1000), default=10, help="The k of CTR@k.  [default: 10]"
    ),
    click.option(
        "--minimum-effect",
        type=effect_value,
        metavar="EFFECT",
        help="Smallest difference that matters: 0.02, or 5% of the baseline.  [default: 0.02; "
        "0.05 for interleaving]",
    ),
    click.option(
        "--alpha",
        type=click.FloatRange(0.0001, 0.4),
        default=0.05,
        show_default=True,
        help="Chance to find a difference that does not exist, over all looks.",
    ),
    click.option(
        "--power",
        "wanted_power",
        type=click.FloatRange(0.1, 0.999),
        default=0.8,
        show_default=True,
        help="Chance to find the minimum effect.",
    ),
    click.option("--baseline", type=float, help="Value of the metric today, if no log says it."),
    click.option(
        "--deviation",
        type=click.FloatRange(0, min_open=True),
        help="How much users differ in it (standard deviation), if no log says it.",
    ),
    click.option(
        "--queries-per-user",
        type=click.FloatRange(1),
        help="Queries of a user meanwhile, if no log says it.  [default: 1]",
    ),
    click.option(
        "--expect-users-per-day",
        "users_per_day",
        type=click.FloatRange(0, min_open=True),
        help="To tell the days it takes.  [default: as in the log]",
    ),
)


@click.group()
def ab() -> None:
    """Compare two versions of an index on live users, and promote the better one.

    \b
    Example:
      tandem ab start docs --b 1.1.0 --share 10%
    """


@ab.command()
@click.argument("name")
@click.option("--b", metavar="VERSION", help="Version or physical index of arm B.")
@click.option("--b-pipeline", metavar="PIPELINE", help="Search pipeline that fuses arm B.")
@click.option(
    "--b-dense-model-id", metavar="MODEL", help="Model of the cluster for arm B's dense queries."
)
@click.option(
    "--b-sparse-model-id", metavar="MODEL", help="Model of the cluster for arm B's sparse queries."
)
@click.option("--name", "experiment", help="Of the experiment.  [default: NAME-ab1, -ab2, …]")
@click.option(
    "--users",
    type=click.IntRange(1),
    help="Users until the test is over.  [default: what the power needs]",
)
@plan_options
@url_option
@json_option
@reports_errors
def start(
    name: str,
    b: str | None,
    b_pipeline: str | None,
    b_dense_model_id: str | None,
    b_sparse_model_id: str | None,
    experiment: str | None,
    users: int | None,
    url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Start an experiment on the index NAME: what it serves now (A) against another version (B).

    Users are split by the router (`tandem serve --search NAME`) or by the library. The same command
    again changes nothing, but for the share, which may be changed while it runs.

    \b
    Examples:
      tandem ab start docs --b 1.2.0 --share 10%
      tandem ab start docs --b docs-v1.2.0-1 --method interleaving --share 50%
      tandem ab start docs --b 1.2.0 --metric mrr --minimum-effect 3% --expect-users-per-day 900
    """
    from opensearch.workflows.connection import open_cluster
    from operations.experiments.starting import StartRequest
    from operations.experiments.starting import start as run

    if not (b or b_pipeline or b_dense_model_id or b_sparse_model_id):
        msg = "say what arm B is: --b VERSION, --b-pipeline, or a model of the cluster"
        raise click.UsageError(msg)
    client = open_cluster(url)
    plan, baseline, needed = _plan(client, name, options)
    if users is not None:
        plan = replace(plan, planned_users=users)
    request = StartRequest(
        index=name,
        b=b,
        pipeline=b_pipeline,
        dense_model=b_dense_model_id,
        sparse_model=b_sparse_model_id,
        share=options["share"],
        method=options["method"],
        name=experiment,
    )
    started = run(client, request, plan)
    if as_json:
        found = started.experiment
        echo_json({"change": started.change, **found.as_document(), "power": needed.as_dict()})
        return
    if started.change == "started":
        _show_plan(plan, baseline, needed, options)
    _tell_started(started.experiment, started.change)


def _tell_started(experiment: "Experiment", change: str) -> None:
    share = f"{100 * experiment.share:g} %"
    click.echo(f"{experiment.name}: {change}")
    click.echo(f"  A  {experiment.a.label()}")
    click.echo(f"  B  {experiment.b.label()}, {experiment.method}, {share} of the users")
    note(
        f"`tandem serve --search {experiment.index}` shows it to users within seconds, `tandem ab "
        f"report {experiment.index}` says when to stop."
    )


@ab.command("list")
@url_option
@json_option
@reports_errors
def list_all(url: str | None, as_json: bool) -> None:
    """List the experiments, the latest first.

    \b
    Example:
      tandem ab list
    """
    from opensearch.workflows.connection import open_cluster
    from operations.experiments.store import ExperimentStore

    found = ExperimentStore(open_cluster(url)).all()
    if as_json:
        echo_json([experiment.as_document() for experiment in found])
        return
    if not found:
        note("No experiments; `tandem ab start` starts one.")
        return
    head = ("EXPERIMENT", "INDEX", "STATUS", "METHOD", "SHARE", "SINCE", "A", "B")
    _show_table([head, *(_listed(experiment) for experiment in found)])


def _listed(experiment: "Experiment") -> tuple[str, ...]:
    return (
        experiment.name,
        experiment.index,
        experiment.status,
        experiment.method,
        f"{100 * experiment.share:g}%",
        f"{experiment.phase.since:%Y-%m-%d %H:%M}",
        experiment.a.label(),
        experiment.b.label(),
    )


@ab.command()
@click.argument("name")
@url_option
@json_option
@reports_errors
def report(name: str, url: str | None, as_json: bool) -> None:
    """Report on the experiment NAME (or the one on the index NAME), and say whether to stop.

    Look as often as you like: the error is shared out over the looks, and what a look has used up
    is kept. Exit code 1: the arms do not have the users they should have, so the figures are void.

    \b
    Example:
      tandem ab report docs
    """
    from opensearch.workflows.connection import open_cluster
    from operations.experiments.looking import look
    from operations.experiments.report import as_dict
    from operations.experiments.wording import conclusion, next_step

    found = look(open_cluster(url), name)
    if as_json:
        words = {"conclusion": conclusion(found), "next": next_step(found)}
        echo_json({**as_dict(found), **words})
    else:
        _show_report(found)
    if found.verdict == "invalid":
        raise click.exceptions.Exit(1)


def _show_report(found: "Report") -> None:
    from operations.experiments.wording import conclusion, next_step, table, warnings

    experiment = found.experiment
    a, b = experiment.a.label(), experiment.b.label()
    click.secho(f"{experiment.name} on {experiment.index}: {experiment.method}", bold=True)
    other = "both arms interleaved" if experiment.method == "interleaving" else b
    for name, arm, users, queries in zip(
        ("A", "B"), (a, other), found.users, found.queries, strict=True
    ):
        click.echo(f"  {name}  {arm}: {users:,} users, {queries:,} queries")
    if found.wins is not None:
        wins = found.wins
        click.echo(f"  queries won: A {wins.a:,}, B {wins.b:,}, ties {wins.ties:,}")
    click.echo()
    _show_table(table(found))
    click.echo()
    click.secho(conclusion(found), bold=True, fg="red" if found.verdict == "invalid" else None)
    click.echo(next_step(found))
    for warning in warnings(found):
        note(f"Note: {warning}")


@ab.command()
@click.argument("name")
@click.option(
    "--no-catch-up", is_flag=True, help="Only swap; what was written since B was built is missing."
)
@url_option
@json_option
@reports_errors
def promote(name: str, no_catch_up: bool, url: str | None, as_json: bool) -> None:
    """Let everybody see arm B of the experiment NAME (or the one on the index NAME), and end it.

    What was written since B was built is added to it, then the alias moves in one step. Stopped and
    started again, it continues.

    \b
    Example:
      tandem ab promote docs
    """
    from opensearch.workflows.connection import open_cluster
    from operations.experiments.ending import PromoteOptions
    from operations.experiments.ending import promote as run

    options = PromoteOptions(catch_up=not no_catch_up, stage=note)
    _tell_ended(run(open_cluster(url), name, options), as_json=as_json)


@ab.command()
@click.argument("name")
@url_option
@json_option
@reports_errors
def stop(name: str, url: str | None, as_json: bool) -> None:
    """End the experiment NAME (or the one on the index NAME): everybody sees arm A.

    \b
    Example:
      tandem ab stop docs
    """
    from opensearch.workflows.connection import open_cluster
    from operations.experiments.ending import stop as run

    _tell_ended(run(open_cluster(url), name), as_json=as_json)


def _tell_ended(experiment: "Experiment", *, as_json: bool) -> None:
    if as_json:
        echo_json(experiment.as_document())
    else:
        click.echo(f"{experiment.name} {experiment.outcome}")


@ab.command()
@click.argument("name", required=False)
@plan_options
@url_option
@json_option
@reports_errors
def power(name: str | None, url: str | None, as_json: bool, **options: Any) -> None:
    """Say how many users an experiment needs, before it starts.

    With NAME, value and spread of the metric come from the log of that index; without one, or
    without a log, from --baseline and --queries-per-user, or from the worst case.

    \b
    Examples:
      tandem ab power docs --share 10% --minimum-effect 3%
      tandem ab power --baseline 0.35 --queries-per-user 4 --minimum-effect 0.02
    """
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(url) if name is not None else None
    plan, baseline, needed = _plan(client, name, options)
    if as_json:
        given = {"metric": plan.metric, "minimum_effect": plan.minimum_effect}
        echo_json({**given, "baseline": baseline.source, **needed.as_dict()})
        return
    _show_plan(plan, baseline, needed, options)


def _plan(
    client: Any, name: str | None, options: dict[str, Any]
) -> "tuple[Plan, Baseline, PowerPlan]":
    from operations.experiments.experiment import PREFERENCE, Plan
    from operations.experiments.planning import Known, find_baseline
    from operations.experiments.power import plan_users

    interleaving = options["method"] == "interleaving"
    metric = options["metric"] or (PREFERENCE if interleaving else "ctr")
    if (metric == PREFERENCE) != interleaving:
        msg = "--metric preference and --method interleaving go together"
        raise click.UsageError(msg)
    names = ("deviation", "queries_per_user", "users_per_day")
    known = Known(options["baseline"], *(options[one] for one in names))
    baseline = find_baseline(client, name, metric=metric, cutoff=options["cutoff"], known=known)
    plan = Plan(
        metric=metric,
        cutoff=options["cutoff"],
        minimum_effect=_effect(options, baseline, default=0.05 if interleaving else 0.02),
        alpha=options["alpha"],
        power=options["wanted_power"],
    )
    needed = plan_users(plan, options["method"], options["share"], baseline)
    return replace(plan, planned_users=needed.users), baseline, needed


def _effect(options: dict[str, Any], baseline: "Baseline", default: float) -> float:
    if options["minimum_effect"] is None:
        return default
    amount, relative = options["minimum_effect"]
    if not relative:
        return float(amount)
    if not abs(baseline.value) > 0:
        msg = "a percentage needs a baseline: give the minimum effect as a number, or --baseline"
        raise click.UsageError(msg)
    return float(amount * abs(baseline.value))


def _show_plan(
    plan: "Plan", baseline: "Baseline", needed: "PowerPlan", options: dict[str, Any]
) -> None:
    from operations.experiments.wording import label

    click.echo(
        f"{plan.planned_users:,} users show a difference of {plan.minimum_effect:.3g} in "
        f"{label(plan.metric, plan.cutoff)} with a power of {100 * plan.power:g} % "
        f"(alpha {plan.alpha:g}, {100 * options['share']:g} % see "
        f"{'both arms' if options['method'] == 'interleaving' else 'B'}; "
        f"{needed.without_looks:,} in a test without looks)."
    )
    if needed.of_all != needed.users:
        click.echo(f"{needed.of_all:,} users of the index have come by then.")
    if needed.days is not None:
        click.echo(f"At today's traffic that takes {needed.days:.1f} days.")
    rows: list[tuple[str, ...]] = [("TRUE DIFFERENCE", "POWER")]
    rows += [(f"{effect:.3g}", f"{100 * power:.0f} %") for effect, power in needed.curve]
    _show_table(rows)
    note(f"Baseline: {baseline.source}.")


def _show_table(rows: "list[tuple[str, ...]]") -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
