"""An ablation as tables, Markdown, JSON and plots."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.ablation.config import Axis
from training.ablation.findings import Finding, Findings
from training.ablation.running import shown_time
from training.compare.plots import colour, drawing
from training.compare.tables import Table
from training.evaluation.metrics import LABELS
from training.evaluation.significance import format_p, percent
from training.run_folder import write_atomically

REPORT, VALUES = "ablation.md", "ablation.json"
# From this ratio of the largest to the smallest value on, an axis is logarithmic.
_LOG_FROM = 8.0


def save_findings(findings: Findings) -> list[Path]:
    """Write table, values and plots into the ablation's folder.

    Returns:
        The files, the report first.

    Raises:
        TrainingError: The disk refuses.
    """
    folder = findings.plan.config.output
    drawn = {plot_name(axis): draw_axis(findings, axis) for axis in findings.plan.axes}
    drawn = drawn if findings.found else {}
    for name, png in drawn.items():
        write_atomically(folder / name, png)
    write_atomically(folder / REPORT, markdown(findings, list(drawn)))
    values = json.dumps(findings.as_dict(), ensure_ascii=False, indent=2)
    write_atomically(folder / VALUES, values + "\n")
    return [folder / name for name in (REPORT, VALUES, *drawn)]


def table(findings: Findings, leg: str, set_name: str) -> Table:
    """Points as rows: settings, mean ± spread over seeds, change against the base, verdict."""
    axes = [axis.name for axis in findings.plan.axes]
    metric = LABELS[findings.plan.config.metric]
    headers = (*axes, "seeds", metric, "vs base", "verdict", "time")
    rows = [
        (
            *(shown(finding.point.settings[axis]) for axis in axes),
            str(len(finding.values)),
            _mean(finding),
            *_change(finding),
            _time(findings, finding),
        )
        for finding in findings.of(leg, set_name)
    ]
    return Table(headers, tuple(rows), words=0)


def plain(findings: Findings) -> str:
    """All tables for a terminal."""
    blocks = [
        f"{leg}, {name}\n{table(findings, leg, name).plain()}"
        for leg in findings.legs
        for name in findings.set_names
    ]
    blocks += [f"failed: {r.cell.name}: {r.fault}" for r in findings.failed]
    return "\n\n".join(blocks)


def markdown(findings: Findings, plots: list[str]) -> str:
    """The report; the plots lie beside it."""
    config = findings.plan.config
    base = ", ".join(f"{axis} {shown(v)}" for axis, v in findings.plan.base.settings.items())
    lines = [
        f"# Ablation of a {config.kind} run",
        "",
        f"{len(findings.results)} cells, seeds {', '.join(map(str, config.seeds))}; the base has "
        f"{base}. Values are means over seeds ± standard deviation.",
        "",
    ]
    for leg in findings.legs:
        for name in findings.set_names:
            lines += [f"## {leg}, {name}", "", table(findings, leg, name).markdown(), ""]
    lines += [f"![{name}]({name})" for name in plots]
    if findings.failed:
        lines += ["", "## Failed", ""]
        lines += [f"- {r.cell.name}: {' '.join((r.fault or '').split())}" for r in findings.failed]
    legend = (
        "Against the base by a paired randomisation test over queries (means over seeds), "
        "corrected after Holm over the whole table; from .05 on a difference is called within "
        "noise. The spread over seeds says how far a single run can be trusted."
    )
    return "\n".join([*lines, "", legend, ""])


def draw_axis(findings: Findings, axis: Axis) -> bytes:
    """The metric against the values of an axis: mean over seeds and, in a grid, over other axes.

    Each small point is one run; sets count alike.
    """
    with drawing((6.4, 3.4)) as (figure, out):
        plot = figure.subplots()
        for number, leg in enumerate(findings.legs):
            _draw_leg(plot, findings, axis, (leg, colour(number)))
        places = _places(findings, axis)
        if all(isinstance(value, (int, float)) for value in places):
            numbers = [float(place) for place in places.values()]
            if min(numbers) > 0 and max(numbers) / min(numbers) >= _LOG_FROM:
                plot.set_xscale("log")
        plot.set_xticks(list(places.values()), [shown(value) for value in places])
        plot.minorticks_off()
        plot.set_xlabel(axis.name)
        plot.set_ylabel(f"{LABELS[findings.plan.config.metric]}, mean over sets")
        plot.legend(frameon=False)
        plot.grid(axis="y", linewidth=0.5)
    return out[0]


def plot_name(axis: Axis) -> str:
    """File of an axis's plot."""
    return f"axis-{re.sub(r'[^A-Za-z0-9_-]', '-', axis.name)}.png"


def shown(value: Any) -> str:
    """A setting for people."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _draw_leg(plot: Any, findings: Findings, axis: Axis, style: tuple[str, str]) -> None:
    leg, line_colour = style
    places = _places(findings, axis)
    runs: dict[Any, list[float]] = {}
    for value, place in places.items():
        found = _runs(findings, axis, leg, value)
        if found:
            runs[place] = found
            plot.scatter([place] * len(found), found, s=12, alpha=0.45, color=line_colour)
    means = [sum(values) / len(values) for values in runs.values()]
    plot.plot(list(runs), means, color=line_colour, marker="o", label=leg)


def _places(findings: Findings, axis: Axis) -> dict[Any, float]:
    """Value -> where it stands: numbers at their value, others side by side."""
    own = [findings.plan.base.settings[axis.name]] if _draws_base(findings) else []
    values = [*own, *axis.values]
    hashable = list(dict.fromkeys(v if _is_number(v) else shown(v) for v in values))
    if all(_is_number(value) for value in hashable):
        return {value: float(value) for value in sorted(hashable)}
    return {value: float(number) for number, value in enumerate(hashable)}


def _runs(findings: Findings, axis: Axis, leg: str, value: Any) -> list[float]:
    """The metric of each run with this value, sets counting alike."""
    base = findings.plan.base.settings
    single = findings.plan.config.design == "one-at-a-time"
    sums: dict[tuple[str, int], list[float]] = {}
    for finding in findings.found:
        settings = finding.point.settings
        own = settings[axis.name]
        if finding.leg != leg or (own if _is_number(own) else shown(own)) != value:
            continue
        if finding.point.base and not _draws_base(findings):
            continue
        if single and not _differs_here_alone(settings, base, axis.name):
            continue
        for seed, reached in finding.values.items():
            sums.setdefault((finding.point.name, seed), []).append(reached)
    return [sum(values) / len(values) for values in sums.values()]


def _draws_base(findings: Findings) -> bool:
    """Beside a full grid the base would be in the mean of one value and no other."""
    plan = findings.plan
    within = all(plan.base.settings[axis.name] in axis.values for axis in plan.axes)
    return plan.config.design != "grid" or within


def _differs_here_alone(settings: Mapping[str, Any], base: Mapping[str, Any], axis: str) -> bool:
    return all(settings[name] == base[name] for name in base if name != axis)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _mean(finding: Finding) -> str:
    spread = finding.spread
    return f"{finding.mean:.4f}" + (f" ± {spread:.4f}" if spread is not None else "")


def _change(finding: Finding) -> tuple[str, str]:
    found = finding.comparison
    if found is None:
        return ("base" if finding.point.base else "–", "")
    change = f"{found.difference:+.4f}" if found.relative is None else percent(found.relative)
    return f"{change} ({format_p(found.p_holm)})", found.verdict()


def _time(findings: Findings, finding: Finding) -> str:
    known = [
        r.seconds
        for r in findings.results
        if r.cell.point == finding.point.name and r.seconds is not None
    ]
    return shown_time(sum(known) / len(known)) if known else "–"
