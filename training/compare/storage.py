"""Saves a comparison: Markdown, HTML, JSON, plots, and a TREC run file per system and set."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from training.compare import plots
from training.compare.moves import Moves
from training.compare.outcome import Outcome
from training.compare.report import markdown_report
from training.compare.report_html import plot_names, render_html
from training.evaluation.runs import save_trec
from training.run_folder import disk_faults, write_atomically
from training.whole_files import whole_file


def save_comparison(outcome: Outcome, moves: Sequence[Moves], folder: Path) -> None:
    """Write everything about a comparison into a folder, which is made if need be.

    Each file appears whole or not at all; ``report.json`` comes last, so that its presence says
    that the rest is there.

    Raises:
        TrainingError: The disk refuses.
    """
    drawn = draw_plots(outcome)
    for name, png in drawn.items():
        write_atomically(folder / name, png)
    for entry in outcome.sets:
        for label, found in entry.measured.items():
            name = file_name(f"run.{entry.name}.{label}.trec")
            with disk_faults(folder / name), whole_file(folder / name) as part:
                save_trec(found.run, part, tag=f"tandem-{label}")
    write_atomically(folder / "report.md", markdown_report(outcome, moves))
    write_atomically(folder / "report.html", render_html(outcome, moves, drawn))
    values = json.dumps(as_json(outcome, moves), ensure_ascii=False, indent=2)
    write_atomically(folder / "report.json", values + "\n")


def as_json(outcome: Outcome, moves: Sequence[Moves]) -> dict[str, object]:
    """A comparison with its examples as JSON-ready values."""
    return {**outcome.as_dict(), "moves": [found.as_dict() for found in moves]}


def draw_plots(outcome: Outcome) -> dict[str, bytes]:
    """File name -> PNG of every plot."""
    drawn: dict[str, bytes] = {}
    for entry in outcome.sets:
        bars, differences = plot_names(entry)
        drawn[bars] = plots.metric_bars(entry)
        if outcome.others:
            drawn[differences] = plots.difference_curves(outcome, entry)
    if outcome.learning:
        drawn["curves.png"] = plots.learning_curves(outcome)
    return drawn


def file_name(text: str) -> str:
    """A text as the name of a file."""
    return re.sub(r"[^\w+.-]", "_", text)
