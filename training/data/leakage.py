"""What is measured must not be trained on: evaluation queries are taken out of training data."""

from collections.abc import Iterable, Iterator, Mapping

from training.data.near_duplicates import NEAR, NearDuplicates
from training.data.normalising import text_key
from training.data.records import TrainingRecord
from training.data.set_aside import SetAside

SAME = "same query as one of the evaluation set"
NEARLY = "nearly the same query as one of the evaluation set"


class EvaluationQueries:
    """Queries that are measured, asked whether a training query is one of them."""

    def __init__(self, queries: Iterable[str], threshold: float = NEAR) -> None:
        """Hold queries.

        Args:
            queries: Their texts.
            threshold: Least share of common trigrams of two queries that are nearly the same.

        Raises:
            MissingExtraError: datasketch is not installed.
        """
        self._equal: dict[str, str] = {}
        self._near = NearDuplicates(threshold)
        for query in queries:
            self._equal.setdefault(text_key(query), query)
            self._near.add(query)

    def __len__(self) -> int:
        return len(self._equal)

    def match(self, query: str) -> tuple[str, str] | None:
        """Why a query must not be trained on, and the query it resembles; ``None`` if it may."""
        equal = self._equal.get(text_key(query))
        if equal is not None:
            return SAME, equal
        near = max(self._near.like(query), key=lambda pair: pair[1], default=None)
        return None if near is None else (NEARLY, near[0])


def remove_leaks(
    items: Iterable[TrainingRecord | SetAside], evaluation: EvaluationQueries
) -> Iterator[TrainingRecord | SetAside]:
    """Set aside the records whose query is, or nearly is, an evaluation query."""
    for item in items:
        found = evaluation.match(item.query) if isinstance(item, TrainingRecord) else None
        if found is None or isinstance(item, SetAside):
            yield item
        else:
            yield SetAside(found[0], item, found[1])


def shared_positives(records: Iterable[TrainingRecord], relevant: Mapping[str, str]) -> int:
    """Records with a relevant text that also answers an evaluation query.

    Such records may stay (both may ask the same collection), but a score that leans on them says
    little about documents nobody trained on.

    Args:
        records: Training records.
        relevant: Texts that are relevant in the evaluation set, by id.
    """
    keys = {text_key(text) for text in relevant.values()}
    return sum(any(text_key(text) in keys for text in record.pos) for record in records)
