"""Search pipeline bodies."""

import pytest

from opensearch.fusion import LEGS, Bounds, Fusion
from opensearch.pipelines import default_pipeline, fusion_pipeline


def test_min_max_with_bounds_in_the_order_of_the_legs() -> None:
    fusion = Fusion(
        weights={"bm25": 0.3, "dense": 0.6, "sparse": 0.1}, bounds={"dense": Bounds(1.25, 2.0)}
    )
    assert fusion_pipeline(fusion, LEGS) == {
        "phase_results_processors": [
            {
                "normalization-processor": {
                    "normalization": {
                        "technique": "min_max",
                        "parameters": {
                            "lower_bounds": [
                                {"mode": "clip", "min_score": 0.0},
                                {"mode": "clip", "min_score": 1.25},
                                {"mode": "clip", "min_score": 0.0},
                            ],
                            "upper_bounds": [
                                {"mode": "ignore"},
                                {"mode": "clip", "max_score": 2.0},
                                {"mode": "ignore"},
                            ],
                        },
                    },
                    "combination": {
                        "technique": "arithmetic_mean",
                        "parameters": {"weights": [0.3, 0.6, 0.1]},
                    },
                }
            }
        ]
    }


@pytest.mark.parametrize(
    ("weights", "combination"),
    [
        pytest.param(
            {"bm25": 1, "dense": 1}, {"technique": "rrf", "rank_constant": 20}, id="equal weights"
        ),
        pytest.param(
            {"bm25": 1, "dense": 3},
            {"technique": "rrf", "rank_constant": 20, "parameters": {"weights": [0.25, 0.75]}},
            id="other weights",
        ),
    ],
)
def test_rrf(weights, combination) -> None:
    fusion = Fusion(method="rrf", weights=weights, rank_constant=20)
    assert fusion_pipeline(fusion, ["bm25", "dense"]) == {
        "phase_results_processors": [{"score-ranker-processor": {"combination": combination}}]
    }


@pytest.mark.parametrize("legs", [LEGS, LEGS[:2], ("dense", "sparse"), ("bm25", "sparse")])
def test_one_weight_and_one_bound_per_leg(legs) -> None:
    (processor,) = fusion_pipeline(Fusion(), legs)["phase_results_processors"]
    body = processor["normalization-processor"]
    assert len(body["combination"]["parameters"]["weights"]) == len(legs)
    for side in ("lower_bounds", "upper_bounds"):
        assert len(body["normalization"]["parameters"][side]) == len(legs)


def test_default_pipeline_normalises_any_number_of_legs() -> None:
    (processor,) = default_pipeline()["phase_results_processors"]
    assert processor["normalization-processor"] == {
        "normalization": {"technique": "min_max"},
        "combination": {"technique": "arithmetic_mean"},
    }
