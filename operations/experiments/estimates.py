"""Metrics with their error, from sums per user."""

import math
from dataclasses import dataclass

import numpy as np

from operations.experiments.columns import Floats


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio metric of one group.

    Attributes:
        value: Sum of the numerators by sum of the denominators; nan where nothing was seen.
        deviation: Deviation of one user's part in it; the standard error is it by root of users.
        users: How many users it rests on.
    """

    value: float
    deviation: float
    users: int

    @property
    def error(self) -> float:
        """Standard error."""
        return self.deviation / math.sqrt(self.users) if self.users else math.nan


@dataclass(frozen=True, slots=True)
class Difference:
    """B minus A.

    Attributes:
        value: The difference.
        error: Its standard error.
        freedom: Degrees of freedom of that error: it is an estimate from so many users.
    """

    value: float
    error: float
    freedom: float = math.inf

    @property
    def z(self) -> float:
        """The difference in units of its error; 0 where nothing can be told."""
        return self.value / self.error if self.error > 0 else 0.0

    def interval(self, bound: float) -> tuple[float, float]:
        """The difference, give or take so many errors; more of them where these rest on few users.

        Args:
            bound: In errors that are known; Student's t has it for errors that are estimated.
        """
        reach = widened(bound, self.freedom) * self.error
        return self.value - reach, self.value + reach


def widened(bound: float, freedom: float) -> float:
    """The value of Student's t with the probability of a value of the normal distribution."""
    from scipy.special import ndtr, stdtrit

    if not math.isfinite(freedom):
        return bound
    return float(-stdtrit(freedom, ndtr(-bound)))


def ratio(numerators: Floats, denominators: Floats) -> Estimate:
    """A metric per query or per click, with users as the unit that was randomised.

    Queries of one user are alike, so the ratio's variance comes from the spread between users, by
    the delta method (Deng, Knoblich and Lu, "Applying the delta method in metric analytics",
    KDD 2018): with ``R = ΣY/ΣN``, the user's part is ``(Y - R N) / mean(N)``.

    Args:
        numerators: ``[users]``.
        denominators: ``[users]``.
    """
    users, total = int(numerators.size), float(denominators.sum())
    if not total:
        return Estimate(math.nan, math.nan, users)
    value = float(numerators.sum()) / total
    if users < 2:
        return Estimate(value, math.nan, users)
    parts = (numerators - value * denominators) * (users / total)
    return Estimate(value, float(np.sqrt(parts @ parts / (users - 1))), users)


def difference(a: Estimate, b: Estimate) -> Difference:
    """B minus A, the arms being independent; degrees of freedom after Welch and Satterthwaite."""
    error = math.hypot(a.error, b.error)
    if not error > 0:
        return Difference(b.value - a.value, error)
    parts = sum(one.error**4 / (one.users - 1) for one in (a, b))
    return Difference(b.value - a.value, error, error**4 / parts)
