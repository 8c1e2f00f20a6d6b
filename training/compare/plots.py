"""Plots of a comparison as PNG files."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from training.compare.learning import Learning
from training.compare.outcome import METRICS, Outcome, SetOutcome
from training.evaluation.metrics import LABELS, PRIMARY

# Okabe and Ito's palette: apart for colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777", "#8D8D2B")


def metric_bars(entry: SetOutcome) -> bytes:
    """Bars of all metrics, one colour per system."""
    with drawing((9.6, 3.2)) as (figure, out):
        axes = figure.subplots()
        width = 0.84 / len(entry.measured)
        for i, (label, found) in enumerate(entry.measured.items()):
            places = [g + (i - (len(entry.measured) - 1) / 2) * width for g in range(len(METRICS))]
            heights = [found.evaluated.aggregate[metric] for metric in METRICS]
            axes.bar(places, heights, width * 0.92, label=label, color=colour(i))
        axes.set_xticks(range(len(METRICS)), [LABELS[metric] for metric in METRICS])
        axes.set_ylim(0, 1.05)
        axes.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0))
    return out[0]


def difference_curves(outcome: Outcome, entry: SetOutcome) -> bytes:
    """Each system's NDCG@10 minus the baseline's, queries from gain to loss."""
    base = np.asarray(entry.measured[outcome.baseline].evaluated.values(PRIMARY))
    with drawing((9.6, 2.8)) as (figure, out):
        axes = figure.subplots()
        axes.axhline(0, color="#999999", linewidth=0.8)
        for i, system in enumerate(outcome.systems):
            if system.label == outcome.baseline:
                continue
            values = np.asarray(entry.measured[system.label].evaluated.values(PRIMARY))
            gains = np.sort(values - base)[::-1]
            edges = np.linspace(0, 100, gains.size + 1)
            axes.stairs(gains, edges, baseline=None, color=colour(i), label=system.label)
        axes.set_ylim(-1.05, 1.05)
        axes.set_xlabel("share of queries, %")
        axes.set_ylabel(f"{LABELS[PRIMARY]} − {outcome.baseline}")
        axes.legend(frameon=False, loc="upper right")
    return out[0]


def learning_curves(outcome: Outcome) -> bytes:
    """Train loss and dev metric of each run, one under the other."""
    runs = outcome.learning
    with drawing((9.6, 2.6 * max(1, len(runs)))) as (figure, out):
        rows = figure.subplots(len(runs), 2, squeeze=False)
        for (left, right), run in zip(rows, runs, strict=True):
            _learning_row(left, right, run)
    return out[0]


def colour(number: int) -> str:
    """A colour for the system of this number."""
    return COLOURS[number % len(COLOURS)]


@contextmanager
def drawing(size: tuple[float, float]) -> Iterator[tuple[Any, list[bytes]]]:
    """A figure of this size in inches; on leaving, its PNG is put in the list."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    out: list[bytes] = []
    yield figure, out
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    # Without the library's version, the same figures give the same bytes.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    out.append(buffer.getvalue())


def _learning_row(left: Any, right: Any, run: Learning) -> None:
    # A single point has no line to be seen by.
    mark = "o" if len(run.loss) == 1 else None
    left.plot(*_axes_of(run.loss), color=COLOURS[0], linewidth=1.3, marker=mark)
    left.set_title(_plain(f"{run.label}: train loss"), fontsize=10)
    right.plot(*_axes_of(run.dev), color=COLOURS[1], marker="o", markersize=3, linewidth=1.3)
    right.set_title("dev metric", fontsize=10)
    best = run.best
    for axes in (left, right):
        axes.set_xlabel("step")
        if best is not None:
            axes.axvline(best[0], color="#999999", linestyle="--", linewidth=1)


def _axes_of(points: tuple[tuple[int, float], ...]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]


def _plain(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")
