"""Candidates of every dev query, searched once and then fused in thousands of ways."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from opensearch.fusion import Fusion, Leg
from opensearch.hits import Candidates
from opensearch.plan import SearchRequest
from opensearch.search import Searcher
from training.errors import EvaluationError
from training.evaluation.datasets import JudgedQueries


@dataclass(frozen=True, slots=True)
class Pool:
    """One judged query and what each leg found for it.

    Attributes:
        query_id: The query.
        candidates: Candidates of each leg, as deep as the deepest variant.
        judged: Grade of each judged document.
    """

    query_id: str
    candidates: Candidates
    judged: Mapping[str, int]


def collect(
    searcher: Searcher,
    judged: JudgedQueries,
    fusion: Fusion,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Pool]:
    """Search every leg for every query.

    Args:
        searcher: Searches the index.
        judged: Dev queries with judgements.
        fusion: Its depth is searched, its bounds are kept.
        progress: Called with the number done and the number of queries.

    Raises:
        SearchBackendError: A search failed.
    """
    for done, query in enumerate(judged, start=1):
        request = SearchRequest(query.text, size=1, fusion=fusion, ids_only=True)
        found = searcher.candidates(request)
        yield Pool(query.id, found, judged.qrels[query.id])
        if progress is not None:
            progress(done, len(judged))


def legs_of(pools: list[Pool]) -> list[Leg]:
    """The legs that found anything at all, in their usual order.

    Raises:
        EvaluationError: There is nothing to fuse.
    """
    order: tuple[Leg, ...] = ("bm25", "dense", "sparse")
    legs = [leg for leg in order if any(pool.candidates.rankings.get(leg) for pool in pools)]
    if len(legs) < 2:
        msg = (
            f"there is nothing to tune: only {', '.join(legs) or 'no leg'} found anything. Build "
            "the index with a dense or a sparse model that knows the language of these queries."
        )
        raise EvaluationError(msg)
    return legs
