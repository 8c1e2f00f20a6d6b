import io

import pytest
from rich.console import Console
from training_evaluation_samples import single_query, synthetic_report

from training.evaluation.report import Report
from training.evaluation.runner import compare_modes
from training.evaluation.table import (
    FULL,
    NARROW,
    Cell,
    gain,
    grid,
    markdown_table,
    plain_table,
    print_table,
    rich_table,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def cells(report: Report, mode: str) -> tuple[Cell, ...]:
    return next(row for row in grid(report).rows if row[0].text == mode)


def test_rows_are_modes_and_the_best_of_each_column_is_marked() -> None:
    report = synthetic_report()
    content = grid(report)
    assert [row[0].text for row in content.rows] == ["bm25", "dense", "sparse", "hybrid"]
    assert content.headers[:4] == ("mode", "NDCG@10", "vs bm25", "MRR@10")
    assert cells(report, "hybrid")[1].best
    assert not cells(report, "bm25")[1].best
    assert cells(report, "hybrid")[1].text == f"{report.metric('hybrid', 'ndcg@10'):.3f}"


def test_equal_values_are_all_marked_and_a_lone_mode_is_not() -> None:
    same = {"bm25": single_query("x", ["good"]), "dense": single_query("x", ["good"])}
    assert [row[1].best for row in grid(compare_modes(same)).rows] == [True, True]
    assert gain(compare_modes(same), "dense") == "+0.0 % ="
    lone = compare_modes({"bm25": same["bm25"]})
    assert not any(cell.best for cell in grid(lone).rows[0])


def test_the_gain_carries_its_verdict() -> None:
    report = synthetic_report()
    assert gain(report, "bm25") == "–"
    assert gain(report, "hybrid").startswith("+")
    assert gain(report, "hybrid").endswith("% ▲")
    assert gain(report, "sparse").endswith("≈")


def test_the_gain_over_a_baseline_of_zero_is_absolute() -> None:
    modes = {"bm25": single_query("x", []), "dense": single_query("x", ["good"])}
    assert gain(compare_modes(modes), "dense") == "+1.000 ≈"


def test_the_lowest_latency_is_the_best() -> None:
    report = synthetic_report()
    column = grid(report).headers.index("p99 ms")
    values = [(float(row[column].text), row[column].best) for row in grid(report).rows]
    assert all(best == (value == min(v for v, _ in values)) for value, best in values)


def test_plain_text_is_aligned_and_has_no_control_characters() -> None:
    text = plain_table(synthetic_report())
    lines = text.splitlines()[:5]
    assert "\x1b" not in text
    assert lines[0].index("NDCG@10") > 0
    assert len({line.rstrip(" *").rfind(".") for line in lines[1:]}) == 1
    assert "Holm-corrected" in text


def test_markdown_has_one_row_per_mode() -> None:
    lines = markdown_table(synthetic_report()).splitlines()
    assert lines[1].startswith("| --- | ---: |")
    assert len({line.count("|") for line in lines[:6]}) == 1
    assert "**" in lines[5]


def test_a_terminal_gets_the_columns_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    report = synthetic_report()
    monkeypatch.setenv("TERM", "xterm-256color")
    columns = {160: ("MAP@10", "p99"), 90: ("Recall@10", "p99"), 75: ("MRR@10", "p50")}
    for width, present in {**columns, 30: ("MRR@10", "p50")}.items():
        monkeypatch.setenv("COLUMNS", str(width))
        terminal = Terminal()
        print_table(report, terminal)
        assert ("MAP@10" in terminal.getvalue()) is (width == 160)
        for column in (*present, "hybrid", f"{report.metric('bm25', 'ndcg@10'):.3f}"):
            assert column in terminal.getvalue()


def test_elsewhere_it_is_plain_text() -> None:
    report = synthetic_report()
    file = io.StringIO()
    print_table(report, file)
    assert file.getvalue() == plain_table(report)


def test_narrow_fits_eighty_columns() -> None:
    console = Console(width=200)
    report = synthetic_report()
    assert console.measure(rich_table(report, NARROW)).maximum <= 72
    assert console.measure(rich_table(report, FULL)).maximum <= 120
