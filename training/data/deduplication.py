"""Equal queries become one record; queries that are nearly equal are listed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.data.near_duplicates import NEAR, NearDuplicates
from training.data.normalising import text_key
from training.data.records import TrainingRecord
from training.data.set_aside import SetAside

SAME_QUERY = "same query as another record; its texts were added to that one"


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two queries that are nearly equal.

    Attributes:
        query: The later one.
        other: The earlier one.
        likeness: Share of common trigrams.
    """

    query: str
    other: str
    likeness: float

    def as_dict(self) -> dict[str, Any]:
        """One line of the list."""
        return {"query": self.query, "other": self.other, "likeness": round(self.likeness, 4)}


def merge_equal_queries(
    source: Callable[[], Iterable[TrainingRecord]],
) -> Iterator[TrainingRecord | SetAside]:
    """One record per query, with the texts of all records of that query.

    Two records of one query would be each other's false negatives within a batch.

    Args:
        source: Gives the records, in the same order each time; they are read twice.

    Yields:
        The merged records at the place of the first, and the later ones as set aside.
    """
    seen: set[str] = set()
    later: dict[str, list[TrainingRecord]] = {}
    for record in source():
        key = text_key(record.query)
        if key in seen:
            later.setdefault(key, []).append(record)
        seen.add(key)
    for record in source():
        key = text_key(record.query)
        if key not in seen:
            yield SetAside(SAME_QUERY, record, record.query)
            continue
        seen.discard(key)
        yield merged([record, *later[key]]) if key in later else record


def merged(records: Sequence[TrainingRecord]) -> TrainingRecord:
    """Records of one query as one; a text that is relevant anywhere is not irrelevant.

    Scores and ids are kept only where all records have them.
    """
    pos, pos_scores, pos_ids = _joined(records, "pos", set())
    neg, neg_scores, neg_ids = _joined(records, "neg", {text_key(text) for text in pos})
    return replace(
        records[0],
        pos=pos,
        neg=neg,
        pos_scores=pos_scores,
        neg_scores=neg_scores,
        pos_ids=pos_ids,
        neg_ids=neg_ids,
    )


def near_pairs(records: Iterable[TrainingRecord], threshold: float = NEAR) -> Iterator[NearPair]:
    """Pairs of queries that resemble each other, each pair once.

    Raises:
        MissingExtraError: datasketch is not installed.
    """
    known = NearDuplicates(threshold)
    for record in records:
        for other, likeness in known.like(record.query):
            yield NearPair(record.query, other, likeness)
        known.add(record.query)


def _joined(
    records: Sequence[TrainingRecord], side: str, taken: set[str]
) -> tuple[tuple[str, ...], tuple[float, ...] | None, tuple[str, ...]]:
    sides = [
        (getattr(r, side), getattr(r, f"{side}_scores"), getattr(r, f"{side}_ids")) for r in records
    ]
    filled = [entry for entry in sides if entry[0]]
    scored = all(scores is not None for _, scores, _ in filled) and bool(filled)
    named = all(ids for _, _, ids in filled)
    kept: list[tuple[str, float, str]] = []
    for texts, scores, ids in filled:
        for place, text in enumerate(texts):
            if text_key(text) in taken:
                continue
            taken.add(text_key(text))
            kept.append((text, scores[place] if scored else 0.0, ids[place] if named else ""))
    return (
        tuple(text for text, _, _ in kept),
        tuple(score for _, score, _ in kept) if scored else None,
        tuple(doc for _, _, doc in kept) if named else (),
    )
