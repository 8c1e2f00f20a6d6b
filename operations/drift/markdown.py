"""The drift report as Markdown."""

from collections.abc import Mapping

from operations.drift.report import DriftReport, FeatureDrift
from training.evaluation.significance import format_p


def as_markdown(report: DriftReport) -> str:
    """A report for people: the verdict, and a table of the features."""
    sides = (("Reference", report.reference), ("Window", report.window))
    kind = "distinct queries" if report.reference.distinct else "queries"
    lines = [
        "# Query drift",
        "",
        *(f"- {name}: {side.source}, {side.queries:,} {kind}" for name, side in sides),
        f"- Verdict: {_verdict(report)}",
        "",
        "| Feature | Reference | Window | Distance | From | p (Holm) | PSI | |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(feature) for feature in report.features),
    ]
    if report.left_out:
        lines += ["", "Not compared:", ""]
        lines += [f"- {name}: {reason}" for name, reason in report.left_out.items()]
    return "\n".join(lines) + "\n"


def _verdict(report: DriftReport) -> str:
    if not report.drifted:
        return "no drift"
    return f"drift in {', '.join(report.drifted)}"


def _row(feature: FeatureDrift) -> str:
    outcome = feature.outcome
    cells = (
        feature.name,
        _shown(feature.reference),
        _shown(feature.window),
        f"{outcome.measure} {outcome.distance:.3f}",
        f"{feature.threshold:g}",
        format_p(feature.p_holm).removeprefix("p ").removeprefix("= "),
        f"{outcome.psi:.3f}",
        "**drift**" if feature.drifted else "",
    )
    return f"| {' | '.join(cells)} |"


def _shown(summary: Mapping[str, float]) -> str:
    if "mean" in summary:
        return f"{summary['mean']:.3g} (median {summary['median']:.3g})"
    if set(summary) == {"share"}:
        return f"{summary['share']:.1%}"
    shares = sorted(summary.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in shares)
