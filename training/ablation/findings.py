"""What an ablation found: mean and spread over seeds, significance against the base."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.ablation.plan import Plan, Point
from training.ablation.running import CellResult, Reached, estimated_seconds
from training.evaluation.metrics import Evaluated
from training.evaluation.significance import Comparison, Pair, compare, holm


@dataclass(frozen=True)
class Finding:
    """One point on one set.

    Attributes:
        point: Its settings.
        leg: ``dense`` or ``sparse``.
        set_name: The set.
        values: The metric for each seed that is done, by seed.
        comparison: Against the base, query by query over the means of the seeds; None for the base
            and where either has no result.
    """

    point: Point
    leg: str
    set_name: str
    values: Mapping[int, float]
    comparison: Comparison | None = None

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.values.values())

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None for a single one."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON-ready values."""
        return {
            "settings": dict(self.point.settings),
            "base": self.point.base,
            "leg": self.leg,
            "set": self.set_name,
            "seeds": {str(seed): round(value, 6) for seed, value in self.values.items()},
            "mean": round(self.mean, 6),
            "spread": None if self.spread is None else round(self.spread, 6),
            "comparison": self.comparison.as_dict() if self.comparison else None,
        }


@dataclass(frozen=True)
class Findings:
    """All of them.

    Attributes:
        plan: What was trained.
        results: What became of each cell.
        found: One for each point, leg and set that has a result.
    """

    plan: Plan
    results: tuple[CellResult, ...]
    found: tuple[Finding, ...]

    @property
    def failed(self) -> list[CellResult]:
        """Cells that ended with a fault."""
        return [result for result in self.results if result.state == "failed"]

    @property
    def legs(self) -> list[str]:
        """What the runs train."""
        return list(dict.fromkeys(finding.leg for finding in self.found))

    @property
    def set_names(self) -> list[str]:
        """What was measured on."""
        return list(dict.fromkeys(finding.set_name for finding in self.found))

    def of(self, leg: str, set_name: str) -> list[Finding]:
        """The findings of one leg on one set, in the plan's order."""
        return [f for f in self.found if (f.leg, f.set_name) == (leg, set_name)]

    def as_dict(self) -> dict[str, Any]:
        """The findings as JSON-ready values."""
        config = self.plan.config
        return {
            "kind": config.kind,
            "metric": config.metric,
            "design": config.design,
            "seeds": list(config.seeds),
            "axes": {axis.name: list(axis.values) for axis in self.plan.axes},
            "base": dict(self.plan.base.settings),
            "cells": [cell_dict(result) for result in self.results],
            "findings": [finding.as_dict() for finding in self.found],
        }


def summarise(plan: Plan, results: Sequence[CellResult]) -> Findings:
    """Bring the results of all cells together.

    The randomisation test's p values are corrected after Holm over all points, legs and sets.
    """
    by_cell = {(r.cell.point, r.cell.seed): r.reached for r in results if r.state == "done"}
    pooled = {
        point.name: {c.seed: by_cell[point.name, c.seed] for c in point.cells if _is(by_cell, c)}
        for point in plan.points
    }
    found = [
        Finding(point, leg, name, _values(pooled[point.name], leg, name, plan.config.metric))
        for leg, name in _keys(results)
        for point in plan.points
        if pooled[point.name]
    ]
    compared = [_compared(finding, plan, pooled) for finding in found]
    tested = [finding.comparison for finding in compared if finding.comparison]
    corrected = iter(holm([comparison.p_randomisation for comparison in tested]))
    final = [
        replace(f, comparison=replace(f.comparison, p_holm=next(corrected))) if f.comparison else f
        for f in compared
    ]
    return Findings(plan, tuple(results), tuple(final))


def cell_dict(result: CellResult) -> dict[str, Any]:
    """A cell's fate as JSON-ready values."""
    return {
        "cell": result.cell.name,
        "folder": str(result.cell.folder.root),
        "state": result.state,
        "seconds": result.seconds,
        "fault": result.fault,
    }


def dry_run_dict(plan: Plan, results: Sequence[CellResult]) -> dict[str, Any]:
    """What would be trained, and how long that takes, as JSON-ready values."""
    seconds = estimated_seconds(list(results), len(plan.cells))
    return {
        "cells": [cell_dict(result) for result in results],
        "base": dict(plan.base.settings),
        "estimated_seconds": None if seconds is None else round(seconds, 1),
    }


def _is(by_cell: Mapping[tuple[str, int], Reached], cell: Any) -> bool:
    return (cell.point, cell.seed) in by_cell


def _keys(results: Sequence[CellResult]) -> list[tuple[str, str]]:
    pairs = [(leg, name) for r in results for leg, sets in r.reached.items() for name in sets]
    return list(dict.fromkeys(pairs))


def _values(by_seed: Mapping[int, Reached], leg: str, name: str, metric: str) -> dict[int, float]:
    return {seed: reached[leg][name].aggregate[metric] for seed, reached in by_seed.items()}


def _compared(finding: Finding, plan: Plan, pooled: Mapping[str, Mapping[int, Reached]]) -> Finding:
    base = pooled[plan.base.name]
    if finding.point.base or not base:
        return finding
    metric = plan.config.metric
    both = [
        _mean_by_query(
            [reached[finding.leg][finding.set_name] for reached in seeds.values()], metric
        )
        for seeds in (pooled[finding.point.name], base)
    ]
    pair = Pair(finding.point.name, "base", metric, *both)
    return replace(finding, comparison=compare(pair))


def _mean_by_query(evaluated: Sequence[Evaluated], metric: str) -> list[float]:
    columns = zip(*(entry.values(metric) for entry in evaluated), strict=True)
    return [statistics.fmean(values) for values in columns]
