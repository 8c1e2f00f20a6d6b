"""Mines negatives for records, a batch of queries at a time, in a file that can be resumed."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from encoders.batching import batched
from training.data.mining.finders import Finder
from training.data.mining.selection import (
    Candidate,
    Selection,
    choose,
    drawing,
    is_relevant,
    limit,
    window,
    without_relevant,
)
from training.data.mining.teachers import Teacher
from training.data.normalising import normalised, text_key
from training.data.progress_log import ProgressLog
from training.data.records import TrainingRecord


@dataclass(frozen=True)
class Miner:
    """Finds, judges and chooses negatives.

    Attributes:
        finder: Finds candidates.
        selection: How negatives are chosen.
        teacher: Judges candidates; its scores are kept with the texts.
        pool: What random negatives are drawn from.
        keep_own: Keep the negatives a record has and fill up with mined ones.
    """

    finder: Finder
    selection: Selection
    teacher: Teacher | None = None
    pool: Sequence[Candidate] = ()
    keep_own: bool = False

    def mine(self, records: Sequence[TrainingRecord]) -> list[TrainingRecord]:
        """The records with negatives; one for which none is left has none.

        Raises:
            SearchBackendError: The search failed.
            EncoderError: An encoder failed.
        """
        queries = [record.query for record in records]
        rankings = self.finder.find(queries, self.selection.to_rank)
        if self.teacher is not None:
            teacher = self.teacher
            return [self._taught(teacher, *pair) for pair in zip(records, rankings, strict=True)]
        lowest = self.finder.lowest(queries, [record.pos for record in records])
        found: Sequence[float | None] = lowest or [
            _found(*pair) for pair in zip(records, rankings, strict=True)
        ]
        return [
            self._untaught(record, ranking, score)
            for record, ranking, score in zip(records, rankings, found, strict=True)
        ]

    def _untaught(
        self, record: TrainingRecord, ranking: Sequence[Candidate], positive: float | None
    ) -> TrainingRecord:
        hard, drawn, own = self._parts(record, ranking)
        highest = limit(positive, self.selection.margin)
        return _with(record, self._filled(own, choose(hard, drawn, highest, self.selection)))

    def _taught(
        self, teacher: Teacher, record: TrainingRecord, ranking: Sequence[Candidate]
    ) -> TrainingRecord:
        pos = tuple(float(score) for score in teacher.score(record.query, record.pos))
        parts = self._parts(record, ranking)
        hard, drawn, own = (_judged(teacher, record.query, part) for part in parts)
        highest = limit(min(pos), self.selection.margin)
        # A text drawn at random may answer as well: the teacher has seen it.
        drawn = [candidate for candidate in drawn if candidate.score <= highest]
        chosen = self._filled(own, choose(hard, drawn, highest, self.selection))
        scores = tuple(candidate.score for candidate in chosen)
        return replace(_with(record, chosen), pos_scores=pos, neg_scores=scores)

    def _parts(
        self, record: TrainingRecord, ranking: Sequence[Candidate]
    ) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
        """Hard candidates, random ones, and the record's own negatives."""
        hard = without_relevant(window(ranking, self.selection), record)
        drawn = drawing(record, self.pool, self.selection)
        return hard, drawn, _own(record) if self.keep_own else []

    def _filled(self, own: list[Candidate], found: list[Candidate]) -> list[Candidate]:
        known = {text_key(candidate.text) for candidate in own}
        more = [candidate for candidate in found if text_key(candidate.text) not in known]
        return [*own, *more][: max(len(own), self.selection.negatives)]


@dataclass(frozen=True)
class Mined:
    """What a run did.

    Attributes:
        records: Records mined in this run.
        skipped: Records that an earlier run had done.
        negatives: Number of negatives -> records with so many, both runs together.
    """

    records: int
    skipped: int
    negatives: Counter[int] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON-ready values."""
        count = self.negatives.total()
        total = sum(number * records for number, records in self.negatives.items())
        return {
            "records": self.records,
            "skipped": self.skipped,
            "negatives": total,
            "per_record": round(total / count, 3) if count else 0.0,
            "without": self.negatives[0],
            "records_by_negatives": {str(n): self.negatives[n] for n in sorted(self.negatives)},
        }


def mine_file(
    records: Iterable[TrainingRecord],
    miner: Miner,
    log: ProgressLog,
    *,
    batch: int = 64,
    progress: Callable[[int], None] = lambda _: None,
) -> Mined:
    """Mine all records that the log does not hold yet, and append them to it.

    Args:
        records: The records.
        miner: Mines them.
        log: The output; a record is known by its query and its relevant texts.
        batch: Queries searched at a time.
        progress: Told how many records are done, those of earlier runs included.
    """
    done: set[str] = set()
    negatives: Counter[int] = Counter()
    for line in log.lines():
        done.add(_key(line["query"], line["pos"]))
        negatives[len(line["neg"])] += 1
    skipped, mined = len(done), 0
    left = (record for record in records if _key(record.query, record.pos) not in done)
    with log:
        for part in batched(left, batch):
            found = miner.mine(part)
            log.write([record.as_dict() for record in found])
            negatives.update(len(record.neg) for record in found)
            mined += len(found)
            progress(skipped + mined)
    return Mined(mined, skipped, negatives)


def sample(items: Iterable[Candidate], size: int, rng: Any) -> list[Candidate]:
    """An even sample of a stream (Vitter, "Random sampling with a reservoir", 1985)."""
    kept: list[Candidate] = []
    for count, item in enumerate(items):
        if len(kept) < size:
            kept.append(item)
        elif (place := rng.randint(0, count)) < size:
            kept[place] = item
    return kept


def _found(record: TrainingRecord, ranking: Sequence[Candidate]) -> float | None:
    """Lowest score of the relevant texts that stand in a ranking."""
    texts = [normalised(text) for text in record.pos]
    found = [c.score for c in ranking if is_relevant(c, record.pos_ids, texts)]
    return min(found, default=None)


def _judged(teacher: Teacher, query: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    if not candidates:
        return []
    scores = teacher.score(query, [candidate.text for candidate in candidates])
    return [replace(c, score=float(s)) for c, s in zip(candidates, scores, strict=True)]


def _key(query: str, pos: Sequence[str]) -> str:
    return text_key("\0".join((query, *pos)))


def _own(record: TrainingRecord) -> list[Candidate]:
    ids = record.neg_ids or ("",) * len(record.neg)
    return [Candidate(doc, text) for doc, text in zip(ids, record.neg, strict=True)]


def _with(record: TrainingRecord, chosen: Sequence[Candidate]) -> TrainingRecord:
    ids = tuple(candidate.id for candidate in chosen)
    return replace(
        record,
        neg=tuple(candidate.text for candidate in chosen),
        neg_ids=ids if all(ids) else (),
        pos_scores=None,
        neg_scores=None,
    )
