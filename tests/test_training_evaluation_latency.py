import pytest

from training.errors import EvaluationError
from training.evaluation.latency import LatencySummary


def test_percentiles_by_hand() -> None:
    summary = LatencySummary.from_samples([float(i) for i in range(1, 102)])
    assert (summary.p50, summary.p90, summary.p95, summary.p99) == (51.0, 91.0, 96.0, 100.0)
    assert (summary.mean, summary.max) == (51.0, 101.0)


def test_percentiles_between_samples_are_interpolated_and_order_does_not_matter() -> None:
    assert LatencySummary.from_samples([20.0, 10.0]).p50 == 15.0


def test_a_single_sample() -> None:
    assert set(LatencySummary.from_samples([4.0004]).as_dict().values()) == {4.0}


@pytest.mark.parametrize("samples", [[], [1.0, -0.1], [float("nan")]])
def test_bad_samples(samples: list[float]) -> None:
    with pytest.raises(EvaluationError, match="latency"):
        LatencySummary.from_samples(samples)
