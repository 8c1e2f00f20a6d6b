"""What every trainer learns from: a query, texts that answer it, texts that do not."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.whole_files import whole_file


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One query with its relevant and its irrelevant texts (the form of FlagEmbedding).

    Attributes:
        query: The question.
        pos: Relevant texts, at least one.
        neg: Texts that are not relevant; may be empty.
        pos_scores: A teacher's score of each relevant text.
        neg_scores: A teacher's score of each irrelevant text.
        query_id: The query's id, where its source has one.
        pos_ids: Ids of the relevant texts, as many as texts, or none.
        neg_ids: Ids of the irrelevant texts, as many as texts, or none.
    """

    query: str
    pos: tuple[str, ...]
    neg: tuple[str, ...] = ()
    pos_scores: tuple[float, ...] | None = None
    neg_scores: tuple[float, ...] | None = None
    query_id: str | None = None
    pos_ids: tuple[str, ...] = ()
    neg_ids: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The record as one line of a JSONL file; what it does not have is left out."""
        values = {
            "query_id": self.query_id,
            "query": self.query,
            "pos": list(self.pos),
            "neg": list(self.neg),
            "pos_scores": None if self.pos_scores is None else list(self.pos_scores),
            "neg_scores": None if self.neg_scores is None else list(self.neg_scores),
            "pos_ids": list(self.pos_ids) or None,
            "neg_ids": list(self.neg_ids) or None,
        }
        return {name: value for name, value in values.items() if value is not None}


def write_records(records: Iterable[TrainingRecord], path: Path) -> int:
    """Write records as JSON lines that :func:`training.data.readers.read_records` reads.

    The file appears whole or not at all: an interrupted run leaves no half of it.

    Args:
        records: The records; only one at a time is held.
        path: The file to write; its folder is made where it is missing.

    Returns:
        How many were written.
    """
    count = 0
    with whole_file(path) as part, part.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record.as_dict(), ensure_ascii=False) + "\n")
            count += 1
    return count
