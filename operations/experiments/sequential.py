"""Group-sequential tests: how often one may look, and when to stop.

Whoever looks at a running experiment every day and stops when p < 0.05 declares far more than 5 %
of all differences that do not exist. Here the error is *spent*: the more of the planned users have
been seen, the more of it a look may use, whatever the number and the times of the looks (Lan and
DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983). The spending
function resembles O'Brien and Fleming's boundaries: early looks need overwhelming evidence, the
last one hardly more than a test without looks.

The statistics of successive looks are correlated normal variables with independent increments
(Jennison and Turnbull, "Group Sequential Methods", 2000, chapters 3 and 19). Their boundaries come
from the recursion of Armitage, McPherson and Rowe (JRSS A 132, 1969), integrated by Gauss-Legendre.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from operations.experiments.errors import ExperimentError

Floats = npt.NDArray[np.float64]

# Beyond it nothing happens: P(|Z| > 8) is about 1e-15.
HIGHEST = 8.0
# Two looks closer than this share of the planned users count as one.
CLOSEST = 0.01
_NODES = 100
# The part of the error that looks may use up. The rest is for what the theory leaves out: means of
# few users are not quite normal, and the error of a difference is itself an estimate.
_USABLE = 0.8


def spent(fraction: float, alpha: float) -> float:
    """Error that a two-sided test may have spent at a look, both sides together.

    ``2 (2 - 2 Φ(z_{1-α/4} / √t))``: O'Brien and Fleming's shape for each side (Lan and DeMets,
    1983), which reaches ``alpha`` at ``t = 1``.

    Args:
        fraction: Share of the planned users seen, ``t``; above 1 counts as 1.
        alpha: Error of the whole experiment, both sides.
    """
    from scipy.special import ndtr, ndtri

    if fraction <= 0:
        return 0.0
    quantile = -float(ndtri(alpha / 4))
    return float(min(alpha, 4 * ndtr(-quantile / math.sqrt(min(1.0, fraction)))))


def usable(alpha: float) -> float:
    """What looks may use up of the error that was allowed."""
    return _USABLE * alpha


@dataclass(frozen=True, slots=True)
class Crossing:
    """How likely each boundary is crossed for the first time at each look.

    Attributes:
        upper: Upwards, per look.
        lower: Downwards, per look.
    """

    upper: tuple[float, ...]
    lower: tuple[float, ...]


def boundaries(
    fractions: Sequence[float], alpha: float, information: Sequence[float] | None = None
) -> tuple[float, ...]:
    """Two-sided boundaries of |Z| at looks that have been made.

    Error is spent by the share of the planned users; what looks have in common follows from the
    information they rest on, which need not grow in step (Lan and DeMets, "Group sequential
    procedures: calendar versus information time", Statistics in Medicine 8, 1989).

    Args:
        fractions: Share of the planned users at each look, increasing; the last may pass 1.
        alpha: Error of the whole experiment, both sides.
        information: ``1 / error²`` at each look in any unit; by default in step with the users.

    Returns:
        One boundary per look; those of earlier looks do not depend on later ones.

    Raises:
        ExperimentError: The fractions do not increase, or looks follow on the last one.
    """
    looks = tuple(float(t) for t in fractions)
    rises = all(a < b for a, b in pairwise(looks))
    if not rises or any(t <= 0 for t in looks) or any(t >= 1 for t in looks[:-1]):
        msg = (
            f"looks must be made at increasing shares of the planned users, the last one alone at "
            f"1 or beyond, not at {list(looks)}"
        )
        raise ExperimentError(msg)
    return _boundaries(tuple(zip(looks, _rising(information or looks), strict=True)), alpha)


def _rising(information: Sequence[float]) -> list[float]:
    """Estimates of information may fall; what they estimate does not."""
    found: list[float] = []
    for one in information:
        found.append(max(float(one), found[-1] * (1 + CLOSEST)) if found else float(one))
    return found


_Looks = tuple[tuple[float, float], ...]


def _boundaries(looks: _Looks, alpha: float) -> tuple[float, ...]:
    return tuple(_boundary(looks[:number], alpha) for number in range(1, len(looks) + 1))


@dataclass(frozen=True, slots=True)
class _State:
    """After a look: the density of Z on the paths that have not stopped.

    Attributes:
        nodes: Values of Z between the boundaries.
        mass: Density times weight of the quadrature.
    """

    nodes: Floats
    mass: Floats


@lru_cache(maxsize=1024)
def _boundary(looks: _Looks, alpha: float) -> float:
    """Of the last look."""
    *earlier, (fraction, _) = looks
    used = spent(earlier[-1][0], alpha) if earlier else 0.0
    return _solve(_step(looks, alpha), max(0.0, (spent(fraction, alpha) - used) / 2))


@lru_cache(maxsize=1024)
def _state(looks: _Looks, alpha: float) -> _State:
    """After the last look, when nothing is different (drift 0)."""
    nodes, weights = _nodes(_boundary(looks, alpha))
    return _State(nodes, _step(looks, alpha).density(nodes) * weights)


def _step(looks: _Looks, alpha: float) -> "_Step":
    """To the last look."""
    *earlier, (_, now) = looks
    if not earlier:
        return _Step(None, 0, now)
    return _Step(_state(tuple(earlier), alpha), earlier[-1][1], now)


@dataclass(frozen=True, slots=True)
class _Step:
    """From one look to the next, in units of information.

    Attributes:
        before: State at the look before; ``None`` for the first.
        then: Information at the look before.
        now: Information at this look.
        drift: Mean of Z at information 1.
    """

    before: _State | None
    then: float
    now: float
    drift: float = 0.0

    def beyond(self, bound: float) -> float:
        """Probability to be above a boundary at this look without having stopped before."""
        from scipy.special import ndtr

        if self.before is None:
            return float(ndtr(self.drift * math.sqrt(self.now) - bound))
        return float(self.before.mass @ ndtr(self._means() - bound / self._sd()))

    def below(self, bound: float) -> float:
        """The same for the lower boundary ``-bound``."""
        from scipy.special import ndtr

        if self.before is None:
            return float(ndtr(-bound - self.drift * math.sqrt(self.now)))
        return float(self.before.mass @ ndtr(-bound / self._sd() - self._means()))

    def density(self, nodes: Floats) -> Floats:
        """Density of Z at this look on the paths that have not stopped before."""
        if self.before is None:
            return _normal(nodes - self.drift * math.sqrt(self.now))
        sd = self._sd()
        kernel = _normal(nodes[:, None] / sd - self._means()[None, :]) / sd
        return np.asarray(kernel @ self.before.mass)

    def _sd(self) -> float:
        """Deviation of Z now, given Z then."""
        return math.sqrt((self.now - self.then) / self.now)

    def _means(self) -> Floats:
        """Mean of Z now given each node of Z then, in units of that deviation."""
        assert self.before is not None  # mypy: the first look has no look before
        gained = self.now - self.then
        summed = self.before.nodes * math.sqrt(self.then) + self.drift * gained
        return np.asarray(summed / math.sqrt(gained))


def _solve(step: _Step, allowed: float) -> float:
    """The boundary that is crossed upwards with a given probability."""
    from scipy.optimize import brentq

    if step.beyond(HIGHEST) >= allowed:
        return HIGHEST
    return float(brentq(lambda bound: step.beyond(bound) - allowed, 0.0, HIGHEST, xtol=1e-10))


def crossing(fractions: Sequence[float], bounds: Sequence[float], drift: float) -> Crossing:
    """How likely a test with these boundaries stops where, under a given effect.

    Args:
        fractions: Information at each look, as a share of the planned.
        bounds: Boundary of |Z| at each look.
        drift: Mean of Z at information 1.
    """
    state, then = None, 0.0
    upper, lower = [], []
    for now, bound in zip(fractions, bounds, strict=True):
        step = _Step(state, then, now, drift)
        upper.append(step.beyond(bound))
        lower.append(step.below(bound))
        nodes, weights = _nodes(bound)
        state, then = _State(nodes, step.density(nodes) * weights), now
    return Crossing(tuple(upper), tuple(lower))


def even_looks(number: int) -> tuple[float, ...]:
    """So many looks after equal numbers of users."""
    return tuple((look + 1) / number for look in range(number))


@cache
def needed_drift(looks: int, alpha: float, power: float) -> float:
    """Mean of Z at the planned end at which a test of so many looks has a given power.

    Without looks it is the well-known ``z_{1-α/2} + z_{power}``; looks make it a little larger.

    Args:
        looks: After equal numbers of users, the last at the planned end.
        alpha: Error, both sides.
        power: Probability to find the effect, in its direction.
    """
    from scipy.optimize import brentq

    fractions = even_looks(looks)
    bounds = boundaries(fractions, alpha)

    def missing(drift: float) -> float:
        return sum(crossing(fractions, bounds, drift).upper) - power

    return float(brentq(missing, 0.0, 2 * HIGHEST, xtol=1e-6))


def power_of(looks: int, alpha: float, drift: float) -> float:
    """Probability that a test of so many looks finds an effect, in its direction."""
    fractions = even_looks(looks)
    return sum(crossing(fractions, boundaries(fractions, alpha), drift).upper)


def conditional_power(z: float, fraction: float, bound: float, drift: float) -> float:
    """Probability to be above a boundary at the planned end, given a statistic now.

    ``Φ((z √t + θ (1 - t) - c) / √(1 - t))`` (Jennison and Turnbull, 2000, chapter 10).

    Args:
        z: The statistic now.
        fraction: Share of the planned users seen, below 1.
        bound: Boundary at the planned end.
        drift: Mean of Z at the planned end under the effect that is asked about.
    """
    from scipy.special import ndtr

    rest = 1.0 - fraction
    return float(ndtr((z * math.sqrt(fraction) + drift * rest - bound) / math.sqrt(rest)))


def _normal(x: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


def _nodes(bound: float) -> tuple[Floats, Floats]:
    points, weights = _legendre()
    reach = min(bound, HIGHEST)
    return points * reach, weights * reach


@cache
def _legendre() -> tuple[Floats, Floats]:
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    return np.asarray(points), np.asarray(weights)
