"""Queries whose first relevant document moved most: what changed, seen by a reader."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from training.compare.outcome import Outcome, SetOutcome
from training.dev_sets import DevSet, read_corpus
from training.evaluation.metrics import PRIMARY
from training.evaluation.runs import Run
from training.exact_search import DEPTH

SNIPPET = 220


@dataclass(frozen=True, slots=True)
class Move:
    """One query before and after.

    Attributes:
        set_name: The set.
        query_id: The query.
        query: What was asked.
        document: The relevant document that stands highest in the better of both rankings.
        before: Rank of the first relevant document by the baseline; None below 100.
        after: The same by the system.
        first_before: What stood first by the baseline.
        first_after: What stood first by the system.
        change: Difference of NDCG@10.
    """

    set_name: str
    query_id: str
    query: str
    document: str
    before: int | None
    after: int | None
    first_before: str | None
    first_after: str | None
    change: float

    @property
    def distance(self) -> float:
        """How often the rank halved (doubled, where negative): 1 to 2 counts like 10 to 20."""
        return math.log2(_depth(self.before) / _depth(self.after))

    @property
    def documents(self) -> tuple[str, ...]:
        """Ids of the documents a reader wants to see."""
        ids = (self.document, self.first_before, self.first_after)
        return tuple(dict.fromkeys(doc_id for doc_id in ids if doc_id is not None))

    def as_dict(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """The move as JSON-ready values, with the documents' texts."""
        return {
            "set": self.set_name,
            "query_id": self.query_id,
            "query": self.query,
            "document": self.document,
            "rank_before": self.before,
            "rank_after": self.after,
            "first_before": self.first_before,
            "first_after": self.first_after,
            "ndcg@10_change": round(self.change, 6),
            "texts": {doc_id: texts[doc_id] for doc_id in self.documents if doc_id in texts},
        }


@dataclass(frozen=True)
class Moves:
    """The moves of one system against the baseline, on one set.

    Attributes:
        set_name: The set.
        label: The system.
        up: Greatest gains first.
        down: Greatest losses first.
        texts: Id -> beginning of the text, of the documents that are shown.
    """

    set_name: str
    label: str
    up: tuple[Move, ...]
    down: tuple[Move, ...]
    texts: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The moves as JSON-ready values."""
        return {
            "set": self.set_name,
            "system": self.label,
            "up": [move.as_dict(self.texts) for move in self.up],
            "down": [move.as_dict(self.texts) for move in self.down],
        }


def find_moves(outcome: Outcome, count: int) -> list[Moves]:
    """The greatest moves of each system on each set.

    Args:
        outcome: What was measured.
        count: How many in each direction, at most.
    """
    found = []
    for entry in outcome.sets:
        pairs = {
            system.label: _moves(entry, system.label, outcome.baseline, count)
            for system in outcome.others
        }
        wanted = {d for up, down in pairs.values() for move in (*up, *down) for d in move.documents}
        texts = document_texts(entry.dev_set, wanted)
        found += [Moves(entry.name, label, *pair, texts) for label, pair in pairs.items()]
    return found


def document_texts(dev_set: DevSet, wanted: Iterable[str]) -> dict[str, str]:
    """Beginnings of some documents' texts, in one pass over the corpus."""
    ids = set(wanted)
    if not ids:
        return {}
    pairs = read_corpus(dev_set.corpus)
    return {doc_id: snippet(text) for doc_id, text in pairs if doc_id in ids}


def snippet(text: str) -> str:
    """The beginning of a text on one line."""
    text = " ".join(text.split())
    return text if len(text) <= SNIPPET else text[: SNIPPET - 1].rstrip() + "…"


def shown_rank(rank: int | None) -> str:
    """A rank for people."""
    return str(rank) if rank is not None else f"below {DEPTH}"


def _moves(
    entry: SetOutcome, label: str, baseline: str, count: int
) -> tuple[tuple[Move, ...], tuple[Move, ...]]:
    moves = [_move(entry, query_id, label, baseline) for query_id in entry.dev_set.query_ids]
    moves.sort(key=lambda move: -move.distance)  # stable: equals stay in the order of the file
    up = [move for move in moves[:count] if move.distance > 0]
    down = [move for move in reversed(moves) if move.distance < 0][:count]
    return tuple(up), tuple(down)


def _move(entry: SetOutcome, query_id: str, label: str, baseline: str) -> Move:
    judged = entry.dev_set.judged
    relevant = {d for d, grade in judged.qrels[query_id].items() if grade > 0}
    before, after = entry.measured[baseline], entry.measured[label]
    old, first_old = _first_relevant(before.run, query_id, relevant)
    new, first_new = _first_relevant(after.run, query_id, relevant)
    better = first_new if _depth(new) <= _depth(old) else first_old
    ndcg = [m.evaluated.per_query[query_id][PRIMARY] for m in (before, after)]
    return Move(
        set_name=entry.name,
        query_id=query_id,
        query=judged.queries[query_id].text,
        document=better or min(relevant),
        before=old,
        after=new,
        first_before=next(iter(before.run.get(query_id, {})), None),
        first_after=next(iter(after.run.get(query_id, {})), None),
        change=ndcg[1] - ndcg[0],
    )


def _first_relevant(
    run: Run, query_id: str, relevant: set[str]
) -> tuple[int, str] | tuple[None, None]:
    for rank, doc_id in enumerate(run.get(query_id, {}), start=1):
        if doc_id in relevant:
            return rank, doc_id
    return None, None


def _depth(rank: int | None) -> int:
    return rank if rank is not None else DEPTH + 1
