"""The report's promises, on few simulated users; docs/ab-simulator.md has the many."""

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiment_samples import START, MemoryLog, click, query

from operations.experiments.reading import read_experiment


@pytest.fixture(scope="module")
def simulator() -> Any:
    path = Path(__file__).parent.parent / "benchmarks" / "ab_simulator.py"
    spec = importlib.util.spec_from_file_location("ab_simulator", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ab_simulator"] = module
    spec.loader.exec_module(module)
    module.PILOT_USERS, module.TRUTH_QUERIES = 5_000, 200_000
    return module


REPEATS = 100


def allowed(expected: float, repeats: int) -> float:
    """Three standard errors of a share."""
    return 3 * math.sqrt(expected * (1 - expected) / repeats)


@pytest.mark.parametrize(("method", "share"), [("split", 0.5), ("interleaving", 1.0)])
def test_without_a_difference_hardly_any_is_found(
    simulator: Any, method: str, share: float
) -> None:
    case = simulator.Case(method, share, 0.1, 0.0, REPEATS)
    result = simulator.measure(case, seed=1)
    assert result.found <= 0.05 + allowed(0.05, REPEATS)
    # The same looks with an ordinary test: about one of five.
    assert result.outcome.naive / REPEATS > 0.05 + allowed(0.05, REPEATS)


@pytest.mark.parametrize(("method", "share"), [("split", 0.5), ("interleaving", 1.0)])
def test_the_power_is_what_was_promised(simulator: Any, method: str, share: float) -> None:
    case = simulator.Case(method, share, 0.1, 1.0, REPEATS)
    result = simulator.measure(case, seed=2)
    assert 0.7 < result.estimate < 0.9
    assert abs(result.found - result.estimate) <= 0.05 + allowed(result.estimate, REPEATS)
    assert result.outcome.looks / REPEATS < 9


def test_columns_are_those_of_the_events(simulator: Any) -> None:
    """What the simulator hands to the report is what the log's reader makes of the same clicks."""
    plan = simulator.Plan(metric="preference", planned_users=100)
    one = simulator.replace(simulator._experiment(0.5, plan), name="docs-ab1")
    world = simulator.World("interleaving", 0.5, 0.0)
    columns = simulator.simulate(world, one, 100, [5]).columns
    log = MemoryLog()
    random = np.random.default_rng(6)
    for number in range(len(columns)):
        arm = "interleaved" if columns.in_b[number] else "A"
        clicks, first = int(columns.clicks[number]), int(columns.first_rank[number])
        positions = [first, *range(first + 1, first + clicks)] if clicks else []
        if positions and positions[-1] > 10:
            positions = positions[:1] * 0 + list(range(11 - clicks, 11))
        teams = "".join(random.choice(["A", "B"], 10))
        log.stored_queries.append(query(number, f"u{columns.user[number]:03}", arm, teams=teams))
        log.stored_events += [click(number, f"d{p}", second=n) for n, p in enumerate(positions)]
    read = read_experiment(log, simulator.replace(one, phases=(simulator.Phase(START, 0.5, 0.05),)))
    assert read.users == len(np.unique(columns.user))
    np.testing.assert_array_equal(read.in_b, columns.in_b)
    np.testing.assert_array_equal(read.clicks, columns.clicks)
    np.testing.assert_array_equal(read.results, columns.results)
    a, b = (simulator.per_user(one) for one in (read, columns))
    for mine, other in zip(a, b, strict=True):
        assert (mine.users, mine.queries) == (other.users, other.queries)
        for name in ("ctr", "clicks", "abandonment"):
            assert mine.sums[name][0].sum() == other.sums[name][0].sum()
