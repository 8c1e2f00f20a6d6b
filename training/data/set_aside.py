"""Records that are not trained on, with the reason: nothing disappears silently."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data.records import TrainingRecord


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that was taken out.

    Attributes:
        reason: Why, in a few words that are the same for all of a kind.
        record: The record as it was.
        other: The text it was compared with.
    """

    reason: str
    record: TrainingRecord
    other: str = ""

    def as_dict(self) -> dict[str, Any]:
        """One line of the file of records that were set aside."""
        return {"reason": self.reason, "other": self.other, "record": self.record.as_dict()}


def keep_apart(
    items: Iterable[TrainingRecord | SetAside], path: Path, counts: Counter[str]
) -> Iterator[TrainingRecord]:
    """Pass the records; write what was set aside to a file and count it by its reason."""
    with path.open("w", encoding="utf-8") as file:
        for item in items:
            if isinstance(item, TrainingRecord):
                yield item
                continue
            counts[item.reason] += 1
            file.write(json.dumps(item.as_dict(), ensure_ascii=False) + "\n")
