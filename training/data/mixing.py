"""Sets in given proportions: a general set beside one's own, so that the model does not forget."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from training.data.errors import TrainingDataError
from training.data.records import TrainingRecord

Source = Callable[[], Iterable[TrainingRecord]]


@dataclass(frozen=True, slots=True)
class Part:
    """What is taken of one set.

    Attributes:
        source: Gives the records, in the same order each time.
        available: How many there are.
        taken: How many are taken.
    """

    source: Source
    available: int
    taken: int


def amounts(own: int, shares: Mapping[str, float]) -> dict[str, int]:
    """How many records of each other set make its share of the whole.

    Args:
        own: Records of one's own data, all of which are kept.
        shares: Share of the mixture of each other set, 0..1.

    Raises:
        TrainingDataError: A share is none, or they leave nothing for one's own data.
    """
    total = sum(shares.values())
    wrong = [name for name, share in shares.items() if not 0 < share < 1]
    if wrong or total >= 1:
        what = f"the share of {wrong[0]}" if wrong else f"the sum of all shares ({total:g})"
        raise TrainingDataError([f"{what} must be above 0 and below 1"])
    return {name: round(own * share / (1 - total)) for name, share in shares.items()}


def mix(parts: Sequence[Part], seed: int) -> Iterator[TrainingRecord]:
    """Records of all parts, evenly interleaved; each part keeps its order.

    Args:
        parts: What is taken of each set; a set with fewer records than wanted gives all.
        seed: Of the drawing.
    """
    rng = random.Random(seed)  # noqa: S311 - a drawing, no secret
    streams = [_drawn(part, rng) for part in parts]
    left = [min(part.taken, part.available) for part in parts]
    while any(left):
        (place,) = rng.choices(range(len(parts)), weights=left)
        left[place] -= 1
        yield next(streams[place])


def _drawn(part: Part, rng: random.Random) -> Iterator[TrainingRecord]:
    if part.taken >= part.available:
        return iter(part.source())
    chosen = set(rng.sample(range(part.available), part.taken))
    return (record for place, record in enumerate(part.source()) if place in chosen)
