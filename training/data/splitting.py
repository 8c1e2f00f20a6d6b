"""Training and dev data without anything in common: split by the documents that answer."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from training.data.normalising import text_key
from training.data.records import TrainingRecord


class Groups:
    """Keys that must stay together.

    Tarjan, "Efficiency of a good but not linear set union algorithm", 1975.
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def join(self, keys: Iterable[str]) -> None:
        """Put all keys, and whatever each is together with, into one group."""
        roots = [self.group(key) for key in keys]
        for root in roots[1:]:
            first, second = sorted((self.group(roots[0]), root))
            self._parents[second] = first

    def group(self, key: str) -> str:
        """The name of a key's group."""
        path = []
        while (parent := self._parents.setdefault(key, key)) != key:
            path.append(key)
            key = parent
        for passed in path:
            self._parents[passed] = key
        return key


@dataclass(frozen=True)
class Split:
    """Which groups are dev data.

    Attributes:
        groups: Keys that stay together.
        dev: Names of the groups on the dev side.
    """

    groups: Groups
    dev: frozenset[str]

    def is_dev(self, record: TrainingRecord) -> bool:
        """Whether a record is dev data."""
        return self.groups.group(_query_key(record.query)) in self.dev


def plan_split(
    records: Iterable[TrainingRecord],
    share: float,
    seed: int,
    together: Iterable[tuple[str, str]] = (),
) -> Split:
    """Decide which records are dev data.

    Records that share a relevant document, by its id or by its text, stay together, and so do
    equal queries. A group that is larger than what is still wanted stays in training.

    Args:
        records: All records; only hashes of their texts are held.
        share: Share of the records that becomes dev data, 0..1.
        seed: Another seed draws other groups.
        together: Pairs of queries that must be on one side as well.
    """
    groups = Groups()
    sizes: Counter[str] = Counter()
    for record in records:
        groups.join(_keys(record))
        sizes[_query_key(record.query)] += 1
    for one, other in together:
        groups.join((_query_key(one), _query_key(other)))
    counted: Counter[str] = Counter()
    for key, count in sizes.items():
        counted[groups.group(key)] += count
    return Split(groups, frozenset(draw(counted, share, seed)))


def draw(sizes: Counter[str], share: float, seed: int) -> Iterator[str]:
    """Groups in an order that the seed decides, until the share of the whole is reached."""
    wanted = round(share * sizes.total())
    if share > 0 and not wanted:
        wanted = 1
    for group in sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest()):
        if sizes[group] <= wanted:
            wanted -= sizes[group]
            yield group
        if not wanted:
            return


def _keys(record: TrainingRecord) -> Iterator[str]:
    yield _query_key(record.query)
    yield from (f"text/{text_key(text)}" for text in record.pos)
    yield from (f"id/{doc}" for doc in record.pos_ids)


def _query_key(query: str) -> str:
    return f"query/{text_key(query)}"
