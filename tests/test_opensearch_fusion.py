"""Fusion: weights, bounds, and the formulas the server uses."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch.errors import SettingsError
from opensearch.fusion import (
    LEGS,
    METHODS,
    Bounds,
    Fusion,
    dense_bounds,
    fuse,
    parse_weights,
    scaled,
)

EQUAL = {"bm25": 1.0, "dense": 1.0, "sparse": 1.0}


@pytest.mark.parametrize(
    ("weights", "legs", "normalised"),
    [
        pytest.param({"bm25": 3, "dense": 6, "sparse": 1}, LEGS, [0.3, 0.6, 0.1], id="ratios"),
        pytest.param(EQUAL, LEGS, [0.333334, 0.333333, 0.333333], id="thirds"),
        pytest.param(
            {"bm25": 0.3, "dense": 0.6}, ["bm25", "dense"], [0.333333, 0.666667], id="two"
        ),
        pytest.param({"bm25": 0.3, "dense": 0.6}, LEGS, [0.333333, 0.666667, 0.0], id="no weight"),
        pytest.param({"sparse": 7}, ["sparse"], [1.0], id="one leg"),
    ],
)
def test_weights_of_the_legs_that_take_part(weights, legs, normalised) -> None:
    assert Fusion(weights=weights).normalised_weights(legs) == normalised


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=3).filter(lambda w: sum(w) > 1e-300))
def test_weights_always_sum_to_one_and_none_is_negative(raw: list[float]) -> None:
    legs = LEGS[: len(raw)]
    weights = Fusion(weights=dict(zip(legs, raw, strict=True))).normalised_weights(legs)
    assert sum(Decimal(str(weight)) for weight in weights) == 1
    assert min(weights) >= 0


def test_rounding_never_makes_a_weight_negative() -> None:
    weights = Fusion(weights={"bm25": 5, "dense": 9_999_995, "sparse": 0}).normalised_weights(LEGS)
    assert min(weights) >= 0
    assert sum(Decimal(str(weight)) for weight in weights) == 1


def test_legs_without_any_weight_are_refused() -> None:
    with pytest.raises(SettingsError, match="have no weight"):
        Fusion(weights={"dense": 1}).normalised_weights(["bm25", "sparse"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "sum"}, "allowed: minmax, l2, zscore, rrf"),
        ({"combination": "sum"}, "allowed: arithmetic, geometric, harmonic"),
        ({"method": "rrf", "combination": "harmonic"}, "arithmetic mean only"),
        ({"weights": {"bm25": -0.1}}, "non-negative"),
        ({"weights": {"bm25": float("nan")}}, "non-negative"),
        ({"weights": {"bm25": float("inf")}}, "non-negative"),
        ({"weights": {"colour": 1}}, "bm25, dense, sparse"),
        ({"rank_constant": 0}, "between 1 and 10000"),
        ({"rank_constant": 10_001}, "between 1 and 10000"),
        ({"depth": 0}, "between 1 and 10000"),
        ({"depth": 10_001}, "between 1 and 10000"),
    ],
)
def test_a_fusion_that_makes_no_sense_is_refused(values, message) -> None:
    with pytest.raises(SettingsError, match=message):
        Fusion(**values)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("bm25=0.3,dense=0.6,sparse=0.1", {"bm25": 0.3, "dense": 0.6, "sparse": 0.1}),
        (" dense = 1 ", {"dense": 1.0}),
        ("bm25=1e-2, sparse=0", {"bm25": 0.01, "sparse": 0.0}),
    ],
)
def test_parse_weights(text, weights) -> None:
    assert parse_weights(text) == weights


@pytest.mark.parametrize(
    "text",
    ["", "bm25", "bm25=", "bm25=x", "bm25=-1", "color=1", "bm25=1,,", "bm25=nan", "dense=inf"],
)
def test_weights_that_cannot_be_read(text: str) -> None:
    with pytest.raises(SettingsError, match="write bm25="):
        parse_weights(text)


@pytest.mark.parametrize(
    ("floor", "bounds"),
    [
        pytest.param(None, Bounds(None, None), id="unknown floor"),
        pytest.param(0.25, Bounds(1.25, 2.0), id="floor"),
        pytest.param(-0.1, Bounds(1.0, 2.0), id="a negative floor counts as unrelated"),
    ],
)
def test_dense_bounds(floor, bounds) -> None:
    assert dense_bounds(floor) == bounds


# min-max by hand: (score - low) / (high - low), clipped to [low, high]; the server lifts a hit that
# comes out at 0 to 0.001, and a leg whose scores are all alike counts 1 throughout.
@pytest.mark.parametrize(
    ("scores", "bounds", "expected"),
    [
        pytest.param([4, 2, 1], Bounds(0, None), [1, 0.5, 0.25], id="from zero"),
        pytest.param([4, 2, 1], Bounds(None, None), [1, 1 / 3, 0.001], id="from the lowest"),
        pytest.param([1.9, 1.5, 1.1], Bounds(1.1, 2.0), [0.8 / 0.9, 0.4 / 0.9, 0.001], id="both"),
        pytest.param([1.9, 0.7], Bounds(1.1, 2.0), [0.8 / 0.9, 0.001], id="below the bound"),
        pytest.param([3.0, 1.5], Bounds(1.0, 2.0), [1.0, 0.5], id="above the bound"),
        pytest.param([3, 3], Bounds(None, None), [1, 1], id="all alike"),
        pytest.param([3], Bounds(0, None), [1], id="one hit"),
    ],
)
def test_min_max_of_one_leg(scores, bounds, expected) -> None:
    ranking = [(f"d{i}", float(score)) for i, score in enumerate(scores)]
    fusion = Fusion(weights={"dense": 1}, bounds={"dense": bounds})
    fused = fuse({"dense": ranking}, fusion)
    assert [identifier for identifier, _ in fused] == [identifier for identifier, _ in ranking]
    assert [score for _, score in fused] == pytest.approx(expected)


def test_min_max_adds_weighted_legs() -> None:
    rankings = {
        "bm25": [("a", 10.0), ("b", 5.0)],
        "dense": [("b", 1.8), ("c", 1.4)],
        "sparse": [("c", 2.0)],
    }
    fusion = Fusion(
        weights={"bm25": 0.5, "dense": 0.3, "sparse": 0.2}, bounds={"dense": Bounds(1.0, 2.0)}
    )
    fused = fuse(rankings, fusion)
    expected = {"a": 0.5, "b": 0.5 * 0.5 + 0.3 * 0.8, "c": 0.3 * 0.4 + 0.2 * 1.0}
    assert dict(fused) == pytest.approx(expected)
    assert [identifier for identifier, _ in fused] == ["a", "b", "c"]


def test_reciprocal_ranks_by_hand() -> None:
    rankings = {"bm25": [("a", 9.0), ("b", 8.0)], "dense": [("b", 1.9), ("c", 1.8)]}
    fused = fuse(rankings, Fusion(method="rrf", weights={"bm25": 1, "dense": 3}, rank_constant=10))
    expected = {"b": 0.25 / 12 + 0.75 / 11, "c": 0.75 / 12, "a": 0.25 / 11}
    assert dict(fused) == pytest.approx(expected)
    assert [identifier for identifier, _ in fused] == ["b", "c", "a"]


@pytest.mark.parametrize("method", METHODS)
def test_only_candidates_within_the_depth_count(method: str) -> None:
    ranking = [(f"d{i}", 10.0 - i) for i in range(5)]
    assert len(fuse({"bm25": ranking}, Fusion(method=method, depth=3))) == 3


def test_ties_keep_the_order_of_the_first_leg() -> None:
    rankings = {"dense": [("z", 1.5)], "bm25": [("a", 2.0)]}
    fused = fuse(rankings, Fusion(weights={"bm25": 1, "dense": 1}))
    assert [identifier for identifier, _ in fused] == ["a", "z"]


def test_a_leg_that_found_nothing_changes_nothing() -> None:
    fusion = Fusion(weights={"bm25": 1, "dense": 1})
    assert fuse({"bm25": [("a", 2.0)], "dense": []}, fusion) == [("a", 0.5)]


scores = st.lists(st.floats(0.0625, 128, width=32), min_size=1, max_size=20, unique=True)


@given(
    st.fixed_dictionaries({"bm25": scores, "sparse": scores}), st.sampled_from(["minmax", "rrf"])
)
def test_fused_scores_are_ordered_and_lie_between_zero_and_one(drawn, method) -> None:
    rankings = {
        leg: [(f"d{i}", score) for i, score in enumerate(sorted(values, reverse=True))]
        for leg, values in drawn.items()
    }
    fused = [score for _, score in fuse(rankings, Fusion(method=method))]
    assert fused == sorted(fused, reverse=True)
    assert all(0 < score <= 1 + 1e-9 for score in fused)


def test_scaling_by_hand() -> None:
    assert scaled([4.0, 3.0], Fusion(method="l2"), "bm25") == pytest.approx([0.8, 0.6])
    assert scaled([0.0], Fusion(method="l2"), "bm25") == [0.001]
    assert scaled([3.0, 2.0, 1.0], Fusion(method="zscore"), "bm25") == [1.0, 0.001, 0.001]
    assert scaled([2.5, 2.5], Fusion(method="zscore"), "bm25") == [2.5, 2.5]  # as the server does
    assert scaled([], Fusion(), "dense") == []


def test_means_count_only_the_legs_that_found_a_document() -> None:
    rankings = {"bm25": [("a", 4.0), ("b", 2.0)], "dense": [("a", 1.0)]}
    weights = {"bm25": 3, "dense": 1}
    geometric = dict(fuse(rankings, Fusion(weights=weights, combination="geometric")))
    harmonic = dict(fuse(rankings, Fusion(weights=weights, combination="harmonic")))
    assert geometric == pytest.approx({"a": 1.0, "b": 0.5})
    assert harmonic == pytest.approx({"a": 1.0, "b": 0.5})


@pytest.mark.parametrize("method", METHODS)
def test_a_fusion_survives_being_stored(method: str) -> None:
    fusion = Fusion(method=method, bounds={"dense": Bounds(1.1, 2.0), "bm25": Bounds()}, depth=7)
    assert Fusion.from_dict(fusion.as_dict()) == fusion


def test_a_stored_fusion_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="no fusion"):
        Fusion.from_dict({"method": "minmax"})
