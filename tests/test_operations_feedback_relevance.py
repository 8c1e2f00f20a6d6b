"""Clicks with a known position bias: the weighted estimate is right where raw counts are not."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from feedback_samples import START, MemoryLog, Users, click

from operations.feedback.errors import FeedbackError
from operations.feedback.events import QueryEvent, UserEvent
from operations.feedback.evidence import EvidenceOptions, gather
from operations.feedback.propensity import (
    PositionBias,
    RankCounts,
    estimate,
    position_bias,
)
from operations.feedback.relevance import RelevanceModel, RelevanceOptions

# The best document stands last, where hardly anybody looks.
ATTRACTION = {"top": 0.25, "b": 0.1, "c": 0.05, "d": 0.1, "e": 0.02, "last": 0.9}


def graded(log: MemoryLog, eta: float | None = None, **options):
    evidence = gather(log, EvidenceOptions(min_clients=1))
    bias = position_bias((pair.counts for pair in evidence.pairs()), eta)
    model = RelevanceModel.of(evidence.pairs(), bias, RelevanceOptions(**options))
    return evidence, model


@pytest.mark.parametrize("seed", range(5))
def test_weighting_ranks_rightly_where_raw_clicks_do_not(seed: int) -> None:
    log = Users(ATTRACTION, eta=1.0, seed=seed).log(["lost card"], 400)
    evidence, model = graded(log, eta=1.0)
    (query,) = evidence.queries
    clicks = {doc: pair.clicks for doc, pair in query.documents.items()}
    assert clicks["top"] > clicks["last"]  # what counting says, and it is wrong
    found = model.grade(query)
    ranked = sorted(found, key=lambda doc: -found[doc].score)
    assert ranked[:2] == ["last", "top"]
    assert found["last"].score == pytest.approx(0.9, abs=0.2)
    assert found["top"].score == pytest.approx(0.25, abs=0.08)
    assert (found["last"].grade, found["e"].grade) == (3, 0)
    assert found["e"].hard_negative


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 1.5])
def test_the_bias_is_estimated_from_what_stood_at_several_ranks(eta: float) -> None:
    log = Users(ATTRACTION, eta=eta, swaps=1.5, seed=3).log(["a b", "b c", "c d"], 500)
    found = estimate(p.counts for p in gather(log, EvidenceOptions(min_clients=1)).pairs())
    assert found.standard_error < 0.15
    assert found.eta == pytest.approx(eta, abs=max(0.1, 3 * found.standard_error))


def test_the_interval_of_the_estimate_holds_the_truth() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(100):
        pairs = [_pair(rng, attraction) for attraction in rng.uniform(0.05, 0.9, 40)]
        found = estimate(pairs)
        inside += abs(found.eta - 0.8) < 1.96 * found.standard_error
    assert inside >= 88


def _pair(rng, attraction: float) -> RankCounts:
    ranks = tuple(sorted(rng.choice(np.arange(1, 11), 3, replace=False).tolist()))
    shown = tuple(rng.integers(5, 60, 3).tolist())
    chances = [attraction * rank**-0.8 for rank in ranks]
    clicked = tuple(int(rng.binomial(n, p)) for n, p in zip(shown, chances, strict=True))
    return RankCounts(ranks, shown, clicked)


def test_a_log_that_cannot_tell_says_so() -> None:
    fixed = [RankCounts((1,), (100,), (40,)), RankCounts((2,), (100,), (10,))]
    found = position_bias(fixed)
    assert (found.eta, found.source, found.clicks) == (1.0, "default", 0)
    few = position_bias([RankCounts((1, 5), (10, 10), (4, 2))])
    assert (few.source, few.clicks) == ("default", 6)
    assert position_bias(fixed, 0.4).source == "given"
    with pytest.raises(FeedbackError, match="allowed: 0"):
        PositionBias(-1)


def test_propensities_fall_with_the_rank_and_are_clipped() -> None:
    bias = PositionBias(1.0)
    assert bias.propensities([1, 2, 4]).tolist() == [1, 0.5, 0.25]
    assert bias.propensities([100], clip=10).tolist() == [0.1]


def test_few_impressions_are_no_evidence() -> None:
    few = Users({"a": 1.0, "b": 0.0}, eta=0.0).log(["x"], 4)
    _, model = graded(few, eta=0.0)
    evidence, _ = graded(few)
    assert all(r.grade is None for r in model.grade(evidence.queries[0]).values())
    enough = Users({"a": 1.0, "b": 0.0}, eta=0.0).log(["x"], 30)
    evidence, model = graded(enough, eta=0.0)
    found = model.grade(evidence.queries[0])
    assert (found["a"].grade, found["b"].grade) == (3, 0)
    assert not found["b"].hard_negative  # it stood below what was clicked


def test_one_lucky_click_at_the_bottom_is_not_the_best() -> None:
    """Without the lower bound, one click at rank 10 would beat forty at the top."""
    log = Users({"good": 0.4, **{f"n{i}": 0.0 for i in range(9)}}, eta=1.0).log(["x"], 100)
    lucky = [click(log.asked[0], "n8"), click(log.asked[1], "n8")]
    evidence, model = graded(MemoryLog(log.asked, [*log.done, *lucky]), eta=1.0)
    found = model.grade(evidence.queries[0])
    assert found["good"].grade == 3
    assert (found["n8"].grade or 0) < 3


def asked(number: int, client: str, text: str = "x", shown=("a", "b")) -> QueryEvent:
    moment = START + timedelta(minutes=number)
    return QueryEvent(f"q{number}", text, moment, client_id=client, shown=shown)


def test_a_client_counts_once_per_query_and_document() -> None:
    queries = [asked(n, "robot") for n in range(50)] + [asked(99, "anna")]
    log = MemoryLog(queries, [click(q, "b") for q in queries[:50]])
    (query,) = gather(log, EvidenceOptions(min_clients=1)).queries
    assert (query.documents["b"].impressions, query.documents["b"].clicks) == (2, 1)
    assert query.documents["a"].skips == 1


def test_the_first_sight_counts_whatever_the_order_of_the_log() -> None:
    first, second = asked(0, "anna"), asked(1, "anna", shown=("b", "a"))
    for queries in ([first, second], [second, first]):
        log = MemoryLog(queries, [click(second, "b")])
        (query,) = gather(log, EvidenceOptions(min_clients=1)).queries
        assert query.documents["b"].counts == RankCounts((2,), (1,), (0,))


def test_robots_are_left_out() -> None:
    queries = [asked(n, "robot", f"query {n}") for n in range(20)] + [asked(21, "anna", "query 1")]
    evidence = gather(MemoryLog(queries), EvidenceOptions(min_clients=1, robot_queries=10))
    assert evidence.counts["queries of robots"] == 20
    assert len(evidence.queries) == 1


def test_queries_of_few_clients_are_left_out() -> None:
    queries = [asked(n, f"c{n}") for n in range(3)] + [asked(9, "c0", "secret")]
    evidence = gather(MemoryLog(queries), EvidenceOptions(min_clients=2))
    assert [query.text for query in evidence.queries] == ["x"]
    assert evidence.counts["queries of too few clients"] == 1


def test_unknown_clients_are_one_or_each_its_own() -> None:
    queries = [replace(asked(n, ""), client_id=None) for n in range(4)]
    options = EvidenceOptions(min_clients=1)
    (one,) = gather(MemoryLog(queries), options).queries
    (each,) = gather(MemoryLog(queries), replace(options, unidentified="each")).queries
    assert (one.documents["a"].impressions, each.documents["a"].impressions) == (1, 4)


def test_other_indices_other_actions_and_strange_clicks_do_not_count() -> None:
    here, there = replace(asked(0, "a"), index="docs"), replace(asked(1, "b"), index="other")
    done = [click(here, "a", action_name="hover"), click(here, "unseen"), click(here, "b")]
    evidence = gather(MemoryLog([here, there], done), EvidenceOptions("docs", min_clients=1))
    (query,) = evidence.queries
    assert evidence.counts["actions on what was not shown"] == 1
    assert (query.documents["a"].clicks, query.documents["b"].clicks) == (0, 1)


def test_pages_go_on_counting_ranks() -> None:
    second = replace(asked(0, "anna"), attributes={"offset": 10})
    (query,) = gather(MemoryLog([second]), EvidenceOptions(min_clients=1)).queries
    assert query.documents["a"].counts.ranks == (11,)


def test_judgements_override_clicks() -> None:
    log = Users({"clicked": 0.9, "judged": 0.0}, eta=0.0).log(["x"], 40)

    def judge(doc: str, grade: float, who: str, minute: int = 0) -> UserEvent:
        moment = START + timedelta(days=1, minutes=minute)
        attributes = {"grade": grade}
        return UserEvent("judgement", moment, "s0", who, object_id=doc, attributes=attributes)

    judgements = [
        judge("clicked", 3, "editor"),
        judge("clicked", 0, "editor", 1),  # thought better of it
        judge("judged", 2, "editor"),
        judge("judged", 3, "expert"),
        judge("never shown", 1, "expert"),
    ]
    evidence, model = graded(MemoryLog(log.asked, [*log.done, *judgements]), eta=0.0)
    found = model.grade(evidence.queries[0])
    assert {doc: r.grade for doc, r in found.items()} == {
        "clicked": 0,
        "judged": 2,
        "never shown": 1,
    }
    assert found["clicked"].hard_negative and all(r.judged for r in found.values())


@pytest.mark.parametrize("wrong", [{"clip": 0.5}, {"smoothing": 0}, {"confidence": 1}])
def test_impossible_options_are_refused(wrong: dict) -> None:
    with pytest.raises(FeedbackError, match="clip"):
        RelevanceOptions(**wrong)
