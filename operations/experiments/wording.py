"""A report in words: what to conclude, and what to do next."""

from collections.abc import Iterator

from operations.experiments.experiment import HIGHER_IS_BETTER, PREFERENCE
from operations.experiments.report import MetricRow, Report

LABELS = {
    "ctr": "CTR@k",
    "clicks": "clicks per query",
    "mrr": "MRR of first click",
    "abandonment": "abandonment",
    "zero_results": "zero-result rate",
    "latency_ms": "latency in ms",
    PREFERENCE: "preference for B",
}


def label(name: str, cutoff: int) -> str:
    """A metric as people call it."""
    return LABELS[name].replace("@k", f"@{cutoff}")


def conclusion(report: Report) -> str:
    """The verdict in a sentence or two."""
    plan = report.experiment.plan
    name, effect = label(plan.metric, plan.cutoff), f"{plan.minimum_effect:g}"
    sentences = {
        "B is better": f"B is better: {_evidence(report.primary, name)}.",
        "A is better": f"A is better: {_evidence(report.primary, name)}.",
        "no difference that matters": (
            f"No difference as large as {effect}: {_evidence(report.primary, name)}."
        ),
        "futile": (
            f"Futile: a difference of {effect} in {name} would hardly be found any more, whichever "
            "arm it favoured."
        ),
        "undecided": (
            f"Undecided: all planned users have been seen, no difference in {name} is shown, and "
            f"one as large as {effect} is not excluded."
        ),
        "keep running": _waiting(report, name),
        "invalid": (
            f"INVALID: arm B should have {100 * report.ratio.share:g} % of the users and has "
            f"{report.ratio.b} of {report.ratio.a + report.ratio.b} (p = {report.ratio.p:.1g}). "
            "Users get lost in one arm, so no figure below can be trusted."
        ),
    }
    return sentences[report.verdict]


def next_step(report: Report) -> str:
    """What to do now."""
    index = report.experiment.index
    if not report.experiment.running:
        return f"It has ended ({report.experiment.outcome})."
    steps = {
        "B is better": f"`tandem ab promote {index}` lets everybody see B.",
        "A is better": f"`tandem ab stop {index}` keeps A.",
        "no difference that matters": (
            f"Take what is cheaper: `tandem ab stop {index}` keeps A, `tandem ab promote {index}` "
            "takes B."
        ),
        "futile": f"`tandem ab stop {index}` keeps A; waiting for the planned end is no use.",
        "undecided": (
            f"`tandem ab stop {index}` keeps A. For a smaller difference start anew with more "
            "users (`tandem ab power`)."
        ),
        "keep running": "Look again when more users have come; every look is reckoned with.",
        "invalid": (
            "Look for searches that fail or are not logged in one arm (fallbacks, timeouts, bots, "
            f"clients that change keys); then `tandem ab stop {index}` and start anew."
        ),
    }
    return steps[report.verdict]


def warnings(report: Report) -> Iterator[str]:
    """What else should be known."""
    plan = report.experiment.plan
    found = report.detectable
    if found is not None and report.fraction >= 0.2 and found > 1.2 * plan.minimum_effect:
        yield (
            f"Users differ more than planned: {plan.planned_users:,} of them show a difference of "
            f"{found:.3g}, not of {plan.minimum_effect:g}."
        )
    if fallbacks := report.counts.get("fallbacks"):
        yield f"Arm A answered {fallbacks:,} queries in the place of B, which failed."
    if foreign := report.counts.get("clicks on what was not shown"):
        yield f"{foreign:,} clicks name documents that were not shown; they are left out."
    if nobody := report.counts.get("without a user"):
        yield f"{nobody:,} queries name no user; they are left out."


def table(report: Report) -> list[tuple[str, ...]]:
    """Metrics as rows of text, with a head."""
    rows: list[tuple[str, ...]] = [("METRIC", "A", "B", "B - A", "INTERVAL", "BETTER")]
    cutoff = report.experiment.plan.cutoff
    for row in report.rows:
        better = row.better or ("" if row.interval else "too early")
        note = "" if HIGHER_IS_BETTER[row.name] else " (lower is better)"
        rows.append(
            (
                label(row.name, cutoff) + note,
                "" if row.a is None else _number(row.a.value),
                _number(row.b.value),
                _number(row.difference.value, signed=True),
                _interval(row),
                better,
            )
        )
    return rows


def _evidence(row: MetricRow, name: str) -> str:
    return f"{name} differs by {_number(row.difference.value, signed=True)} {_interval(row)}"


def _waiting(report: Report, name: str) -> str:
    plan = report.experiment.plan
    if report.bound is None:
        return f"Keep running: too few users yet for a look at {name}."
    seen = f"{100 * min(report.fraction, 1):.0f} % of {plan.planned_users:,} planned users"
    return f"Keep running: {seen} seen, nothing to conclude about {name} yet."


def _interval(row: MetricRow) -> str:
    if row.interval is None:
        return ""
    low, high = (_number(end, signed=True) for end in row.interval)
    return f"[{low}, {high}]"


def _number(value: float, *, signed: bool = False) -> str:
    if value != value:
        return "none"
    digits = 1 if abs(value) >= 10 else 4
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
