"""What an experiment's log says: metrics per arm, and whether to stop."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from operations.experiments.columns import QueryColumns, UserTable, per_user
from operations.experiments.estimates import Difference, Estimate, difference, ratio
from operations.experiments.experiment import (
    HIGHER_IS_BETTER,
    PREFERENCE,
    SPLIT_METRICS,
    Experiment,
    Look,
)
from operations.experiments.power import detectable
from operations.experiments.sample_ratio import SampleRatio, sample_ratio
from operations.experiments.sequential import CLOSEST, boundaries, conditional_power, spent, usable

Verdict = Literal[
    "keep running",
    "B is better",
    "A is better",
    "no difference that matters",
    "futile",
    "undecided",
    "invalid",
]
# Below so many users per arm their mean is no normal variable yet.
FEWEST_USERS = 50
# Chance to still find the minimum effect below which it is not worth the wait.
FUTILE = 0.05


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric of both arms.

    Attributes:
        name: The metric.
        a: In arm A; ``None`` for preferences, which only interleaved users have.
        b: In arm B.
        difference: B minus A.
        interval: Where the true difference lies, whatever the number of looks; ``None`` as long as
            there are too few users.
        better: The arm that is better beyond chance, if one is.
    """

    name: str
    a: Estimate | None
    b: Estimate
    difference: Difference
    interval: tuple[float, float] | None
    better: Literal["A", "B"] | None


@dataclass(frozen=True, slots=True)
class Wins:
    """Queries that an arm won by clicks on its documents in interleaved lists."""

    a: int
    b: int
    ties: int


@dataclass(frozen=True, slots=True)
class Report:
    """An experiment at one moment.

    Attributes:
        experiment: Looks included, the new one too.
        users: Users of arm A and of arm B (or with interleaved results).
        queries: Queries of the same.
        ratio: Do the arms have the users they should have.
        rows: Metrics, the primary one first.
        fraction: Share of the planned users seen.
        bound: Errors of a difference on each side of its interval; ``None`` if too few users.
        verdict: What to conclude about the primary metric.
        look: The look this report made, if it made one.
        detectable: Smallest effect the planned users can show, as the spread of users is now.
        wins: Of interleaved queries.
        counts: What else was noticed.
    """

    experiment: Experiment
    users: tuple[int, int]
    queries: tuple[int, int]
    ratio: SampleRatio
    rows: tuple[MetricRow, ...]
    fraction: float
    bound: float | None
    verdict: Verdict
    look: Look | None
    detectable: float | None
    wins: Wins | None
    counts: Mapping[str, int]

    @property
    def primary(self) -> MetricRow:
        """The metric that the verdict is about."""
        return self.rows[0]


def evaluate(experiment: Experiment, columns: QueryColumns, now: datetime) -> Report:
    """Report on an experiment; a pure function, so that a simulator can call it.

    It makes a look, and uses up error, where at least 1 % more of the planned users have been seen
    than at the last one. A verdict that ends the experiment stays.

    Args:
        experiment: With the looks that were made before.
        columns: Its queries of the current phase.
        now: The moment of the look.
    """
    a, b = per_user(columns)
    checked = sample_ratio(a.users, b.users, experiment.share)
    interleaved = experiment.method == "interleaving"
    taking_part = b.users if interleaved else a.users + b.users
    fraction = taking_part / experiment.plan.planned_users
    error = _primary_error(experiment, a, b)
    enough = error > 0 and _enough(a, b, interleaved=interleaved)
    stage = _Stage(experiment, fraction, 1 / error**2 if enough else None, checked)
    bound = stage.bound()
    rows = _rows(experiment, a, b, bound)
    found = detectable(rows[0].difference.error, fraction, experiment)
    verdict, look = stage.conclude(rows[0], bound, taking_part, now)
    looks = (*experiment.looks, look) if look else experiment.looks
    return Report(
        experiment=replace(experiment, looks=looks),
        users=(a.users, b.users),
        queries=(a.queries, b.queries),
        ratio=checked,
        rows=rows,
        fraction=fraction,
        bound=bound,
        verdict=verdict,
        look=look,
        detectable=found,
        wins=_wins(columns) if interleaved else None,
        counts=columns.counts,
    )


def _enough(a: UserTable, b: UserTable, *, interleaved: bool) -> bool:
    if interleaved:
        _, clicked = b.sums[PREFERENCE]
        return int((clicked > 0).sum()) >= FEWEST_USERS
    return min(a.users, b.users) >= FEWEST_USERS


def _primary_error(experiment: Experiment, a: UserTable, b: UserTable) -> float:
    name = experiment.plan.metric
    if experiment.method == "interleaving":
        return ratio(*b.sums[name]).error
    return difference(ratio(*a.sums[name]), ratio(*b.sums[name])).error


def _rows(
    experiment: Experiment, a: UserTable, b: UserTable, bound: float | None
) -> tuple[MetricRow, ...]:
    first = experiment.plan.metric
    if experiment.method == "interleaving":
        # Users that see both arms cannot be compared with others in anything else: the list they
        # see is a third one.
        return (_row(first, None, ratio(*b.sums[first]), bound),)
    names = [first, *(name for name in SPLIT_METRICS if name != first)]
    return tuple(_row(name, ratio(*a.sums[name]), ratio(*b.sums[name]), bound) for name in names)


def _row(name: str, a: Estimate | None, b: Estimate, bound: float | None) -> MetricRow:
    found = difference(a, b) if a is not None else Difference(b.value, b.error, b.users - 1)
    interval = found.interval(bound) if bound is not None and found.error > 0 else None
    return MetricRow(name, a, b, found, interval, _better(name, interval))


def _better(name: str, interval: tuple[float, float] | None) -> Literal["A", "B"] | None:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return None
    return "B" if (interval[0] > 0) == HIGHER_IS_BETTER[name] else "A"


def _wins(columns: QueryColumns) -> Wins:
    counted = columns.win[columns.in_b & (columns.clicks > 0)]
    return Wins(int((counted < 0).sum()), int((counted > 0).sum()), int((counted == 0).sum()))


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where an experiment stands, and what may be concluded from it.

    Attributes:
        experiment: With its earlier looks.
        fraction: Share of the planned users.
        information: ``1 / error²`` of the primary metric; ``None`` with too few users for a look.
        checked: The sample ratio.
    """

    experiment: Experiment
    fraction: float
    information: float | None
    checked: SampleRatio

    @property
    def alpha(self) -> float:
        """Error that the looks of the current phase may use up."""
        return usable(self.experiment.phase.alpha)

    @property
    def last(self) -> Look | None:
        """The look before."""
        return self.experiment.looks[-1] if self.experiment.looks else None

    def looks_now(self) -> bool:
        """Whether this report is a look."""
        if self.information is None or self.checked.mismatch or self._ended():
            return False
        before = self.last.fraction if self.last else 0.0
        return self.fraction - before >= CLOSEST or (self.fraction >= 1 > before)

    def bound(self) -> float | None:
        """Errors on each side of an interval: those of this look, or of the last one."""
        if self.looks_now():
            return boundaries(*self._times())[-1]
        return self.last.boundary if self.last else None

    def conclude(
        self, row: MetricRow, bound: float | None, users: int, now: datetime
    ) -> tuple[Verdict, Look | None]:
        """The verdict, and the look where one is made."""
        if self.last and self._ended():
            return self.last.verdict, None  # type: ignore[return-value]  # it was written as one
        if self.checked.mismatch and self.checked.a + self.checked.b >= FEWEST_USERS:
            return "invalid", None
        if bound is None or not self.looks_now():
            return "keep running", None
        verdict = self._verdict(row, bound)
        z = row.difference.z
        information = self.information or 0.0
        return verdict, Look(now, users, self.fraction, information, bound, z, verdict)

    def _times(self, *, to_the_end: bool = False) -> tuple[list[float], float, list[float]]:
        """Looks as ``boundaries`` takes them, this one included."""
        fractions = [*(look.fraction for look in self.experiment.looks), self.fraction]
        gained = [*(look.information for look in self.experiment.looks), self.information or 0.0]
        if to_the_end:
            fractions.append(1.0)
            gained.append(gained[-1] / self.fraction)
        return fractions, self.alpha, gained

    def _ended(self) -> bool:
        return self.last is not None and self.last.verdict != "keep running"

    def _verdict(self, row: MetricRow, bound: float) -> Verdict:
        if row.better is not None:
            return "B is better" if row.better == "B" else "A is better"
        effect = self.experiment.plan.minimum_effect
        if row.interval and -effect < row.interval[0] and row.interval[1] < effect:
            return "no difference that matters"
        if self.fraction >= 1:
            return "undecided"
        return "futile" if self._futile(row) else "keep running"

    def _futile(self, row: MetricRow) -> bool:
        """Whether the minimum effect would hardly be found, whichever arm had it.

        Stochastic curtailment: where the chance is below γ, stopping raises the second error by
        the factor ``1 / (1 - γ)`` at most, and lowers the first (Lan, Simon and Halperin,
        Sequential Analysis 1, 1982).
        """
        found = row.difference
        at_end = boundaries(*self._times(to_the_end=True))[-1]
        drift = self.experiment.plan.minimum_effect / (found.error * self.fraction**0.5)
        chances = (
            conditional_power(sign * found.z, self.fraction, at_end, drift) for sign in (1, -1)
        )
        return max(chances) < FUTILE


def spent_up_to(experiment: Experiment) -> float:
    """Error that the looks of the current phase have used up."""
    if not experiment.looks:
        return 0.0
    return spent(experiment.looks[-1].fraction, usable(experiment.phase.alpha))


def as_dict(report: Report) -> dict[str, Any]:
    """The report as JSON-ready values."""
    experiment = report.experiment
    return {
        "experiment": experiment.name,
        "index": experiment.index,
        "status": experiment.status,
        "method": experiment.method,
        "arms": {"A": experiment.a.label(), "B": experiment.b.label()},
        "share": experiment.share,
        "verdict": report.verdict,
        "users": {"A": report.users[0], "B": report.users[1]},
        "queries": {"A": report.queries[0], "B": report.queries[1]},
        "planned_users": experiment.plan.planned_users,
        "fraction": round(report.fraction, 4),
        "looks": len(experiment.looks),
        "bound": _rounded(report.bound),
        "sample_ratio_p": float(f"{report.ratio.p:.3g}"),
        "minimum_effect": experiment.plan.minimum_effect,
        "detectable": _rounded(report.detectable),
        "metrics": {row.name: _row_dict(row) for row in report.rows},
        "wins": None
        if report.wins is None
        else {"A": report.wins.a, "B": report.wins.b, "ties": report.wins.ties},
        "counts": dict(report.counts),
    }


def _row_dict(row: MetricRow) -> dict[str, Any]:
    return {
        "A": None if row.a is None else _rounded(row.a.value),
        "B": _rounded(row.b.value),
        "difference": _rounded(row.difference.value),
        "interval": None if row.interval is None else [_rounded(end) for end in row.interval],
        "better": row.better,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 6)
