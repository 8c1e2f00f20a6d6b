"""Search pipeline bodies: pure functions."""

from collections.abc import Sequence
from typing import Any

from opensearch.fusion import Fusion, Leg


def fusion_pipeline(fusion: Fusion, legs: Sequence[Leg]) -> dict[str, Any]:
    """The search pipeline that fuses a hybrid query whose sub-queries are ``legs``, in order."""
    weights = fusion.normalised_weights(legs)
    if fusion.method == "rrf":
        combination: dict[str, Any] = {"technique": "rrf", "rank_constant": fusion.rank_constant}
        # 2.19 knows no weights here, and equal ones (thirds differ once rounded) need none.
        if not fusion.weighs_equally(legs):
            combination["parameters"] = {"weights": weights}
        return {
            "phase_results_processors": [{"score-ranker-processor": {"combination": combination}}]
        }
    normalization: dict[str, Any] = {"technique": _NORMALIZATIONS[fusion.method]}
    if fusion.method == "minmax":
        normalization["parameters"] = _bounds(fusion, legs)
    mean = {"technique": f"{fusion.combination}_mean", "parameters": {"weights": weights}}
    processor = {"normalization": normalization, "combination": mean}
    return {"phase_results_processors": [{"normalization-processor": processor}]}


_NORMALIZATIONS = {"minmax": "min_max", "l2": "l2", "zscore": "z_score"}


def _bounds(fusion: Fusion, legs: Sequence[Leg]) -> dict[str, Any]:
    """One entry per sub-query, in order, as the processor wants it."""
    bounds = [fusion.bounds_of(leg) for leg in legs]
    lower = [_bound("min_score", b.low) for b in bounds]
    upper = [_bound("max_score", b.high) for b in bounds]
    return {"lower_bounds": lower, "upper_bounds": upper}


def _bound(name: str, value: float | None) -> dict[str, Any]:
    return {"mode": "ignore"} if value is None else {"mode": "clip", name: value}


def default_pipeline() -> dict[str, Any]:
    """The pipeline an index falls back to: equal weights, whatever the number of sub-queries."""
    processor = {
        "normalization": {"technique": "min_max"},
        "combination": {"technique": "arithmetic_mean"},
    }
    return {
        "description": "Normalises hybrid queries that name no pipeline of their own.",
        "phase_results_processors": [{"normalization-processor": processor}],
    }
