"""The log of an experiment as columns: one row per query, ready to be summed up per user."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class QueryColumns:
    """Queries of an experiment; all arrays have one entry per query.

    Attributes:
        users: How many users there are.
        user: Number of the user, below ``users``.
        in_b: Whether the user is in arm B, or sees both arms interleaved.
        results: Documents that were shown.
        clicks: Distinct shown documents that were clicked.
        clicks_in_k: Those among the first k.
        first_rank: Position of the first click, 0 without one.
        latency_ms: Time of the search.
        win: For interleaved lists: 1 where B won, -1 where A did, 0 for a tie.
        counts: What else was noticed, such as answers in place of a failed arm.
    """

    users: int
    user: Ints
    in_b: Bools
    results: Ints
    clicks: Ints
    clicks_in_k: Ints
    first_rank: Ints
    latency_ms: Floats
    win: Ints
    counts: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.user.size)


@dataclass(frozen=True)
class UserTable:
    """What the users of one group did; metrics as numerator and denominator per user.

    Attributes:
        users: How many.
        queries: Their queries.
        sums: Per metric ``(numerators, denominators)``, each ``[users]``.
    """

    users: int
    queries: int
    sums: Mapping[str, tuple[Floats, Floats]]


def per_user(columns: QueryColumns) -> tuple[UserTable, UserTable]:
    """Sums per user: arm A, and arm B or the users of both arms.

    A user's queries are alike, so they are no independent observations: whatever is compared is
    compared between users.
    """
    in_b = np.zeros(columns.users, bool)
    in_b[columns.user] = columns.in_b
    seen = np.bincount(columns.user, minlength=columns.users) > 0
    sums = _sums(columns)
    return _table(sums, seen & ~in_b), _table(sums, seen & in_b)


def _table(sums: Mapping[str, tuple[Floats, Floats]], chosen: Bools) -> UserTable:
    _, queries = sums["clicks"]
    return UserTable(
        users=int(chosen.sum()),
        queries=int(queries[chosen].sum()),
        sums={name: (top[chosen], bottom[chosen]) for name, (top, bottom) in sums.items()},
    )


def _sums(columns: QueryColumns) -> dict[str, tuple[Floats, Floats]]:
    def total(values: Any) -> Floats:
        summed = np.bincount(columns.user, weights=values, minlength=columns.users)
        return summed.astype(np.float64)

    queries = total(np.ones(len(columns)))
    answered = columns.results > 0
    clicked = columns.clicks > 0
    reciprocal = np.where(clicked, 1.0 / np.maximum(columns.first_rank, 1), 0.0)
    return {
        "ctr": (total(columns.clicks_in_k > 0), queries),
        "clicks": (total(columns.clicks), queries),
        "mrr": (total(reciprocal), queries),
        "abandonment": (total(answered & ~clicked), total(answered)),
        "zero_results": (total(~answered), queries),
        "latency_ms": (total(columns.latency_ms), queries),
        "preference": (total(np.where(clicked, columns.win, 0)), total(clicked)),
    }
