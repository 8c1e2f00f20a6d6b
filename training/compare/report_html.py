"""A comparison as one HTML file: styles and plots inside, nothing loaded from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from training.compare.moves import Moves, shown_rank
from training.compare.outcome import Outcome, SetOutcome
from training.compare.report import legend, metric_table, significance_table, title


def render_html(outcome: Outcome, moves: Sequence[Moves], plots: Mapping[str, bytes]) -> str:
    """The report as a self-contained page.

    Args:
        outcome: What was measured.
        moves: Examples.
        plots: File name -> PNG, as :func:`training.compare.storage.draw_plots` names them.

    Returns:
        The page. All text from queries, documents and names is escaped.
    """
    from jinja2 import Environment, StrictUndefined

    source = resources.files("training.compare").joinpath("report.html.j2")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["rank"] = shown_rank
    values = {
        "title": title(outcome),
        "sentences": outcome.sentences(),
        "warnings": outcome.warnings,
        "sets": [_section(outcome, entry, moves, plots) for entry in outcome.sets],
        "curves": _inline(plots.get("curves.png")),
        "legend": legend(outcome),
    }
    return environment.from_string(source.read_text(encoding="utf-8")).render(values)


def plot_names(entry: SetOutcome) -> tuple[str, str]:
    """File names of a set's two plots."""
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in entry.name)
    return f"metrics-{plain}.png", f"differences-{plain}.png"


def _section(
    outcome: Outcome, entry: SetOutcome, moves: Sequence[Moves], plots: Mapping[str, bytes]
) -> dict[str, Any]:
    bars, differences = plot_names(entry)
    return {
        "name": entry.name,
        "queries": len(entry.dev_set.judged),
        "documents": len(entry.dev_set.doc_ids),
        "metrics": metric_table(outcome, entry),
        "significance": significance_table(outcome, entry),
        "bars": _inline(plots.get(bars)),
        "differences": _inline(plots.get(differences)),
        "moves": [found for found in moves if found.set_name == entry.name],
    }


def _inline(png: bytes | None) -> str | None:
    return None if png is None else f"data:image/png;base64,{base64.b64encode(png).decode()}"
