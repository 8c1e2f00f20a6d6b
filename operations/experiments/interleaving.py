"""Team-draft interleaving: one list out of two, and whose document was clicked.

Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?", CIKM 2008:
as in a school yard, two captains pick in turn, each its best document that is not yet taken, and a
coin decides in every round who picks first. A click counts for the team of its document; the arm
with more clicks wins the query.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from operations.experiments.assigning import ArmName


@dataclass(frozen=True, slots=True)
class Interleaved:
    """A mixed list.

    Attributes:
        ids: Documents, best first.
        teams: Which arm brought each: one letter per document.
    """

    ids: tuple[str, ...]
    teams: str


@dataclass(frozen=True, slots=True)
class Credit:
    """Clicks per team."""

    a: int
    b: int

    @property
    def win(self) -> int:
        """1 where B won the query, -1 where A did, 0 for a tie."""
        return (self.b > self.a) - (self.b < self.a)


def team_draft(a: Sequence[str], b: Sequence[str], size: int, seed: str) -> Interleaved:
    """Mix two rankings.

    Args:
        a: Document ids of arm A, best first, without repetition.
        b: Document ids of arm B.
        size: Length of the mixed list.
        seed: The same seed tosses the same coins: experiment and query id.
    """
    # Not for secrets: the draft must be repeatable, on any machine.
    coins = random.Random(seed)  # noqa: S311
    taken: dict[str, ArmName] = {}
    left = {"A": iter(a), "B": iter(b)}
    while len(taken) < size:
        first: tuple[ArmName, ArmName] = ("A", "B") if coins.random() < 0.5 else ("B", "A")
        before = len(taken)
        for team in first:
            best = next((one for one in left[team] if one not in taken), None)
            if best is not None and len(taken) < size:
                taken[best] = team
        if len(taken) == before:
            break
    return Interleaved(tuple(taken), "".join(taken.values()))


def seed_of(experiment: str, query_id: str) -> str:
    """The seed of a query's draft."""
    return f"{experiment}\0{query_id}"


def credit(teams: str, positions: Iterable[int]) -> Credit:
    """Clicks per team; a document that is clicked twice counts once.

    Args:
        teams: One letter per shown document.
        positions: Clicked positions, from 1; those beyond the list count for nobody.
    """
    clicked = [teams[p - 1] for p in set(positions) if 1 <= p <= len(teams)]
    return Credit(clicked.count("A"), clicked.count("B"))
