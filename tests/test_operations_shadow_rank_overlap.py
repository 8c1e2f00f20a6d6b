"""Rank-biased overlap against its definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.shadow.rank_overlap import overlap_at, rank_biased_overlap

DEEP = 3000
rankings = st.lists(st.sampled_from("abcdefghij"), max_size=8, unique=True)
persistence = st.sampled_from([0.5, 0.9, 0.98])


def by_definition(first: str, second: str, p: float) -> float:
    """The sum of the paper, the agreement beyond the ends assumed to go on as it was."""
    shorter, longer = sorted((first, second), key=len)
    s, end = len(shorter), len(longer)
    common = [0.0] + [float(len(set(shorter[:d]) & set(longer[:d]))) for d in range(1, end + 1)]
    total = 0.0
    for d in range(1, DEEP):
        if d <= end:
            agreement = (common[d] + (common[s] * (d - s) / s if d > s else 0)) / d
        else:
            agreement = (common[end] + common[s] * (end - s) / s) / end
        total += (1 - p) * p ** (d - 1) * agreement
    return total


@given(rankings.filter(bool), rankings.filter(bool), persistence)
def test_extrapolation_is_the_sum_of_the_paper(first, second, p: float) -> None:
    found = rank_biased_overlap(first, second, p)
    assert found.extrapolated == pytest.approx(by_definition(first, second, p), abs=1e-9)


@given(rankings, rankings, persistence)
def test_the_overlap_is_symmetric_and_bounded(first, second, p: float) -> None:
    found = rank_biased_overlap(first, second, p)
    assert found == rank_biased_overlap(second, first, p)
    assert 0 <= found.least <= found.extrapolated + 1e-9 <= 1 + 2e-9


@given(rankings.filter(bool), persistence)
def test_equal_rankings_overlap_wholly(ranking, p: float) -> None:
    assert rank_biased_overlap(ranking, ranking, p).extrapolated == pytest.approx(1.0)
    other = [letter.upper() for letter in ranking]
    assert rank_biased_overlap(ranking, other, p).extrapolated == 0.0


@given(rankings.filter(bool), rankings.filter(bool), rankings, persistence)
def test_the_lower_bound_holds_whatever_follows(first, second, rest, p: float) -> None:
    """Both rankings go on somehow; the overlap of the longer ones is at least the bound."""
    least = rank_biased_overlap(first, second, p).least
    going_on = [[*r, *(x for x in rest if x not in r)] for r in (first, second)]
    if len(going_on[0]) == len(going_on[1]):
        known = sum(
            (1 - p) * p ** (d - 1) * len(set(going_on[0][:d]) & set(going_on[1][:d])) / d
            for d in range(1, len(going_on[0]) + 1)
        )
        last = len(set(going_on[0]) & set(going_on[1]))
        deep = sum((1 - p) * p ** (d - 1) * last / d for d in range(len(going_on[0]) + 1, DEEP))
        assert least <= known + deep + 1e-9


def test_a_worked_example() -> None:
    # Agreement 0/1, 2/2: (1-p)(p) + extrapolation 1 * p^2, at p = 0.5.
    assert rank_biased_overlap("ab", "ba", 0.5).extrapolated == pytest.approx(0.25 + 0.25)
    # Lower bound: 2 common from depth 2 on, sum_{d>=2} (1/2)^d 2/d = 2 (ln 2 - 1/2).
    assert rank_biased_overlap("ab", "ba", 0.5).least == pytest.approx(2 * (math.log(2) - 0.5))


def test_the_top_weighs_more() -> None:
    base = "abcdefghij"
    swapped_top = rank_biased_overlap(base, "bacdefghij").extrapolated
    swapped_end = rank_biased_overlap(base, "abcdefghji").extrapolated
    assert swapped_top < swapped_end


def test_empty_rankings() -> None:
    assert rank_biased_overlap([], []).extrapolated == 1.0
    assert rank_biased_overlap([], ["a"]).extrapolated == 0.0
    assert (overlap_at([], [], 3), overlap_at([], ["a"], 3)) == (1.0, 0.0)


def test_overlap_at_k() -> None:
    assert overlap_at("abcd", "acxy", 1) == 1.0
    assert overlap_at("abcd", "acxy", 2) == 0.5
    assert overlap_at("abcd", "acxy", 4) == 0.5
    assert overlap_at("ab", "abcd", 4) == 0.5


@pytest.mark.parametrize("p", [0.0, 1.0, -1])
def test_impossible_persistence(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        rank_biased_overlap("a", "b", p)


def test_the_first_ten_ranks_carry_86_percent() -> None:
    # Equation 21 of the paper: what the documentation says of p = 0.9.
    p, depth = 0.9, 10
    tail = sum(p**i / i for i in range(1, depth))
    weight = 1 - p ** (depth - 1) + (1 - p) / p * depth * (math.log(1 / (1 - p)) - tail)
    assert weight == pytest.approx(0.86, abs=0.005)
