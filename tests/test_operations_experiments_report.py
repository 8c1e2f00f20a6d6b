"""From a log to a verdict."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from experiment_samples import START, MemoryLog, click, experiment, query

from operations.experiments.columns import per_user
from operations.experiments.estimates import Estimate, difference, ratio, widened
from operations.experiments.experiment import Experiment, Look, Phase, from_document
from operations.experiments.power import Baseline, assumed_baseline, plan_users, power_with
from operations.experiments.reading import read_before, read_experiment
from operations.experiments.report import Report, as_dict, evaluate
from operations.experiments.sample_ratio import sample_ratio
from operations.experiments.starting import with_share
from operations.experiments.wording import conclusion, next_step, table, warnings


def log_of(rates: dict[str, float], users: int = 200, seed: int = 1, **attributes) -> MemoryLog:
    """Two queries per user; a click on one of the first three with the arm's own chance."""
    random = np.random.default_rng(seed)
    log = MemoryLog()
    for number in range(2 * users):
        arm = list(rates)[(number // 2) % len(rates)]
        log.stored_queries.append(query(number, f"u{number // 2}", arm, **attributes))
        if random.random() < rates[arm]:
            log.stored_events.append(click(number, f"d{random.integers(1, 4)}"))
    return log


def report_on(log: MemoryLog, one: Experiment) -> Report:
    return evaluate(one, read_experiment(log, one), START + timedelta(days=1))


def test_metrics_of_a_small_log_by_hand() -> None:
    log = MemoryLog(
        [
            query(1, "ann"),
            query(2, "ann"),
            query(3, "bob", shown=0),
            query(4, "eve", "B", latency_ms=60.0),
            query(5, "eve", "B"),
        ],
        [
            click(1, "d4", second=5),
            click(1, "d2", second=2),
            click(1, "d2", second=9),
            click(4, "d1"),
            click(4, None, position=3),
            click(5, "d1", action="judgement"),
            click(5, "d99"),
        ],
    )
    one = experiment(cutoff=3)
    columns = read_experiment(log, one)
    a, b = per_user(columns)
    values = {name: (ratio(*a.sums[name]).value, ratio(*b.sums[name]).value) for name in a.sums}
    assert (a.users, b.users, a.queries, b.queries) == (2, 1, 3, 2)
    assert values["clicks"] == (2 / 3, 1.0)
    assert values["ctr"] == (1 / 3, 0.5)
    assert values["mrr"] == (pytest.approx(1 / 6), 0.5)  # the first click in time was on d2
    assert values["abandonment"] == (0.5, 0.5)
    assert values["zero_results"] == (1 / 3, 0.0)
    assert values["latency_ms"] == (20.0, 40.0)
    assert columns.counts == {"clicks on what was not shown": 1}


def test_other_experiments_and_unknown_users_are_left_out() -> None:
    strange = query(1, "ann", experiment="other")
    nobody = replace(query(2, "x"), client_id=None)
    before = replace(query(3, "bob"), timestamp=START - timedelta(days=1))
    log = MemoryLog([strange, nobody, before, query(4, "eve")])
    columns = read_experiment(log, experiment())
    assert (columns.users, len(columns)) == (1, 1)
    assert columns.counts == {"without a user": 1}
    assert len(read_before(log, "docs", START, 10)) == 2
    assert len(read_before(log, "papers", START, 10)) == 0


def test_the_delta_method_agrees_with_resampled_users() -> None:
    random = np.random.default_rng(4)
    queries = random.integers(1, 9, 400).astype(float)
    clicks = random.binomial(queries.astype(int), random.beta(2, 3, 400)).astype(float)
    estimate = ratio(clicks, queries)
    drawn = random.integers(0, 400, (4000, 400))
    means = clicks[drawn].sum(1) / queries[drawn].sum(1)
    assert estimate.value == clicks.sum() / queries.sum()
    assert estimate.error == pytest.approx(means.std(), rel=0.06)
    # Queries taken as independent would claim to know more.
    naive = np.sqrt(estimate.value * (1 - estimate.value) / queries.sum())
    assert estimate.error > 1.2 * naive


def test_a_large_difference_is_found_and_stays_found() -> None:
    log = log_of({"A": 0.3, "B": 0.6})
    report = report_on(log, experiment(planned_users=250))
    assert report.verdict == "B is better"
    assert report.primary.name == "ctr"
    low, high = report.primary.interval
    assert 0 < low < 0.3 < high
    assert "tandem ab promote docs" in next_step(report)
    assert "CTR@10 differs by +" in conclusion(report)
    assert len(report.experiment.looks) == 1
    # The opposite comes in afterwards: a test that has ended is not reopened.
    again = report_on(log_of({"A": 0.6, "B": 0.3}), report.experiment)
    assert again.verdict == "B is better"
    assert again.look is None


def test_lower_is_better_for_some_metrics() -> None:
    report = report_on(
        log_of({"A": 0.3, "B": 0.6}), experiment(planned_users=250, metric="abandonment")
    )
    assert report.primary.difference.value < 0
    assert report.verdict == "B is better"


def test_no_difference_that_matters_futile_undecided_and_keep_running() -> None:
    log = log_of({"A": 0.5, "B": 0.5}, users=1000)
    verdicts = {
        effect: report_on(log, experiment(planned_users=planned, minimum_effect=effect)).verdict
        for effect, planned in ((0.2, 1000), (0.001, 1000), (0.05, 1500), (0.05, 90_000))
    }
    assert verdicts[0.2] == "no difference that matters"
    assert verdicts[0.001] == "undecided"
    close = report_on(log, experiment(planned_users=1100, minimum_effect=0.04))
    assert close.verdict == "futile"
    early = report_on(log, experiment(planned_users=50_000, minimum_effect=0.04))
    assert early.verdict == "keep running"


def test_looks_are_kept_and_close_ones_are_one() -> None:
    log = log_of({"A": 0.4, "B": 0.42}, users=300)
    first = report_on(log, experiment(planned_users=3000, minimum_effect=0.01))
    assert first.verdict == "keep running"
    assert [look.users for look in first.experiment.looks] == [300]
    same = report_on(log, first.experiment)
    assert same.look is None
    assert same.bound == first.bound
    more = log_of({"A": 0.4, "B": 0.42}, users=320)
    assert report_on(more, first.experiment).look is None
    later = report_on(log_of({"A": 0.4, "B": 0.42}, users=900), first.experiment)
    assert [look.users for look in later.experiment.looks] == [300, 900]
    assert later.bound < first.bound


def test_too_few_users_give_no_interval() -> None:
    report = report_on(log_of({"A": 0.1, "B": 0.9}, users=60), experiment())
    assert report.verdict == "keep running"
    assert report.primary.interval is None
    assert report.bound is None
    assert "too few users" in conclusion(report)
    assert "too early" in str(table(report))


def test_nothing_logged_is_a_report_too() -> None:
    for method in ("split", "interleaving"):
        report = report_on(MemoryLog(), experiment(method=method))
        assert report.verdict == "keep running"
        assert as_dict(report)["users"] == {"A": 0, "B": 0}
        assert table(report)


def test_a_sample_ratio_mismatch_is_loud_and_spends_nothing() -> None:
    report = report_on(log_of({"A": 0.3, "B": 0.9}), experiment(share=0.1))
    assert report.verdict == "invalid"
    assert report.experiment.looks == ()
    assert conclusion(report).startswith("INVALID")
    assert "10 % of the users" in conclusion(report)


def test_sample_ratio() -> None:
    assert sample_ratio(900, 100, 0.1).p == pytest.approx(1.0)
    assert sample_ratio(5000, 5000, 0.5).p == 1.0
    # χ² = 4 with one degree of freedom.
    assert sample_ratio(5100, 4900, 0.5).p == pytest.approx(0.0455, abs=1e-4)
    assert sample_ratio(1, 500, 1.0).mismatch
    assert not sample_ratio(0, 500, 1.0).mismatch


def test_interleaving_counts_wins_per_user() -> None:
    log = MemoryLog()
    for number in range(400):
        teams = "ABBAABABBA" if number % 2 else "BAABBABAAB"
        log.stored_queries.append(
            query(number, f"u{number // 2}", "interleaved", teams=teams, experiment="docs-ab1")
        )
        if number % 4:
            wanted = "A" if number % 16 == 1 else "B"
            log.stored_events.append(click(number, f"d{teams.index(wanted) + 1}"))
    one = experiment(method="interleaving", share=1.0, planned_users=210)
    report = report_on(log, one)
    assert report.verdict == "B is better"
    assert (report.wins.a, report.wins.b, report.wins.ties) == (25, 275, 0)
    assert report.primary.a is None
    assert report.primary.b.value == pytest.approx(250 / 300)


def test_a_new_share_begins_a_phase_with_the_error_that_is_left() -> None:
    look = Look(START, 500, 0.5, 100.0, 3.0, 0.5, "keep running")
    one = replace(experiment(), looks=(look,))
    changed = with_share(one, 0.8)
    assert (changed.share, changed.looks, len(changed.phases)) == (0.8, (), 2)
    assert 0.04 < changed.phase.alpha < 0.05
    assert changed.plan.planned_users == 1563  # 0.25 / 0.16 of 1000
    assert with_share(one, one.share) is one
    over = replace(one, looks=(replace(look, verdict="futile"),))
    with pytest.raises(Exception, match="needs a new experiment"):
        with_share(over, 0.8)


def test_an_experiment_survives_its_document() -> None:
    look = Look(START, 500, 0.5, 100.0, 3.0, 0.5, "keep running")
    one = replace(experiment(), looks=(look,), phases=(Phase(START, 0.1, 0.05),) * 2)
    assert from_document(one.as_document()) == one
    ended = one.ends("stopped", "why")
    assert from_document(ended.as_document()) == ended


def test_warnings_name_what_went_wrong() -> None:
    log = log_of({"A": 0.4, "B": 0.4}, users=400, fallback=True)
    report = report_on(log, experiment(planned_users=1000, minimum_effect=0.02))
    found = " ".join(warnings(report))
    assert "Arm A answered 800 queries" in found
    assert "differ more than planned" in found


def test_users_that_a_plan_needs() -> None:
    plan = experiment(minimum_effect=0.02).plan
    baseline = assumed_baseline("ctr", 0.3, 1, users_per_day=500)
    needed = plan_users(plan, "split", 0.5, baseline)
    # The textbook's 2 (z₁₋α/₂ + z₁₋β)² σ² / δ² per arm.
    # ... with arm B's variance larger as its value, 0.32 / 0.3.
    growth = 1 + 0.02 / 0.3
    textbook = 2 * (1 + growth) * (1.959964 + 0.841621) ** 2 * 0.21 / 0.02**2
    assert needed.without_looks == pytest.approx(textbook, abs=2)
    assert 1.03 < needed.users / needed.without_looks < 1.12
    assert needed.days == pytest.approx(needed.users / 500)
    assert dict(needed.curve)[0.02] == pytest.approx(0.8, abs=1e-3)
    unequal = plan_users(plan, "split", 0.1, baseline)
    assert unequal.users == pytest.approx(
        needed.users * (1 / 0.9 + growth / 0.1) / (2 + 2 * growth), rel=1e-3
    )
    mixed = plan_users(plan, "interleaving", 0.1, Baseline(0.0, 0.9, None, ""))
    assert mixed.of_all == pytest.approx(10 * mixed.users, abs=10)
    found = power_with(needed.users, 0.02, plan, method="split", share=0.5, baseline=baseline)
    assert found == pytest.approx(0.8, abs=1e-3)


def test_what_cannot_be_planned() -> None:
    plan = experiment().plan
    with pytest.raises(Exception, match="nothing bounds latency_ms"):
        assumed_baseline("latency_ms", None, 1, None)
    with pytest.raises(Exception, match="between 0 and 1"):
        assumed_baseline("ctr", 3.0, 1, None)
    with pytest.raises(Exception, match="share"):
        plan_users(plan, "split", 1.0, Baseline(0.5, 0.5, None, ""))
    with pytest.raises(Exception, match="unknown metric"):
        experiment(metric="happiness")


def test_difference_without_error_tells_nothing() -> None:
    same = ratio(np.ones(3), np.ones(3))
    assert difference(same, same).z == 0.0


def test_few_users_widen_the_interval() -> None:
    # Student's t with 49 degrees of freedom: 97.5 % at 2.0096.
    assert widened(1.959964, 49) == pytest.approx(2.0096, abs=1e-4)
    assert widened(1.959964, math.inf) == 1.959964
    assert 8 < widened(8.0, 1000) < 8.3
    a, b = Estimate(0.5, 1.0, 900), Estimate(0.6, 1.0, 100)
    found = difference(a, b)
    assert 99 < found.freedom < 130
    assert found.interval(2.0)[0] < found.value - 2.0 * found.error
