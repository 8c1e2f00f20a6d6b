"""Batches of records: each from one set, drawn by the sets' weights, the same for the same seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from training.data.records import TrainingRecord
from training.errors import TrainingError


@dataclass(frozen=True)
class RecordSet:
    """Records of one set, in memory.

    Attributes:
        name: For messages.
        records: At least one.
        weight: Share of the batches among all sets.
        teacher: Whether the teachers' scores are followed.
        corpus: Corpus whose statistics count in its batches.
    """

    name: str
    records: Sequence[TrainingRecord]
    weight: float
    teacher: bool = True
    corpus: Path | None = None


@dataclass(frozen=True)
class Batch:
    """The texts of one step.

    Attributes:
        queries: ``Q`` texts.
        documents: The positive of each query, then hard negatives.
        negatives: The column of each query's first hard negative; ``None`` where one has none.
        excluded: Pairs (query, column) of documents that are relevant, too.
        scores: Teacher's scores the records carry: (query, column) -> score.
        teacher: Whether the teachers' scores are followed.
        corpus: Corpus whose statistics count; ``None`` for those of the whole run.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    negatives: tuple[int, ...] | None
    excluded: tuple[tuple[int, int], ...]
    scores: dict[tuple[int, int], float]
    teacher: bool = True
    corpus: Path | None = None


@dataclass
class Batches:
    """An endless sequence of batches, addressed by number.

    Attributes:
        sets: What is drawn from.
        size: Queries per batch.
        negatives: Hard negatives per query.
        seed: The same seed gives the same batches.
        rank: This process's number; each process draws its own.
        processes: How many there are.
    """

    sets: Sequence[RecordSet]
    size: int
    negatives: int
    seed: int
    rank: int = 0
    processes: int = 1
    # Set of each batch so far, and how many batches that set had given before.
    _plan: list[tuple[int, int]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        for entry in self.sets:
            if len(entry.records) < self.size * self.processes:
                msg = (
                    f"{entry.name} holds {len(entry.records)} records, fewer than a batch of "
                    f"{self.size * self.processes}. Lower training.batch_size or add records."
                )
                raise TrainingError(msg)
        self._draw = random.Random(self.seed)  # noqa: S311
        self._given = [0] * len(self.sets)

    @property
    def per_epoch(self) -> int:
        """Batches in one pass over as many records as there are."""
        records = sum(len(entry.records) for entry in self.sets)
        return max(1, records // (self.size * self.processes))

    def batch(self, number: int) -> Batch:
        """The batch of a step: it depends on nothing but seed, process and number."""
        chosen, before = self._planned(number)
        entry = self.sets[chosen]
        draw = random.Random(f"{self.seed}/{number}/{self.rank}")  # noqa: S311
        found = assemble(self._records(chosen, before), self.negatives, draw)
        return replace(found, teacher=entry.teacher, corpus=entry.corpus)

    def _planned(self, number: int) -> tuple[int, int]:
        weights = [entry.weight for entry in self.sets]
        while len(self._plan) <= number:
            chosen = self._draw.choices(range(len(self.sets)), weights)[0]
            self._plan.append((chosen, self._given[chosen]))
            self._given[chosen] += 1
        return self._plan[number]

    def _records(self, chosen: int, before: int) -> list[TrainingRecord]:
        """The next records of a set's shuffled order: each comes at most once per pass."""
        records = self.sets[chosen].records
        together = self.size * self.processes
        passed, place = divmod(before, len(records) // together)
        order = _shuffled(len(records), f"{self.seed}/{chosen}/{passed}")
        start = place * together + self.rank * self.size
        distinct = {records[p].query: records[p] for p in order[start : start + self.size]}
        return list(distinct.values())


def assemble(records: Sequence[TrainingRecord], negatives: int, draw: random.Random) -> Batch:
    """Draw a positive and negatives for each record and lay them side by side."""
    documents: list[str] = []
    scores: dict[tuple[int, int], float] = {}
    for row, record in enumerate(records):
        place = draw.randrange(len(record.pos))
        if record.pos_scores is not None:
            scores[row, len(documents)] = record.pos_scores[place]
        documents.append(record.pos[place])
    first: list[int] = []
    for row, record in enumerate(records):
        places = draw.sample(range(len(record.neg)), min(negatives, len(record.neg)))
        if places:
            first.append(len(documents))
        for place in places:
            if record.neg_scores is not None:
                scores[row, len(documents)] = record.neg_scores[place]
            documents.append(record.neg[place])
    return Batch(
        queries=tuple(record.query for record in records),
        documents=tuple(documents),
        negatives=tuple(first) if len(first) == len(records) else None,
        excluded=tuple(_excluded(records, documents)),
        scores=scores,
    )


def _excluded(
    records: Sequence[TrainingRecord], documents: Sequence[str]
) -> Iterator[tuple[int, int]]:
    for row, record in enumerate(records):
        relevant = set(record.pos)
        for column, text in enumerate(documents):
            if column != row and text in relevant:
                yield row, column


@lru_cache(maxsize=16)
def _shuffled(size: int, seed: str) -> list[int]:
    order = list(range(size))
    random.Random(seed).shuffle(order)  # noqa: S311
    return order
