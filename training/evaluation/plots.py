"""Plots of a report as inline SVG, coloured by the page's CSS variables."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from training.evaluation.metrics import LABELS, PRIMARY
from training.evaluation.report import Report

BAR_METRICS = ("ndcg@10", "mrr@10", "recall@10", "recall@100", "map@10")
PERCENTILES = ("p50", "p95", "p99")

_COLOURS = 8

# Drawn in colours that no one would choose, which are then exchanged for CSS variables: so one
# SVG serves light and dark pages. The page gives the variables Okabe and Ito's palette, whose
# colours stay apart for colour-blind readers.
_PLACEHOLDERS = {
    "#010203": "var(--ink)",
    "#020304": "var(--faint)",
    **{f"#0304{i:02x}": f"var(--mode-{i})" for i in range(_COLOURS)},
}
_INK, _FAINT = "#010203", "#020304"
_KNOWN_MODES = {"bm25": 0, "dense": 1, "sparse": 2, "hybrid": 3}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # text stays text: small, selectable, in the page's font
    "svg.hashsalt": "tandem",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def mode_slots(modes: Sequence[str]) -> dict[str, int]:
    """Mode -> number of its colour; the four usual modes always have the same one."""
    others = iter(range(len(_KNOWN_MODES), _COLOURS))
    return {
        mode: _KNOWN_MODES[mode] if mode in _KNOWN_MODES else next(others, _COLOURS - 1)
        for mode in modes
    }


def metric_bars(report: Report) -> str:
    """Bars of the main metrics, grouped by metric, one bar per mode."""
    values = {
        mode: [report.metric(mode, metric) for metric in BAR_METRICS] for mode in report.results
    }
    with _drawing("metrics", (10.4, 3.7)) as (figure, out):
        axes = figure.add_subplot()
        _grouped_bars(axes, values, "{:.2f}")
        axes.set_xticks(range(len(BAR_METRICS)), [LABELS[metric] for metric in BAR_METRICS])
        axes.set_ylim(0, max(0.05, *(max(v) for v in values.values())) * 1.12)
    return "".join(out)


def latency_bars(report: Report) -> str:
    """Bars of p50, p95 and p99 per mode, in milliseconds."""
    values = {
        mode: [result.latency.as_dict()[p] for p in PERCENTILES]
        for mode, result in report.results.items()
    }
    with _drawing("latency", (10.4, 3.2)) as (figure, out):
        axes = figure.add_subplot()
        _grouped_bars(axes, values, "{:.1f}")
        axes.set_xticks(range(len(PERCENTILES)), PERCENTILES)
        axes.set_ylabel("ms per query")
        axes.set_ylim(0, max(1e-3, *(max(v) for v in values.values())) * 1.12)
    return "".join(out)


def difference_curves(report: Report) -> str:
    """Every mode's NDCG@10 minus the baseline's, query by query, sorted from gain to loss."""
    base = np.asarray(report.results[report.baseline].evaluated.values(PRIMARY))
    others = [mode for mode in report.results if mode != report.baseline]
    slots = mode_slots(list(report.results))
    with _drawing("differences", (10.4, 3.2)) as (figure, out):
        axes = figure.add_subplot()
        axes.axhline(0, color=_INK, linewidth=0.8)
        for mode in others:
            gains = np.sort(np.asarray(report.results[mode].evaluated.values(PRIMARY)) - base)
            edges = np.linspace(0, 100, gains.size + 1)
            colour = _colour(slots[mode])
            axes.stairs(gains[::-1], edges, baseline=None, color=colour, linewidth=1.5, label=mode)
        axes.set_xlim(0, 100)
        axes.set_ylim(-1.05, 1.05)
        axes.set_yticks([-1, -0.5, 0, 0.5, 1])
        axes.set_xlabel("share of queries, %")
        axes.set_ylabel(f"{LABELS[PRIMARY]} − {report.baseline}")
        axes.grid(axis="y")
        axes.legend(loc="upper right", ncols=len(others))
    return "".join(out)


def _colour(slot: int) -> str:
    return f"#0304{slot:02x}"


def _grouped_bars(axes: Any, values: Mapping[str, Sequence[float]], form: str) -> None:
    slots = mode_slots(list(values))
    width = 0.84 / len(values)
    small = len(values) > 4
    for i, (mode, heights) in enumerate(values.items()):
        offset = (i - (len(values) - 1) / 2) * width
        places = [group + offset for group in range(len(heights))]
        bars = axes.bar(places, heights, width * 0.92, color=_colour(slots[mode]), label=mode)
        if not small:
            axes.bar_label(bars, [form.format(h) for h in heights], padding=2, fontsize=8)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(values), borderaxespad=0.2)


@contextmanager
def _drawing(name: str, size: tuple[float, float]) -> Iterator[tuple[Any, list[str]]]:
    """A figure of this size in inches; on leaving, its SVG is put in the list."""
    # No pyplot: no window system, no figures kept alive between reports.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        out: list[str] = []
        yield figure, out
        for axes in figure.axes:
            axes.patch.set_alpha(0)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        out.append(_inline(buffer.getvalue(), name))


def _inline(svg: str, name: str) -> str:
    """SVG for the body of a page: no prologue, scalable, ids of its own, CSS colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*"', r"<svg \1", svg, count=1)
    svg = re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*"', r"<svg \1", svg, count=1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", svg)
    for placeholder, variable in _PLACEHOLDERS.items():
        svg = svg.replace(placeholder, variable)
    return svg.strip()
