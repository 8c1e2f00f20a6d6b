"""How alike two rankings are.

Rank-biased overlap: Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", ACM
TOIS 28(4), 2010. A reader who goes on to the next rank with probability ``p`` sees agreement
``A_d = |first d of one and of the other| / d``; the overlap is its expectation,
``(1 - p) sum_d p^(d-1) A_d``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# The first ten ranks carry 86 % of the weight.
DEFAULT_P = 0.9


@dataclass(frozen=True, slots=True)
class RankBiasedOverlap:
    """Overlap of two rankings of which only the beginnings are known.

    Attributes:
        least: Lower bound, whatever follows (equation 11).
        extrapolated: Estimate that goes on as the beginnings were (equation 32): 1 for equal
            rankings, 0 for rankings without anything in common.
    """

    least: float
    extrapolated: float


def overlap_at(first: Sequence[str], second: Sequence[str], k: int) -> float:
    """Share of the first ``k`` that both have; rankings that end before count as they are.

    Two empty rankings agree.
    """
    top, other = set(first[:k]), set(second[:k])
    longest = max(len(top), len(other))
    return len(top & other) / longest if longest else 1.0


def rank_biased_overlap(
    first: Sequence[str], second: Sequence[str], p: float = DEFAULT_P
) -> RankBiasedOverlap:
    """Compare two rankings without repetitions.

    Args:
        first: Ids, best first.
        second: The same; the lengths may differ.
        p: Persistence, between 0 and 1: the larger, the more deep ranks count.

    Raises:
        ValueError: ``p`` is out of range.
    """
    if not 0 < p < 1:
        msg = f"p is {p:g}; it must lie between 0 and 1"
        raise ValueError(msg)
    shorter, longer = sorted((len(first), len(second)))
    if shorter == 0:
        equal = float(longer == 0)
        return RankBiasedOverlap(equal, equal)
    common = _common(first, second)
    return RankBiasedOverlap(_least(common, p), _extrapolated(common, shorter, p))


def _common(first: Sequence[str], second: Sequence[str]) -> list[int]:
    """How many ids the two have in common at each depth, up to the end of the longer."""
    seen: tuple[set[str], set[str]] = set(), set()
    common = []
    for depth in range(max(len(first), len(second))):
        for ranking, ids in zip((first, second), seen, strict=True):
            ids.update(ranking[depth : depth + 1])
        common.append(len(seen[0] & seen[1]))
    return common


def _least(common: Sequence[int], p: float) -> float:
    last = common[-1]
    known = sum((x - last) * p**d / d for d, x in enumerate(common, 1))
    return max(0.0, (1 - p) / p * (known - last * math.log1p(-p)))


def _extrapolated(common: Sequence[int], shorter: int, p: float) -> float:
    longer = len(common)
    at_shorter, last = common[shorter - 1], common[-1]
    known = sum(x * p**d / d for d, x in enumerate(common, 1))
    # What the shorter ranking would have added, had it gone on as it was.
    assumed = sum(
        at_shorter * (d - shorter) / (shorter * d) * p**d for d in range(shorter + 1, longer + 1)
    )
    tail = (last - at_shorter) / longer + at_shorter / shorter
    return min(1.0, (1 - p) / p * (known + assumed) + tail * p**longer)
