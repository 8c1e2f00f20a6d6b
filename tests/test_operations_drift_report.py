"""Drift: quiet where nothing has changed, loud where something has."""

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from feedback_samples import START, MemoryLog

from encoders.lexical import LexicalEncoder
from operations.drift.index_words import unknown_to
from operations.drift.markdown import as_markdown
from operations.drift.observed import ObservedQuery, observed_in_file, observed_in_log
from operations.drift.query_features import NEW_WORDS, UNKNOWN_WORDS, words_of
from operations.drift.report import DriftOptions, drift_report
from operations.drift.snapshot import (
    Snapshot,
    read_snapshot,
    take_reference,
    take_window,
    write_snapshot,
)
from operations.drift.two_samples import (
    compare_categories,
    compare_numbers,
    compare_rates,
    js_distance,
    stability_index,
)
from operations.feedback.errors import FeedbackError
from operations.feedback.events import QueryEvent
from operations.feedback.windows import Window
from training.evaluation.significance import holm

VOCABULARY = [f"word{number}" for number in range(2000)]
# As in real logs: few words are frequent, most are rare.
CHANCES = 1 / np.arange(1, 2001)
CHANCES /= CHANCES.sum()
KOREAN = ["카드 분실 신고", "해외 송금 수수료", "이체 한도 조회"]


def queries(
    rng: np.random.Generator, count: int, *, words: float = 3.0, empty: float = 0.05
) -> list[ObservedQuery]:
    """Queries of a world that does not change."""
    lengths = 1 + rng.poisson(words - 1, count)
    drawn = rng.choice(len(VOCABULARY), size=(count, int(lengths.max())), p=CHANCES)
    found = []
    for row, length in zip(drawn, lengths, strict=True):
        text = " ".join(VOCABULARY[place] for place in row[:length])
        top = float(rng.normal(0.6, 0.1))
        results = 0 if rng.random() < empty else 10
        found.append(ObservedQuery(text, results, (top, top - float(rng.exponential(0.05)))))
    return found


def report(reference: Iterable[ObservedQuery], window: Iterable[ObservedQuery], **options):
    first = take_reference(reference, source="then", salt="salt")
    second = take_window(window, first, source="now")
    return drift_report(second, first, DriftOptions(**options))


def test_false_alarms_stay_below_the_level() -> None:
    """Without the least distance, so that only the tests decide: at most 5 % of the reports."""
    rng = np.random.default_rng(1)
    runs = 100
    alarms = 0
    for _ in range(runs):
        outcome = report(
            queries(rng, 100), queries(rng, 100), ks_distance=0, js_distance=0, cohens_h=0
        )
        alarms += bool(outcome.drifted)
    # More than 10 have a chance of 1.1 % at exactly 5 %.
    assert alarms <= 10


def test_large_samples_of_almost_no_difference_are_quiet() -> None:
    rng = np.random.default_rng(2)
    shared = {"source": "x", "queries": 20_000, "distinct": False, "nothing_found": (1000, 20_000)}
    base = {"scripts": {"latin": 19_000, "hangul": 1000}}
    first = Snapshot(numbers={"top score": tuple(rng.normal(0.60, 0.1, 20_000))}, **base, **shared)
    second = Snapshot(
        numbers={"top score": tuple(rng.normal(0.606, 0.1, 20_000))}, **base, **shared
    )
    outcome = drift_report(second, first)
    (score,) = (f for f in outcome.features if f.name == "top score")
    assert score.p_holm < 0.001  # significant,
    assert not outcome.drifted  # and of no matter


def test_other_languages_are_drift() -> None:
    rng = np.random.default_rng(3)
    window = queries(rng, 300)
    window[::4] = [ObservedQuery(KOREAN[n % 3], 10, (0.6, 0.5)) for n in range(75)]
    outcome = report(queries(rng, 300), window)
    assert {"script", NEW_WORDS} <= set(outcome.drifted)


@pytest.mark.parametrize(
    ("change", "feature"), [({"words": 4.5}, "words"), ({"empty": 0.2}, "zero results")]
)
def test_real_shifts_are_found(change: dict, feature: str) -> None:
    rng = np.random.default_rng(4)
    found = sum(
        feature in report(queries(rng, 200), queries(rng, 200, **change)).drifted for _ in range(10)
    )
    assert found >= 9


def test_lower_scores_are_drift() -> None:
    rng = np.random.default_rng(5)
    window = [
        ObservedQuery(q.text, 10, tuple(s - 0.1 for s in q.scores)) for q in queries(rng, 200)
    ]
    assert "top score" in report(queries(rng, 200), window).drifted


def test_a_log_that_repeats_itself_brings_no_new_words() -> None:
    rng = np.random.default_rng(6)
    reference = queries(rng, 400)
    outcome = report(reference, reference[:200])
    (words,) = (f for f in outcome.features if f.name == NEW_WORDS)
    assert words.window["mean"] < words.reference["mean"]
    assert not words.drifted


def test_what_is_not_known_on_both_sides_is_left_out() -> None:
    rng = np.random.default_rng(7)
    bare = [ObservedQuery(q.text) for q in queries(rng, 100)]
    outcome = report(bare, queries(rng, 100))
    assert {"zero results", "top score", "margin"} <= set(outcome.left_out)
    assert "top score" in as_markdown(outcome)
    with pytest.raises(FeedbackError, match="too few"):
        report(bare[:10], bare[10:])


def test_a_snapshot_is_read_back_and_holds_no_word(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    asked = [*queries(rng, 100), ObservedQuery("my secret 비밀번호", 3, (1.0,))]
    first = take_reference(asked, source="then")
    path = tmp_path / "reference.json"
    write_snapshot(first, path)
    assert read_snapshot(path) == first
    assert "secret" not in path.read_text() and "비밀" not in path.read_text()
    path.write_text(json.dumps({**first.as_dict(), "version": 2}))
    with pytest.raises(FeedbackError, match="version 2"):
        read_snapshot(path)
    path.write_text("{}")
    with pytest.raises(FeedbackError, match="no snapshot"):
        read_snapshot(path)


def test_distinct_references_are_compared_with_distinct_queries() -> None:
    rng = np.random.default_rng(9)
    texts = [ObservedQuery(q.text) for q in queries(rng, 200)]
    first = take_reference(texts[:100], source="set", distinct=True)
    second = take_window([*texts[100:]] * 5, first, source="log")
    assert second.queries <= 100
    assert not drift_report(second, first).drifted


def test_reports_for_programs_and_people() -> None:
    rng = np.random.default_rng(10)
    outcome = report(queries(rng, 100), queries(rng, 100, words=8))
    values = json.loads(json.dumps(outcome.as_dict()))
    assert values["drift"] and "words" in values["drifted"]
    (feature,) = (f for f in values["features"] if f["name"] == "words")
    assert feature["test"] == "Kolmogorov-Smirnov" and feature["psi"] > 0.25
    text = as_markdown(outcome)
    assert "drift in words" in text and "**drift**" in text


def test_distances_have_their_bounds() -> None:
    first, second = np.array([10.0, 0.0]), np.array([0.0, 10.0])
    assert js_distance(first, second) == pytest.approx(1.0)
    assert js_distance(first, first) == 0.0
    assert stability_index(first, first) == 0.0
    # Shares .2/.8 against .4/.6 (counts large enough for the half that is added not to matter).
    expected = 0.2 * np.log(2) + (-0.2) * np.log(0.6 / 0.8)
    psi = stability_index(np.array([2e6, 8e6]), np.array([4e6, 6e6]))
    assert psi == pytest.approx(expected, rel=1e-4)
    assert compare_rates((2, 100), (8, 100)).distance == pytest.approx(0.2898, abs=1e-4)
    assert compare_categories({"a": 9}, {"a": 5}).p == 1.0
    assert compare_categories({"a": 500, "b": 1}, {"a": 500, "c": 1}).p == 1.0
    assert compare_numbers([1.0] * 60, [1.0] * 60).distance == 0.0


def test_holm_is_monotone() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9]) == [0.9]


def test_words_of_scripts_without_spaces_are_pairs() -> None:
    assert list(words_of("Lost CARD, lost 카드분실 E-4012")) == [
        *("lost", "card", "카드", "드분", "분실", "e", "4012"),
    ]


def test_words_that_no_document_holds() -> None:
    check = unknown_to(LexicalEncoder.fit(["the card is lost", "a card fee"]))
    assert check("lost card") == 0.0
    assert check("lost umbrella") == pytest.approx(0.5, abs=0.2)
    assert check("카드 분실") == 1.0
    assert check("the") is None
    first = take_reference([ObservedQuery("lost card")] * 60, source="x", in_index=check)
    second = take_window([ObservedQuery("umbrella")] * 60, first, source="y", in_index=check)
    assert UNKNOWN_WORDS in drift_report(second, first).drifted


def test_a_client_who_asks_again_counts_once() -> None:
    def asked(number: int, client: str | None, text: str = "Lost card") -> QueryEvent:
        moment = START + timedelta(minutes=number)
        return QueryEvent(f"q{number}", text, moment, client, attributes={"scores": [2, 1]})

    log = MemoryLog(
        [asked(0, "a"), asked(1, "a", "lost CARD"), asked(2, "b"), asked(3, None), asked(4, None)]
    )
    found = list(observed_in_log(log, Window()))
    assert len(found) == 4
    assert found[0].scores == (2.0, 1.0) and found[0].results == 0


def test_files_of_queries_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"_id": "1", "text": "lost card"}\n')
    for given in (path, tmp_path):
        found, distinct = observed_in_file(given)
        assert [q.text for q in found] == ["lost card"] and distinct
    path.write_text('{"query_id":"q","user_query":"x","timestamp":"2026-03-01T08:00:00Z"}\n')
    found, distinct = observed_in_file(path)
    assert [q.text for q in found] == ["x"] and not distinct
    path.write_text("lost card\n\nfee\n")
    found, distinct = observed_in_file(path)
    assert [q.text for q in found] == ["lost card", "fee"] and distinct
    path.write_text("\n")
    with pytest.raises(FeedbackError, match="empty"):
        observed_in_file(path)
