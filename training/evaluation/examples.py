"""Queries on which a mode gained or lost most against the baseline."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.evaluation.metrics import PRIMARY
from training.evaluation.report import Report
from training.evaluation.results import HYBRID
from training.evaluation.runs import relevant_ranks

DOCUMENTS_PER_EXAMPLE = 3


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A relevant document and where each mode put it.

    Attributes:
        doc_id: The document.
        grade: Its grade.
        ranks: Mode -> rank from 1, or None where it was not returned.
    """

    doc_id: str
    grade: int
    ranks: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Example:
    """One query before and after.

    Attributes:
        query_id: The query.
        text: What was asked.
        before: The baseline's NDCG@10.
        after: The focus mode's NDCG@10.
        documents: The relevant documents of the highest grades, a few at most.
        relevant: How many relevant documents there are in all.
    """

    query_id: str
    text: str
    before: float
    after: float
    documents: tuple[RankedDocument, ...]
    relevant: int

    @property
    def difference(self) -> float:
        """What the query gained."""
        return self.after - self.before


def focus_mode(report: Report) -> str | None:
    """The mode that examples are about: hybrid, else the best one besides the baseline."""
    others = [mode for mode in report.results if mode != report.baseline]
    if not others:
        return None
    if HYBRID in others:
        return HYBRID
    return max(others, key=lambda mode: report.metric(mode, PRIMARY))


def wins_and_losses(report: Report, count: int = 5) -> tuple[list[Example], list[Example]]:
    """The queries with the greatest gains and those with the greatest losses.

    Args:
        report: The evaluation.
        count: How many of each, at most.

    Returns:
        Gains, greatest first, and losses, greatest first; both empty with a single mode.
    """
    focus = focus_mode(report)
    if focus is None:
        return [], []
    base = report.results[report.baseline].evaluated.per_query
    ours = report.results[focus].evaluated.per_query
    change = {query_id: ours[query_id][PRIMARY] - base[query_id][PRIMARY] for query_id in base}
    order = sorted(change, key=lambda query_id: -change[query_id])
    wins = [query_id for query_id in order[:count] if change[query_id] > 0]
    losses = [query_id for query_id in order[::-1][:count] if change[query_id] < 0]
    return (
        [_example(report, query_id, focus) for query_id in wins],
        [_example(report, query_id, focus) for query_id in losses],
    )


def _example(report: Report, query_id: str, focus: str) -> Example:
    judged = report.judged.qrels[query_id]
    by_mode = {
        mode: relevant_ranks(result.run[query_id], judged)
        for mode, result in report.results.items()
    }
    relevant = by_mode[focus]
    # Those that some mode found tell more than those that none did.
    found_first = sorted(
        relevant, key=lambda d: all(ranks[d][1] is None for ranks in by_mode.values())
    )
    documents = tuple(
        RankedDocument(
            doc_id, relevant[doc_id][0], {mode: ranks[doc_id][1] for mode, ranks in by_mode.items()}
        )
        for doc_id in found_first[:DOCUMENTS_PER_EXAMPLE]
    )
    return Example(
        query_id=query_id,
        text=report.judged.queries[query_id].text,
        before=report.results[report.baseline].evaluated.per_query[query_id][PRIMARY],
        after=report.results[focus].evaluated.per_query[query_id][PRIMARY],
        documents=documents,
        relevant=len(relevant),
    )
