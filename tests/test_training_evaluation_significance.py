from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from training.errors import EvaluationError
from training.evaluation.significance import (
    Pair,
    bootstrap_intervals,
    compare,
    compare_all,
    format_p,
    holm,
    paired_t_p,
    percent,
    randomisation_p,
)


def pair(system: Iterable[float], baseline: Iterable[float]) -> Pair:
    return Pair("hybrid", "bm25", "ndcg@10", list(system), list(baseline))


def noisy(shift: float, n: int = 200, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 0.6, n)
    return pair(base + shift + rng.normal(0, 0.1, n), base)


def test_holm_by_hand() -> None:
    # Sorted: .01 x 4, .02 x 3, .03 x 2, .5 x 1; each at least as large as the one before.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([0.7, 0.9, 0.8]) == [1.0, 1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_raw_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for raw, p in zip(p_values, corrected, strict=True):
        assert raw <= p <= min(1.0, raw * len(p_values)) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(corrected)[order]) >= 0)


def test_the_t_test_is_scipys() -> None:
    sample = noisy(0.02, n=40)
    expected = stats.ttest_rel(sample.system_values, sample.baseline_values).pvalue
    assert paired_t_p(sample.differences()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("differences", "p"), [([0.3], 1.0), ([0.0, 0.0, 0.0], 1.0), ([0.2, 0.2, 0.2], 0.0)]
)
def test_the_t_test_where_nothing_varies(differences: list[float], p: float) -> None:
    assert paired_t_p(np.array(differences)) == p


def test_the_randomisation_test_against_all_sign_assignments() -> None:
    differences = np.array([0.4, 0.1, 0.3, -0.1, 0.2, 0.5, 0.25, 0.05])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1).T
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    sampled = randomisation_p(differences[:, None], seed=3, resamples=40_000)[0]
    assert sampled == pytest.approx(exact, abs=0.004)


def test_the_bootstrap_interval_agrees_with_the_normal_one_on_a_large_sample() -> None:
    differences = np.random.default_rng(5).normal(0.05, 0.2, 2_000)
    low, high = bootstrap_intervals(differences[:, None], seed=1, resamples=4_000)
    half = 1.96 * differences.std(ddof=1) / np.sqrt(2_000)
    assert low[0] == pytest.approx(differences.mean() - half, abs=0.001)
    assert high[0] == pytest.approx(differences.mean() + half, abs=0.001)


def test_the_same_seed_gives_the_same_numbers_and_another_does_not() -> None:
    sample = noisy(0.01, n=50)
    assert compare(sample) == compare(sample)
    assert compare(sample, seed=1).p_randomisation != compare(sample, seed=2).p_randomisation


def test_a_pair_has_the_same_uncorrected_numbers_alone_and_among_others() -> None:
    alone, together = compare(noisy(0.01)), compare_all([noisy(0.01), noisy(0.5, seed=1)])[0]
    assert alone.p_randomisation == together.p_randomisation
    assert alone.ci_low == pytest.approx(together.ci_low, abs=1e-12)
    assert together.p_holm >= alone.p_holm


def test_counts_means_and_verdicts() -> None:
    found = compare(pair([0.5, 0.6, 0.2, 0.9], [0.5, 0.4, 0.3, 0.5]))
    assert (found.wins, found.ties, found.losses, found.n) == (2, 1, 1, 4)
    assert found.difference == pytest.approx(0.125)
    assert found.relative == pytest.approx(0.125 / 0.425)
    assert found.verdict() == "within noise"
    assert "differs from bm25 within noise" in found.sentence()


def test_clear_gains_and_losses_are_called_so() -> None:
    better, worse = compare(noisy(0.1)), compare(noisy(-0.1))
    assert (better.verdict(), worse.verdict()) == ("better", "worse")
    assert better.ci_low > 0 > worse.ci_high
    assert "hybrid is better than bm25: NDCG@10" in better.sentence()
    assert "p < .001" in better.sentence()


def test_a_gain_that_chance_explains_is_within_noise() -> None:
    # Pure noise around 0 whose mean happens to be positive.
    values = np.random.default_rng(11).normal(0, 0.2, 150)
    values += 0.01 - values.mean()
    found = compare(pair(values + 0.5, np.full(150, 0.5)))
    assert found.difference > 0
    assert found.verdict() == "within noise"


def test_correction_can_turn_a_gain_into_noise() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(0, 0.2, 100)
    values += 0.043 - values.mean()
    single = pair(values + 0.5, np.full(100, 0.5))
    assert compare(single).verdict() == "better"
    assert {c.verdict() for c in compare_all([single] * 12)} == {"within noise"}


def test_equal_systems_show_no_difference() -> None:
    found = compare(pair([0.2, 0.4], [0.2, 0.4]))
    assert (found.verdict(), found.p_randomisation, found.p_t) == ("no difference", 1.0, 1.0)
    assert found.sentence() == "hybrid and bm25 are equal in NDCG@10 on every query."


def test_a_baseline_of_zero_has_no_relative_gain() -> None:
    found = compare(pair([0.5, 0.5], [0.0, 0.0]))
    assert found.relative is None
    assert found.as_dict()["relative"] is None
    assert "+0.500" in found.sentence()


def test_pairs_must_match() -> None:
    with pytest.raises(EvaluationError, match="2 values of ndcg@10, bm25 has 1"):
        pair([0.1, 0.2], [0.1])
    with pytest.raises(EvaluationError, match="at least one query"):
        pair([], [])
    with pytest.raises(EvaluationError, match="same queries"):
        compare_all([pair([0.1], [0.2]), pair([0.1, 0.2], [0.2, 0.3])])
    assert compare_all([]) == []


def test_how_p_values_and_shares_are_written() -> None:
    assert format_p(0.0004) == "p < .001"
    assert format_p(0.0123) == "p = .012"
    assert format_p(0.0498) == "p = .0498"
    assert format_p(1.0) == "p = 1.000"
    assert (percent(0.042), percent(-0.003)) == ("+4.2 %", "−0.3 %")
