"""The metrics of a report as a table: for the terminal, plain text, and Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from training.evaluation.metrics import LABELS, PRIMARY
from training.evaluation.report import Report
from training.evaluation.significance import percent

if TYPE_CHECKING:
    from rich.table import Table

MARKS = {"better": "▲", "worse": "▼", "within noise": "≈", "no difference": "="}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which metrics and latency percentiles a table shows; NDCG@10 is always there."""

    metrics: tuple[str, ...]
    percentiles: tuple[str, ...]


FULL = Columns(("mrr@10", "recall@1", "recall@10", "recall@100", "map@10"), ("p50", "p95", "p99"))
MEDIUM = Columns(("mrr@10", "recall@10", "recall@100"), ("p50", "p99"))
NARROW = Columns(("mrr@10", "recall@100"), ("p50",))


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of the table, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """The table before it takes a form: a row per mode."""

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    legend: str


def grid(report: Report, columns: Columns = FULL) -> Grid:
    """Modes as rows: metrics, gain over the baseline in NDCG@10, latency."""
    metrics = [LABELS[metric] for metric in columns.metrics]
    latency = [f"{percentile} ms" for percentile in columns.percentiles]
    return Grid(
        headers=("mode", LABELS[PRIMARY], f"vs {report.baseline}", *metrics, *latency),
        rows=tuple(_row(report, mode, columns) for mode in report.results),
        legend=(
            f"{len(report.judged)} queries; vs {report.baseline}: NDCG@10, ▲ better, ▼ worse, "
            "≈ within noise (paired randomisation test, Holm-corrected, p < .05)"
        ),
    )


def rich_table(report: Report, columns: Columns = FULL) -> "Table":
    """The table for a terminal; the best of each column is bold."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    content = grid(report, columns)
    title = " · ".join(part for part in (report.context.index, report.dataset) if part)
    table = Table(
        title=Text(title) if title else None,
        caption=content.legend,
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    for i, header in enumerate(content.headers):
        table.add_column(header, justify="left" if i == 0 else "right", no_wrap=True)
    for row in content.rows:
        table.add_row(*(Text(c.text, style="bold green" if c.best else "") for c in row))
    return table


def plain_table(report: Report, columns: Columns = FULL) -> str:
    """The table as aligned text; the best of each column carries a star."""
    content = grid(report, columns)
    rows = [list(content.headers)]
    rows += [[f"{c.text}*" if c.best else f"{c.text} " for c in row] for row in content.rows]
    rows = [[cell.rstrip() if i == 0 else cell for i, cell in enumerate(row)] for row in rows]
    rows[0][1:] = [f"{header} " for header in rows[0][1:]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, "", f"* best of the column; {content.legend}"]) + "\n"


def markdown_table(report: Report) -> str:
    """The table in Markdown; the best of each column is bold."""
    content = grid(report)
    lines = [_markdown_row(content.headers), _markdown_row(["---"] + ["---:"] * _width(content))]
    for row in content.rows:
        lines.append(_markdown_row([f"**{c.text}**" if c.best else c.text for c in row]))
    return "\n".join([*lines, "", f"Bold: best of the column. {content.legend}."]) + "\n"


def print_table(report: Report, file: IO[str]) -> None:
    """Write the table: on a terminal with colour and the columns that fit, else all as text."""
    from rich.console import Console

    console = Console(file=file)
    if not console.is_terminal:
        file.write(plain_table(report))
        return
    # Measured on a wide page: the console itself would report no more than its own width.
    page = console.options.update(width=1_000)
    tables = [rich_table(report, columns) for columns in (FULL, MEDIUM, NARROW)]
    fitting = [t for t in tables if console.measure(t, options=page).maximum <= console.width]
    if fitting:
        console.print(fitting[0])
    else:  # A table squeezed below its width loses whole columns; wrapped text does not.
        file.write(plain_table(report, NARROW))


def _row(report: Report, mode: str, columns: Columns) -> tuple[Cell, ...]:
    first = _metric_cell(report, mode, PRIMARY)
    metrics = [_metric_cell(report, mode, metric) for metric in columns.metrics]
    latency = [_latency_cell(report, mode, percentile) for percentile in columns.percentiles]
    return (Cell(mode), first, Cell(gain(report, mode)), *metrics, *latency)


def gain(report: Report, mode: str) -> str:
    """Gain over the baseline in NDCG@10, in percent, with the mark of its verdict."""
    found = report.comparison(mode)
    if found is None:
        return "–"
    change = f"{found.difference:+.3f}" if found.relative is None else percent(found.relative)
    return f"{change} {MARKS[found.verdict()]}"


def _metric_cell(report: Report, mode: str, metric: str) -> Cell:
    return _best_cell(report, mode, lambda m: f"{report.metric(m, metric):.3f}", max)


def _latency_cell(report: Report, mode: str, percentile: str) -> Cell:
    def shown(name: str) -> str:
        return f"{report.results[name].latency.as_dict()[percentile]:.1f}"

    return _best_cell(report, mode, shown, min)


def _best_cell(
    report: Report,
    mode: str,
    shown: Callable[[str], str],
    best_of: Callable[[list[float]], float],
) -> Cell:
    # Compared as shown: two modes that print the same number are both marked.
    values = [float(shown(name)) for name in report.results]
    text = shown(mode)
    return Cell(text, best=len(values) > 1 and float(text) == best_of(values))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        row[0].ljust(widths[0]),
        *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
    ]


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _width(content: Grid) -> int:
    return len(content.headers) - 1
