"""How many users an experiment needs, and what it can find with those it has."""

import math
from dataclasses import dataclass
from typing import Any

from operations.experiments.errors import ExperimentError
from operations.experiments.estimates import Estimate
from operations.experiments.experiment import (
    HIGHER_IS_BETTER,
    PREFERENCE,
    Experiment,
    Method,
    Plan,
)
from operations.experiments.sequential import needed_drift, power_of, usable

# Looks that a plan reckons with; more of them cost hardly any users.
PLANNED_LOOKS = 10
# Queries of the same user that share their fate, where no log says how much they do.
LIKENESS = 0.1
_BOUNDED = ("ctr", "mrr", "abandonment", "zero_results")
_RELATIVE = (0.5, 0.75, 1.0, 1.25, 1.5)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of a metric before the experiment.

    Attributes:
        value: Its value today.
        deviation: Deviation of one user's part in it.
        users_per_day: Users that search on a day, if that is known.
        source: Where this comes from, in words.
    """

    value: float
    deviation: float
    users_per_day: float | None
    source: str


@dataclass(frozen=True, slots=True)
class PowerPlan:
    """Users that a plan needs.

    Attributes:
        users: Users in the comparison: of both arms, or with interleaved results.
        of_all: Users of the whole index that it takes until these have been seen.
        without_looks: Users of an ordinary test that is looked at once, for comparison.
        days: Days at today's traffic, if that is known.
        curve: ``(effect, power)`` with these users.
    """

    users: int
    of_all: int
    without_looks: int
    days: float | None
    curve: tuple[tuple[float, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "users": self.users,
            "of_all": self.of_all,
            "without_looks": self.without_looks,
            "days": None if self.days is None else round(self.days, 1),
            "curve": [{"effect": e, "power": round(p, 3)} for e, p in self.curve],
        }


def baseline_of(estimate: Estimate, users_per_day: float | None) -> Baseline:
    """From the log of users before the experiment."""
    source = f"the log: {estimate.users} users"
    return Baseline(estimate.value, estimate.deviation, users_per_day, source)


def assumed_baseline(
    metric: str, value: float | None, queries_per_user: float, users_per_day: float | None
) -> Baseline:
    """Where no log says more: a share per query, and users whose queries are somewhat alike.

    A share ``p`` of queries has the variance ``p (1 - p)`` per query, the most that a value between
    0 and 1 can have; ``m`` queries of a user count as ``m / (1 + (m - 1) ρ)`` independent ones
    (Kish's design effect, "Survey Sampling", 1965) with ``ρ = 0.1``. A query's preference is at
    most 1 away from 0.

    Args:
        metric: The primary metric.
        value: Its value today; the worst case if it is not known.
        queries_per_user: Queries of a user in the experiment, for preferences those with a click.
        users_per_day: Users that search on a day.

    Raises:
        ExperimentError: The metric has no bounds, so its spread must be said.
    """
    if metric == PREFERENCE:
        variance, value = 1.0, 0.0
    elif metric in _BOUNDED:
        value = 0.5 if value is None else value
        if not 0 < value < 1:
            msg = f"a baseline of {metric} lies between 0 and 1, not at {value:g}"
            raise ExperimentError(msg)
        variance = value * (1 - value)
    else:
        msg = (
            f"nothing bounds {metric}: say how much users differ (--deviation), or let the server "
            "log some days of traffic first"
        )
        raise ExperimentError(msg)
    alike = (1 + (queries_per_user - 1) * LIKENESS) / queries_per_user
    what = "no query ends in a tie" if metric == PREFERENCE else f"{value:g}"
    source = f"an assumption: {what}, {queries_per_user:g} queries per user"
    return Baseline(value, math.sqrt(variance * alike), users_per_day, source)


def plan_users(plan: Plan, method: Method, share: float, baseline: Baseline) -> PowerPlan:
    """Users until the sequential test has the plan's power for the plan's minimum effect.

    With the deviation σ of a user, the difference of a split has the variance
    ``σ² (1 / (1 - s) + g / s) / N`` at ``N`` users and the share ``s``, where arm B's variance is
    ``g`` times that of arm A; interleaved users compare both arms themselves, and have ``σ² / N``.
    The test needs ``effect / error`` to be the drift of
    :func:`operations.experiments.sequential.needed_drift`.

    Args:
        plan: Metric, effect, errors; its number of users is not used.
        method: How the arms are compared.
        share: Share of arm B, or of interleaved users.
        baseline: What is known of the metric.
    """
    drift = needed_drift(PLANNED_LOOKS, usable(plan.alpha), plan.power)
    fixed = needed_drift(1, plan.alpha, plan.power)
    effect = plan.minimum_effect
    one = _user_variance(plan, effect, method=method, share=share, baseline=baseline) / effect**2
    users = max(1, math.ceil(one * drift**2))
    of_all = users if method == "split" else math.ceil(users / share)
    per_day = baseline.users_per_day
    effects = [round(part * effect, 6) for part in _RELATIVE]
    return PowerPlan(
        users=users,
        of_all=of_all,
        without_looks=max(1, math.ceil(one * fixed**2)),
        days=of_all / per_day if per_day else None,
        curve=tuple(
            (e, power_with(users, e, plan, method=method, share=share, baseline=baseline))
            for e in effects
        ),
    )


def power_with(
    users: int, effect: float, plan: Plan, *, method: Method, share: float, baseline: Baseline
) -> float:
    """Power of the sequential test with so many users for an effect.

    Args:
        users: Users in the comparison.
        effect: The true absolute difference.
        plan: Metric and errors.
        method: How the arms are compared.
        share: Share of arm B.
        baseline: What is known of the metric.
    """
    variance = _user_variance(plan, effect, method=method, share=share, baseline=baseline)
    return power_of(PLANNED_LOOKS, usable(plan.alpha), abs(effect) / math.sqrt(variance / users))


def detectable(error: float, fraction: float, experiment: Experiment) -> float | None:
    """Effect that the planned users can show, given the error that was reached up to now.

    Args:
        error: Standard error of the difference now.
        fraction: Share of the planned users that it rests on.
        experiment: Its errors.
    """
    if not error > 0:
        return None
    alpha, power = experiment.phase.alpha, experiment.plan.power
    return needed_drift(PLANNED_LOOKS, usable(alpha), power) * error * math.sqrt(fraction)


def _user_variance(
    plan: Plan, effect: float, *, method: Method, share: float, baseline: Baseline
) -> float:
    """Variance of the difference, times the number of users in the comparison."""
    if not 0 < share <= 1 or (method == "split" and share == 1):
        msg = f"the share must lie above 0, and below 1 for a split, not at {share:g}"
        raise ExperimentError(msg)
    if method == "interleaving":
        return baseline.deviation**2
    growth = _growth(plan.metric, effect, baseline.value)
    return baseline.deviation**2 * (1 / (1 - share) + growth / share)


def _growth(metric: str, effect: float, value: float) -> float:
    """By how much an arm in which more is clicked varies more: as its value, like counts do."""
    grows = HIGHER_IS_BETTER[metric] and value > 0
    return 1 + abs(effect) / value if grows else 1.0
