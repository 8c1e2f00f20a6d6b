"""Saves a report: JSON, HTML, results per query, and a TREC run file per mode."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from training.errors import EvaluationError
from training.evaluation.report import Report
from training.evaluation.report_html import render_html
from training.evaluation.runs import save_trec
from training.whole_files import whole_file

HITS_PER_QUERY = 10


def save_report(
    report: Report, folder: str | Path, *, texts: Mapping[str, str] | None = None
) -> list[Path]:
    """Write everything about an evaluation into a folder, which is made if need be.

    Each file appears whole or not at all: it is written under another name, then renamed.
    ``report.json`` comes last, so that its presence says that the rest is there.

    Args:
        report: The evaluation.
        folder: Where to; files of an earlier report are replaced.
        texts: Document texts for the examples of the HTML report.

    Returns:
        The files: ``run.<mode>.trec`` per mode, ``per_query.jsonl``, ``report.html``,
        ``report.json``.

    Raises:
        EvaluationError: The folder cannot be written.
    """
    folder = Path(folder)
    page = render_html(report, texts=texts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [
            *_save_runs(report, folder),
            _write(folder / "per_query.jsonl", lambda path: _write_lines(path, report)),
            _write(folder / "report.html", lambda path: _write_text(path, page)),
            _write(folder / "report.json", lambda path: _write_text(path, _as_json(report))),
        ]
    except OSError as error:
        msg = f"the report cannot be saved in {folder}: {error.strerror or error}"
        raise EvaluationError(msg) from error


def per_query_records(report: Report) -> Iterator[dict[str, Any]]:
    """One JSON-ready record per query: text, judgements, each mode's metrics, time and top 10."""
    totals = {mode: result.total_ms for mode, result in report.results.items()}
    for position, query in enumerate(report.judged):
        yield {
            "query_id": query.id,
            "text": query.text,
            "relevant": {d: g for d, g in report.judged.qrels[query.id].items() if g > 0},
            "modes": {
                mode: {
                    "metrics": _rounded(result.evaluated.per_query[query.id]),
                    "latency_ms": round(totals[mode][position], 3),
                    "hits": list(result.run[query.id].items())[:HITS_PER_QUERY],
                }
                for mode, result in report.results.items()
            },
        }


def _save_runs(report: Report, folder: Path) -> list[Path]:
    return [
        _write(
            folder / f"run.{_file_name(mode)}.trec",
            partial(save_trec, result.run, tag=f"tandem-{mode}"),
        )
        for mode, result in report.results.items()
    ]


def _write(path: Path, write: Callable[[Path], None]) -> Path:
    with whole_file(path) as part:
        write(part)
    return path


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_lines(path: Path, report: Report) -> None:
    with path.open("w", encoding="utf-8") as file:
        for record in per_query_records(report):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _as_json(report: Report) -> str:
    return json.dumps(report.as_dict(), ensure_ascii=False, indent=2, default=str) + "\n"


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in metrics.items()}


def _file_name(mode: str) -> str:
    return re.sub(r"[^A-Za-z0-9_+.-]", "_", mode)
