import re
import xml.etree.ElementTree as ET

import pytest
from training_evaluation_samples import single_query, synthetic_report

from training.evaluation import plots
from training.evaluation.datasets import JudgedQueries, Query
from training.evaluation.examples import focus_mode, wins_and_losses
from training.evaluation.report import Context, Report
from training.evaluation.report_html import example_documents, render_html
from training.evaluation.runner import ModeResult, Searched, compare_modes, run_mode

ATTACK = "<script>alert('x')</script> \"&{{ 7 * 7 }}"


@pytest.fixture(scope="module")
def report() -> Report:
    return synthetic_report(settings={"fusion": "min-max"}, warnings=("Mind the gap.",))


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render_html(report)


def test_the_page_says_what_was_found(report: Report, page: str) -> None:
    assert report.headline() in page.replace("&lt;", "<").replace("&#39;", "'")
    for part in ("Mind the gap.", "Is it more than chance?", "Wins and losses", "min-max", "bank"):
        assert part in page
    assert page.count("<svg") == 3


def test_the_page_loads_nothing_and_is_small(page: str) -> None:
    assert len(page.encode()) < 500_000
    assert not re.search(r"<(script|link|img|iframe|object)\b", page)
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page


def test_a_large_report_is_small_too() -> None:
    assert len(render_html(synthetic_report(800)).encode()) < 500_000


def test_ids_are_unique_and_references_lead_somewhere(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)


def hostile_report() -> Report:
    judged = JudgedQueries({"q": Query("q", ATTACK)}, {"q": {ATTACK: 1}}, name=ATTACK)

    def found(*ids: str) -> ModeResult:
        notes = (ATTACK,)
        return run_mode(judged, lambda _: Searched([(i, 1.0) for i in ids], 0, 1, notes))

    context = Context(index=ATTACK, settings={ATTACK: ATTACK}, versions={ATTACK: ATTACK})
    modes = {"bm25": found("x"), "hybrid": found(ATTACK), "<b>$odd$": found("y")}
    return compare_modes(modes, context=context)


def test_text_from_outside_is_escaped_everywhere() -> None:
    page = render_html(hostile_report(), texts={ATTACK: ATTACK})
    assert "<script" not in page
    assert "<b>$odd$" not in page
    assert "&lt;script&gt;alert" in page
    assert "{{ 7 * 7 }}" in page


def test_plots_are_well_formed_and_follow_the_pages_colours(report: Report) -> None:
    for plot in (
        plots.metric_bars(report),
        plots.latency_bars(report),
        plots.difference_curves(report),
    ):
        root = ET.fromstring(plot)
        assert root.get("viewBox")
        assert root.get("width") is None
        assert "var(--ink)" in plot
        assert "var(--mode-3)" in plot
        assert not re.search(r"#0[1-3]0[2-4]", plot)


def test_plots_are_the_same_every_time(report: Report) -> None:
    assert plots.metric_bars(report) == plots.metric_bars(report)


def test_usual_modes_keep_their_colour_whatever_else_is_there() -> None:
    slots = plots.mode_slots(["hybrid", "mine", "dense", "other"])
    assert (slots["hybrid"], slots["dense"], slots["mine"], slots["other"]) == (3, 1, 4, 5)
    assert max(plots.mode_slots([f"m{i}" for i in range(20)]).values()) == 7


def test_a_single_mode_makes_a_page_without_comparisons() -> None:
    page = render_html(compare_modes({"dense": single_query("x", ["good"])}))
    assert "Is it more than chance?" not in page
    assert page.count("<svg") == 2


def test_examples_are_the_greatest_changes(report: Report) -> None:
    wins, losses = wins_and_losses(report, count=4)
    assert focus_mode(report) == "hybrid"
    assert [e.difference for e in wins] == sorted((e.difference for e in wins), reverse=True)
    assert len(wins) == 4
    assert all(e.difference > 0 for e in wins)
    assert all(e.difference < 0 for e in losses)


def test_an_example_shows_where_relevant_documents_stand() -> None:
    modes = {"bm25": single_query("x", ["a", "b"]), "hybrid": single_query("x", ["good", "a"])}
    (win,), losses = wins_and_losses(compare_modes(modes))
    assert (win.before, win.after, losses) == (0.0, 1.0, [])
    assert win.documents[0].ranks == {"bm25": None, "hybrid": 1}


def test_texts_of_example_documents_are_shown_shortened() -> None:
    modes = {"bm25": single_query("x", ["a"]), "hybrid": single_query("x", ["good"])}
    report = compare_modes(modes)
    assert example_documents(report) == ["good"]
    page = render_html(report, texts={"good": "Fees and rates. " * 100})
    assert "Fees and rates." in page
    assert "Fees and rates. " * 20 not in page
    assert "…</small>" in page
