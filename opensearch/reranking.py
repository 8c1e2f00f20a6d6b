"""Second thoughts: a cross-encoder reads the query with each candidate and orders them anew."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from encoders.base import Reranker
from opensearch.errors import SettingsError
from opensearch.hits import Hit, SearchResult
from opensearch.plan import SearchRequest

DEFAULT_CANDIDATES = 50


class Searches(Protocol):
    """Anything that answers a search request."""

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query."""
        ...


@dataclass(frozen=True)
class Reranking:
    """A search whose first hits are ordered anew.

    Attributes:
        first: Finds the candidates.
        reranker: Scores query and passage together.
        candidates: How many hits are read; those behind them keep their places.
    """

    first: Searches
    reranker: Reranker
    candidates: int = DEFAULT_CANDIDATES

    def __post_init__(self) -> None:
        if self.candidates < 1:
            msg = f"at least one candidate must be read, not {self.candidates}"
            raise SettingsError(msg)

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query: search deep enough, read, cut out the page.

        Raises:
            SearchBackendError: OpenSearch failed.
        """
        end = request.offset + request.size
        deep = replace(request, offset=0, size=max(end, self.candidates), ids_only=False)
        found = self.first.search(deep)
        started = time.perf_counter()
        ordered = self._ordered(request.text, found.hits)
        spent = (time.perf_counter() - started) * 1000
        page = ordered[request.offset : end]
        hits = tuple(replace(hit, rank=n) for n, hit in enumerate(page, start=request.offset + 1))
        return replace(found, hits=hits, rerank_ms=found.rerank_ms + spent)

    def _ordered(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        read, rest = hits[: self.candidates], hits[self.candidates :]
        if not read:
            return []
        scores = self.reranker.score(query, [passage(hit) for hit in read])
        scored = [
            replace(hit, score=float(score), first_rank=hit.rank)
            for hit, score in zip(read, scores, strict=True)
        ]
        return [*sorted(scored, key=lambda hit: -hit.score), *_below(rest, scored)]


def passage(hit: Hit) -> str:
    """What the cross-encoder reads of a hit: title and best passage, as the encoders do."""
    return f"{hit.title}\n{hit.text}" if hit.title else hit.text


def _below(rest: Sequence[Hit], scored: Sequence[Hit]) -> list[Hit]:
    """Hits that were not read, in their order, with scores that fall below those that were."""
    lowest = min(hit.score for hit in scored)
    return [replace(hit, score=lowest - n, first_rank=hit.rank) for n, hit in enumerate(rest, 1)]
