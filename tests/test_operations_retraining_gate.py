"""The gate: every rule, on both sides of its limit."""

from dataclasses import replace
from typing import Any

import pytest

from operations.retraining.evaluation import Cost, Finding, LegEvaluation, Role, SetFinding
from operations.retraining.gate import Rule, judge, parity_rule
from operations.retraining.job import GateSettings


def finding(production: float, candidate: float, p: float = 0.01, queries: int = 100) -> Finding:
    difference = candidate - production
    return Finding(queries, production, candidate, difference, difference, difference, p)


def entry(role: Role, found: Finding | None, name: str = "set") -> SetFinding:
    return SetFinding(name, role, {"ndcg@10": 0.5}, {}, found)


BETTER = finding(0.5, 0.6)
COST = Cost(query_ms=2.0, entries=80.0, passage_bytes=480.0)
LEG = LegEvaluation("sparse", (entry("frozen", BETTER),), BETTER, COST, replace(COST, query_ms=1.0))


def results(leg: LegEvaluation, **settings: Any) -> dict[str, str]:
    verdict = judge([leg], GateSettings(**settings))
    assert verdict.passed == all(rule.result != "broken" for rule in verdict.rules)
    return {rule.name: rule.result for rule in verdict.rules}


def test_a_better_candidate_passes() -> None:
    assert results(LEG) == {"min_gain": "kept", "p": "kept", "max_set_loss": "kept"}


@pytest.mark.parametrize(
    ("name", "limit", "broken"),
    [
        ("min_gain", 0.21, True),
        ("min_gain", 0.19, False),
        ("p", 0.005, True),
        ("p", 0.02, False),
        ("max_query_ms", 1.9, True),
        ("max_query_ms", 2.0, False),
        ("max_query_slowdown", 1.9, True),
        ("max_query_slowdown", 2.1, False),
        ("max_entries", 79, True),
        ("max_entries", 80, False),
        ("max_passage_bytes", 479, True),
        ("max_passage_bytes", 480, False),
    ],
)
def test_each_limit_holds(name: str, limit: float, broken: bool) -> None:
    assert results(LEG, **{name: limit})[name] == ("broken" if broken else "kept")


@pytest.mark.parametrize(
    ("role", "name"), [("frozen", "max_set_loss"), ("guard", "max_guard_loss")]
)
def test_a_loss_on_one_set_is_enough(role: Role, name: str) -> None:
    worse = entry(role, finding(0.5, 0.48), "filings/test")
    leg = replace(LEG, sets=(*LEG.sets, worse))
    verdict = judge([leg], GateSettings(**{name: 0.03}))
    assert not verdict.passed
    assert "NDCG@10 0.5000 → 0.4800 (−4.0 %) on filings/test" in verdict.reason
    assert judge([leg], GateSettings(**{name: 0.05})).passed


def test_no_significance_is_asked_for_at_one() -> None:
    leg = replace(LEG, pooled=finding(0.5, 0.6, p=1.0))
    assert "p" not in results(leg, p=1)
    assert results(leg, p=0.99)["p"] == "broken"


def test_little_feedback_decides_nothing() -> None:
    worse = entry("feedback", finding(0.5, 0.1, queries=10), "fresh feedback")
    leg = replace(LEG, sets=(*LEG.sets, worse))
    assert results(leg, min_feedback_queries=11)["max_feedback_loss"] == "not judged"
    assert results(leg, min_feedback_queries=10)["max_feedback_loss"] == "broken"


def test_a_leg_that_production_has_not_is_not_compared() -> None:
    leg = LegEvaluation("dense", (entry("frozen", None),), None, COST, None)
    assert results(leg, min_gain=5, max_query_slowdown=1) == {"min_gain": "not judged"}


def test_every_leg_must_keep_every_rule() -> None:
    dense = replace(LEG, leg="dense", pooled=finding(0.5, 0.4))
    verdict = judge([LEG, dense], GateSettings())
    assert not verdict.passed
    assert verdict.reason.startswith("dense: NDCG@10 0.5000 → 0.4000")


def test_a_figure_that_is_no_number_is_refused() -> None:
    assert parity_rule("dense-runtime", float("nan"), 0.1).result == "broken"
    assert parity_rule("dense-runtime", 0.05, 0.1).result == "kept"


def test_an_evaluation_is_read_back_as_it_was() -> None:
    assert LegEvaluation.from_dict(LEG.as_dict()) == LEG
    without = replace(LEG, pooled=None, production_cost=None)
    assert LegEvaluation.from_dict(without.as_dict()) == without


def test_a_verdict_is_json_ready() -> None:
    values = judge([LEG], GateSettings(min_gain=9)).as_dict()
    assert values["passed"] is False
    assert values["rules"][0] == Rule(**values["rules"][0]).as_dict()
