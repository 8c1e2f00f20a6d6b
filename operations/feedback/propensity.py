r"""How likely a user looks at a rank: estimated from clicks on what stood at several ranks.

The position-based model (Richardson et al., WWW 2007; Joachims et al., WSDM 2017): a result is
clicked if it is looked at and attracts, ``P(click | q, d, k) = theta_k * gamma_qd``, with
``theta_k = k ** -eta``. Queries and documents that were shown at several ranks, because models,
corpora or experiments change, tell ``eta`` without any intervention (Agarwal et al., "Estimating
position bias without intrusive interventions", WSDM 2019). Here each pair (q, d) is a stratum with
an unknown attractiveness. Given its clicks ``C``, its ranks share them as
``p_k = n_k theta_k / sum_j n_j theta_j``, so the estimating equation

    sum_qd sum_k (c_k - C p_k(eta)) log k = 0

does not hold ``gamma``. Its expectation is 0 at the true ``eta`` whatever the ``gamma`` are: it is
the score of the fixed-effects Poisson model (Hausman, Hall and Griliches, 1984), which needs the
mean to be right and nothing else. The standard error is the sandwich over strata.
"""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from operations.feedback.errors import FeedbackError

# What is used where a log cannot tell: the value of Joachims et al. (2017).
DEFAULT_ETA = 1.0
MIN_CLICKS = 50
MAX_STANDARD_ERROR = 0.3
MAX_ETA = 5.0
_ROUNDS = 50
_PRECISE = 1e-9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RankCounts:
    """How often one document was shown for one query, rank by rank.

    Attributes:
        ranks: Distinct ranks, from 1.
        shown: How many clients saw it at each.
        clicked: How many of them clicked.
    """

    ranks: tuple[int, ...]
    shown: tuple[int, ...]
    clicked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How examination falls with the rank.

    Attributes:
        eta: A result at rank k is looked at with probability ``k ** -eta``.
        source: ``given``, ``estimated``, or ``default`` where the log says too little.
        standard_error: Of the estimate.
        clicks: Clicks on what was shown at several ranks: the estimate's evidence.
    """

    eta: float
    source: str = "given"
    standard_error: float | None = None
    clicks: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= MAX_ETA:
            msg = f"eta is {self.eta:g}; allowed: 0 (no position bias) to {MAX_ETA:g}"
            raise FeedbackError(msg)

    def propensities(self, ranks: Iterable[int], clip: float = math.inf) -> Floats:
        """Examination of each rank, not below ``1 / clip``: no click weighs more than ``clip``."""
        theta = np.asarray(list(ranks), dtype=np.float64) ** -self.eta
        return np.maximum(theta, 1.0 / clip)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def position_bias(pairs: Iterable[RankCounts], eta: float | None = None) -> PositionBias:
    """The given position bias, or that of the log where it can be told.

    Args:
        pairs: All documents of all queries.
        eta: Taken as it is.

    Raises:
        FeedbackError: The given value is out of range.
    """
    if eta is not None:
        return PositionBias(eta)
    found = estimate(pairs)
    error = found.standard_error
    if found.clicks >= MIN_CLICKS and error is not None and error <= MAX_STANDARD_ERROR:
        return found
    return PositionBias(DEFAULT_ETA, "default", error, found.clicks)


def estimate(pairs: Iterable[RankCounts]) -> PositionBias:
    """Solve the estimating equation by Newton's method; see the module for its derivation."""
    strata = _Strata.of(pairs)
    if not strata.clicks:
        return PositionBias(DEFAULT_ETA, "estimated", None, 0)
    eta = DEFAULT_ETA
    for _ in range(_ROUNDS):
        scores, information = strata.scores(eta)
        if information <= _PRECISE:
            break
        step = float(np.clip(scores.sum() / information, -1.0, 1.0))
        eta, before = float(np.clip(eta + step, 0.0, MAX_ETA)), eta
        if abs(eta - before) < _PRECISE:
            break
    scores, information = strata.scores(eta)
    error = float(np.sqrt(np.sum(scores**2)) / information) if information > _PRECISE else None
    return PositionBias(eta, "estimated", error, strata.clicks)


@dataclass(frozen=True)
class _Strata:
    """Pairs with clicks and at least two ranks, all ranks one after the other.

    Attributes:
        number: Which pair each entry belongs to, ``[entries]``.
        log_rank: Natural logarithm of the rank.
        shown: Impressions.
        clicked: Clicks.
    """

    number: npt.NDArray[np.int64]
    log_rank: Floats
    shown: Floats
    clicked: Floats

    @classmethod
    def of(cls, pairs: Iterable[RankCounts]) -> "_Strata":
        usable = [p for p in pairs if len(p.ranks) > 1 and any(p.clicked)]
        number = np.repeat(np.arange(len(usable)), [len(p.ranks) for p in usable])
        ranks, shown, clicked = (
            np.asarray([value for p in usable for value in getattr(p, name)], dtype=np.float64)
            for name in ("ranks", "shown", "clicked")
        )
        return cls(number.astype(np.int64), np.log(ranks), shown, clicked)

    @property
    def clicks(self) -> int:
        return int(self.clicked.sum())

    def scores(self, eta: float) -> tuple[Floats, float]:
        """Score of each pair, and the information of all."""
        expected = self.shown * np.exp(-eta * self.log_rank)
        share = expected / self._sum(expected)[self.number]
        clicks = self._sum(self.clicked)
        residual = clicks[self.number] * share - self.clicked
        mean = self._sum(share * self.log_rank)
        spread = self._sum(share * (self.log_rank - mean[self.number]) ** 2)
        return self._sum(residual * self.log_rank), float(clicks @ spread)

    def _sum(self, values: Floats) -> Floats:
        return np.asarray(np.bincount(self.number, weights=values), dtype=np.float64)
