"""Who sees which arm, and whose document was clicked."""

from collections import Counter
from dataclasses import replace

import numpy as np
from experiment_samples import experiment
from hypothesis import given
from hypothesis import strategies as st

from operations.experiments.assigning import group_of, unit_of
from operations.experiments.interleaving import credit, team_draft

KEYS = [f"user-{number}" for number in range(20_000)]


def in_b(name: str, share: float, salt: str = "salt") -> set[str]:
    one = replace(experiment(share=share, name=name), salt=salt)
    return {key for key in KEYS if group_of(one, key) == "B"}


def test_the_share_is_met_and_a_larger_one_moves_nobody_back() -> None:
    small, large = in_b("one", 0.1), in_b("one", 0.3)
    assert small < large
    # Four standard errors of 20,000 users.
    assert abs(len(small) / len(KEYS) - 0.1) < 0.0085
    assert abs(len(large) / len(KEYS) - 0.3) < 0.013


def test_experiments_are_independent_of_each_other() -> None:
    one = in_b("one", 0.5)
    for other in (in_b("two", 0.5), in_b("one", 0.5, salt="other")):
        table = np.array(
            [
                [len(one & other), len(one - other)],
                [len(other - one), len(KEYS) - len(one | other)],
            ]
        )
        expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / len(KEYS)
        # Chi-square with one degree of freedom, p = 0.0001.
        assert ((table - expected) ** 2 / expected).sum() < 15.1


def test_the_same_user_is_always_on_the_same_side_on_every_machine() -> None:
    assert unit_of("salt", "docs-ab1", "user-1") == unit_of("salt", "docs-ab1", "user-1")
    # Written down: another implementation would move every user.
    assert round(unit_of("salt", "docs-ab1", "사용자"), 6) == 0.321044
    assert unit_of("a", "bc", "d") != unit_of("ab", "c", "d")


def test_interleaved_users_see_both() -> None:
    one = experiment(method="interleaving", share=0.4)
    groups = Counter(group_of(one, key) for key in KEYS[:2000])
    assert set(groups) == {"A", "interleaved"}
    whole = experiment(method="interleaving", share=1.0)
    assert {group_of(whole, key) for key in KEYS[:2000]} == {"interleaved"}


ids = st.lists(st.integers(0, 15).map(str), unique=True, max_size=12)


@given(ids, ids, st.integers(1, 12), st.text(max_size=5))
def test_team_draft(a: list[str], b: list[str], size: int, seed: str) -> None:
    mixed = team_draft(a, b, size, seed)
    assert mixed == team_draft(a, b, size, seed)
    assert len(mixed.ids) == len(set(mixed.ids)) == len(mixed.teams)
    assert len(mixed.ids) == min(size, len({*a, *b}))
    for team, ranking in (("A", a), ("B", b)):
        picked = [one for one, t in zip(mixed.ids, mixed.teams, strict=True) if t == team]
        # Each captain picks the best that is left, so a team is in its own ranking's order.
        assert picked == [one for one in ranking if one in picked]
    exhausted = len({*a, *b}) <= size
    if not exhausted:
        rounds = [mixed.teams[i : i + 2] for i in range(0, len(mixed.teams) - 1, 2)]
        full = min(len(a), len(b)) >= size
        assert not full or all(set(pair) == {"A", "B"} for pair in rounds)


def test_coins_are_fair_and_differ_between_queries() -> None:
    ranking = [str(number) for number in range(10)]
    firsts = Counter(team_draft(ranking, ranking, 10, f"q{n}").teams[0] for n in range(4000))
    assert abs(firsts["A"] / 4000 - 0.5) < 0.032


def test_credit_goes_to_the_team_once_per_document() -> None:
    assert credit("ABBA", [1, 1, 4]).win == -1
    assert credit("ABBA", [2, 3, 4]).win == 1
    assert credit("ABBA", [1, 2]).win == 0
    assert credit("ABBA", []).win == 0
    assert credit("AB", [7, 2]) == credit("AB", [2])
