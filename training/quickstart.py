"""The whole job on one corpus: index it, compare the modes, explain a few queries."""

from collections.abc import Sequence
from dataclasses import dataclass

from opensearch.hits import SearchResult
from opensearch.plan import SearchRequest
from opensearch.search import Searcher
from training.evaluation.datasets import Query
from training.evaluation.report import Report

EXAMPLES = 3
EXAMPLE_HITS = 3


@dataclass(frozen=True, slots=True)
class Example:
    """One query, explained.

    Attributes:
        query: The query.
        relevant: Ids of its relevant documents.
        bm25_rank: Rank of the first relevant document by words alone; ``None``: not found.
        hybrid_rank: The same with all legs.
        result: The hybrid search with the score of each leg.
    """

    query: Query
    relevant: frozenset[str]
    bm25_rank: int | None
    hybrid_rank: int | None
    result: SearchResult


def choose_examples(report: Report, count: int = EXAMPLES) -> list[Query]:
    """Queries where hybrid gains most over words alone, of as many kinds and languages as can be.

    The report lists the queries that lost, too.
    """
    ndcg = {mode: report.results[mode].evaluated.values("ndcg@10") for mode in ("bm25", "hybrid")}
    gains = [h - b for b, h in zip(ndcg["bm25"], ndcg["hybrid"], strict=True)]
    ordered = sorted(zip(gains, report.judged, strict=True), key=lambda pair: -pair[0])
    winners = [query for gain, query in ordered if gain > 0]
    first_of_kind = {_kind(query): query for query in reversed(winners)}
    varied = sorted(first_of_kind.values(), key=winners.index)
    others = [query for query in winners if query not in varied]
    return [*varied, *others][:count]


def _kind(query: Query) -> tuple[object, object]:
    return query.metadata.get("lang"), query.metadata.get("kind")


def explain(searcher: Searcher, report: Report, request: SearchRequest, query: Query) -> Example:
    """Search one query with the score of every leg."""
    relevant = frozenset(d for d, grade in report.judged.qrels[query.id].items() if grade > 0)
    return Example(
        query=query,
        relevant=relevant,
        bm25_rank=first_rank(list(report.results["bm25"].run[query.id]), relevant),
        hybrid_rank=first_rank(list(report.results["hybrid"].run[query.id]), relevant),
        result=searcher.search(request),
    )


def first_rank(ranking: Sequence[str], relevant: frozenset[str]) -> int | None:
    """Rank of the first relevant document, from 1."""
    return next((rank for rank, doc in enumerate(ranking, start=1) if doc in relevant), None)
