"""A report as one HTML file: styles and plots inside, nothing loaded from elsewhere."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC
from importlib import resources
from itertools import groupby
from typing import Any

from training.evaluation import plots
from training.evaluation.examples import Example, focus_mode, wins_and_losses
from training.evaluation.metrics import LABELS, PRIMARY
from training.evaluation.report import Report
from training.evaluation.significance import ALPHA, RESAMPLES, Comparison, format_p
from training.evaluation.table import gain, grid

EXAMPLES = 6
SNIPPET_LENGTH = 220


def example_documents(report: Report) -> list[str]:
    """Ids of the documents whose text the report's examples can show."""
    wins, losses = wins_and_losses(report, EXAMPLES)
    return list(dict.fromkeys(d.doc_id for e in [*wins, *losses] for d in e.documents))


def render_html(report: Report, *, texts: Mapping[str, str] | None = None) -> str:
    """The report as a self-contained HTML page.

    Args:
        report: The evaluation.
        texts: Document id -> text, for the documents of the examples (`example_documents`);
            a document without one is shown by its id.

    Returns:
        The page. All text from queries, documents and settings is escaped.
    """
    from jinja2 import Environment, StrictUndefined

    source = resources.files("training.evaluation").joinpath("report.html.j2")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        {"p_value": _p_value, "signed": _signed, "snippet": _snippet, "setting": _setting}
    )
    template = environment.from_string(source.read_text(encoding="utf-8"))
    return template.render(_values(report, texts or {}))


def _values(report: Report, texts: Mapping[str, str]) -> dict[str, Any]:
    from markupsafe import Markup

    wins, losses = wins_and_losses(report, EXAMPLES)
    several = len(report.results) > 1
    # matplotlib escapes the text it writes, so its SVG may go into the page as it is.
    return {
        "report": report,
        "grid": grid(report),
        "labels": LABELS,
        "primary": PRIMARY,
        "alpha": ALPHA,
        "resamples": RESAMPLES,
        "comparisons": _grouped(report.comparisons),
        "tiles": _tiles(report),
        "slots": plots.mode_slots(list(report.results)),
        "bars": Markup(plots.metric_bars(report)),  # noqa: S704
        "latency": Markup(plots.latency_bars(report)),  # noqa: S704
        "curves": Markup(plots.difference_curves(report)) if several else None,  # noqa: S704
        "focus": focus_mode(report),
        "examples": _sections(wins, losses),
        "texts": texts,
        "timestamp": report.context.timestamp.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _tiles(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "mode": mode,
            "value": report.metric(mode, PRIMARY),
            "gain": "baseline" if mode == report.baseline else gain(report, mode),
            "verdict": found.verdict() if (found := report.comparison(mode)) else "",
            "best": mode == report.best_mode,
        }
        for mode in report.results
    ]


def _sections(wins: list[Example], losses: list[Example]) -> list[tuple[str, list[Example]]]:
    return [(title, found) for title, found in (("Gains", wins), ("Losses", losses)) if found]


def _grouped(comparisons: Iterable[Comparison]) -> list[list[Comparison]]:
    """Comparisons of the same two modes together, in the order they came in."""
    return [list(group) for _, group in groupby(comparisons, lambda c: (c.system, c.baseline))]


def _p_value(p: float) -> str:
    return format_p(p).removeprefix("p ").removeprefix("= ")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _snippet(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SNIPPET_LENGTH else text[: SNIPPET_LENGTH - 1].rstrip() + "…"


def _setting(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
