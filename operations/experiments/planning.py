"""What is known of a metric before an experiment: from the log, or by assumption."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from operations.experiments.columns import QueryColumns, UserTable, per_user
from operations.experiments.estimates import Estimate, ratio
from operations.experiments.experiment import PREFERENCE
from operations.experiments.looking import read_index
from operations.experiments.power import Baseline, assumed_baseline, baseline_of
from operations.experiments.report import FEWEST_USERS

DAYS = 14


@dataclass(frozen=True, slots=True)
class Known:
    """What a person says of a metric; ``None`` leaves it to the log or to an assumption.

    Attributes:
        value: Its value today.
        deviation: Deviation of one user's part in it.
        queries_per_user: Queries of a user in the time of the experiment.
        users_per_day: Users that search on a day.
    """

    value: float | None = None
    deviation: float | None = None
    queries_per_user: float | None = None
    users_per_day: float | None = None


def find_baseline(
    client: Any, index: str | None, *, metric: str, cutoff: int, known: Known
) -> Baseline:
    """The best that is known: what is said, else the log of the last two weeks, else assumptions.

    Args:
        client: The client; not asked without an index.
        index: Logical name of the index; ``None``: there is no log.
        metric: The primary metric.
        cutoff: The k of CTR@k.
        known: What a person says.

    Raises:
        ExperimentError: Nothing is known, and the metric has no bounds.
    """
    if known.deviation is not None:
        value = math.nan if known.value is None else known.value
        return Baseline(value, known.deviation, known.users_per_day, "as given")
    if index is not None and known.value is None and known.queries_per_user is None:
        since = datetime.now(UTC) - timedelta(days=DAYS)
        columns = read_index(client, index, since, cutoff)
        found = log_baseline(columns, metric, known.users_per_day)
        if found is not None:
            return found
    queries = known.queries_per_user or 1.0
    return assumed_baseline(metric, known.value, queries, known.users_per_day)


def log_baseline(
    columns: QueryColumns, metric: str, users_per_day: float | None
) -> Baseline | None:
    """The baseline that two weeks of log give; ``None`` where too few users are in it.

    Args:
        columns: All queries of the index.
        metric: The primary metric.
        users_per_day: Users per day, if somebody knows better than the log.
    """
    a, b = per_user(columns)
    users = a.users + b.users
    if users < FEWEST_USERS:
        return None
    estimate = _preference(a, b) if metric == PREFERENCE else _of_all(a, b, metric)
    if not estimate.deviation > 0:
        return None
    return baseline_of(estimate, users_per_day or users / DAYS)


def _of_all(a: UserTable, b: UserTable, metric: str) -> Estimate:
    # Users of arm B too: they are some of the traffic, and their spread is what is looked for.
    larger = a if a.users >= b.users else b
    return ratio(*larger.sums[metric])


def _preference(a: UserTable, b: UserTable) -> Estimate:
    """From interleaved users where there were any, else as if no query ended in a tie."""
    if b.users >= FEWEST_USERS and float(abs(b.sums[PREFERENCE][0]).sum()) > 0:
        return ratio(*b.sums[PREFERENCE])
    _, clicked = a.sums[PREFERENCE]
    mean = float(clicked.mean())
    # Signs of independent queries: the variance of their sum is their number.
    return Estimate(0.0, 1 / math.sqrt(mean) if mean else math.nan, a.users)
