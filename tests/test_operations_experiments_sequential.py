"""Boundaries, error and power of the group-sequential test."""

import numpy as np
import pytest

from operations.experiments.errors import ExperimentError
from operations.experiments.sequential import (
    boundaries,
    conditional_power,
    crossing,
    even_looks,
    needed_drift,
    power_of,
    spent,
)

# Two-sided 5 %, Lan-DeMets with the shape of O'Brien and Fleming, as tables and other programs
# give them for five looks.
PUBLISHED = (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)


def test_boundaries_are_the_published_ones() -> None:
    np.testing.assert_allclose(boundaries(even_looks(5), 0.05), PUBLISHED, atol=2e-4)


def test_one_look_is_the_ordinary_test() -> None:
    assert boundaries([1.0], 0.05) == pytest.approx([1.959964], abs=1e-5)
    assert needed_drift(1, 0.05, 0.8) == pytest.approx(1.959964 + 0.841621, abs=1e-4)


@pytest.mark.parametrize("looks", [even_looks(10), even_looks(100), (0.013, 0.5, 0.51, 0.9, 1.3)])
def test_the_error_is_what_was_allowed(looks: tuple[float, ...]) -> None:
    crossed = crossing(looks, boundaries(looks, 0.05), 0.0)
    assert sum(crossed.upper) == pytest.approx(0.025, abs=1e-6)
    assert sum(crossed.lower) == pytest.approx(0.025, abs=1e-6)


def test_error_is_spent_slowly_and_not_beyond_its_amount() -> None:
    fractions = np.linspace(0.001, 1, 200)
    values = [spent(float(t), 0.05) for t in fractions]
    assert all(np.diff(values) >= 0)
    assert spent(0.25, 0.05) < 0.0001
    assert values[-1] == pytest.approx(0.05)
    assert spent(3.0, 0.05) == spent(1.0, 0.05)
    assert spent(0.0, 0.05) == 0.0


def test_information_that_lags_behind_asks_for_more() -> None:
    users = (0.3, 0.7, 1.0)
    in_step = boundaries(users, 0.05)
    lagging = boundaries(users, 0.05, information=(0.15, 0.5, 1.0))
    assert lagging[0] == in_step[0]
    assert lagging[2] > in_step[2]
    # In any unit, and never falling.
    assert boundaries(users, 0.05, (30, 70, 100)) == pytest.approx(in_step)
    assert boundaries(users, 0.05, (30, 70, 60))[2] > 0


def test_earlier_boundaries_do_not_depend_on_later_looks() -> None:
    assert boundaries((0.2, 0.5, 1.0), 0.05)[:2] == boundaries((0.2, 0.5), 0.05)


def test_power_agrees_with_simulated_paths() -> None:
    drift, looks = 2.5, even_looks(6)
    bounds = np.array(boundaries(looks, 0.05))
    random = np.random.default_rng(3)
    steps = random.normal(drift / 6, np.sqrt(1 / 6), size=(100_000, 6))
    z = np.cumsum(steps, axis=1) / np.sqrt(looks)
    outside = np.abs(z) > bounds
    first = np.where(outside.any(axis=1), outside.argmax(axis=1), -1)
    upwards = (first >= 0) & (z[np.arange(len(z)), first] > 0)
    # Four standard errors of 100,000 paths.
    assert power_of(6, 0.05, drift) == pytest.approx(upwards.mean(), abs=0.0063)


def test_needed_drift_has_its_power() -> None:
    drift = needed_drift(10, 0.01, 0.9)
    assert power_of(10, 0.01, drift) == pytest.approx(0.9, abs=1e-5)
    assert drift > needed_drift(1, 0.01, 0.9)


def test_conditional_power() -> None:
    # Half way, nothing seen, the effect true: Φ((θ/2 - c) / √½).
    assert conditional_power(0.0, 0.5, 2.0, 4.0) == pytest.approx(0.5)
    assert conditional_power(3.0, 0.9, 2.0, 3.0) > 0.99
    assert conditional_power(-1.0, 0.9, 2.0, 3.0) < 0.001


@pytest.mark.parametrize("looks", [(0.5, 0.5), (0.0, 0.5), (0.9, 1.0, 1.1), (0.6, 0.4)])
def test_looks_that_cannot_be(looks: tuple[float, ...]) -> None:
    with pytest.raises(ExperimentError, match="increasing shares"):
        boundaries(looks, 0.05)
