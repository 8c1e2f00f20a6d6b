"""Curves of a run as a picture: loss, learning rate, dev metric."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

_LOSS, _DEV, _BASE = "#0072B2", "#D55E00", "#777777"


def draw_curves(
    log: Sequence[Mapping[str, Any]], *, base_dev: float | None = None, title: str = ""
) -> bytes:
    """Draw a run's log.

    Args:
        log: Entries with ``step`` and ``loss``, ``learning_rate`` or ``dev``.
        base_dev: Dev metric of the model before training, as a line.
        title: Above the picture.

    Returns:
        A PNG file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    _plot(left, log, "loss", _LOSS)
    _plot(middle, log, "learning_rate", _LOSS)
    _plot(right, log, "dev", _DEV, marker="o")
    if base_dev is not None:
        right.axhline(base_dev, color=_BASE, linestyle="--", linewidth=1, label="base model")
        right.legend(frameon=False)
    for axes, name in zip((left, middle, right), ("loss", "learning rate", "dev"), strict=True):
        axes.set_title(name if name != "dev" else "mean NDCG@10 on the dev sets", fontsize=10)
        axes.set_xlabel("step")
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _plot(axes: Any, log: Sequence[Mapping[str, Any]], key: str, colour: str, **style: Any) -> None:
    entries = [entry for entry in log if key in entry]
    steps = [entry["step"] for entry in entries]
    axes.plot(steps, [entry[key] for entry in entries], color=colour, linewidth=1.4, **style)
