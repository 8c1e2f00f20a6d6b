"""Coarse to fine: find the documents by their large chunks, then the passage inside them."""

from dataclasses import dataclass, replace

from opensearch.errors import SettingsError
from opensearch.filters import any_of
from opensearch.hits import SearchResult
from opensearch.index_info import IndexInfo
from opensearch.plan import SearchRequest
from opensearch.queries import Clause
from opensearch.reranking import Searches

DEFAULT_DOCUMENTS = 100
# In the filter of a SEISMIC field each document is a clause, and OpenSearch takes 1024 in a query.
MOST_DOCUMENTS = 200


@dataclass(frozen=True)
class TwoStage:
    """A search in two stages over an index with two levels of chunks.

    Attributes:
        first: Searches one level.
        info: The index.
        documents: How many documents the coarse stage hands on.
    """

    first: Searches
    info: IndexInfo
    documents: int = DEFAULT_DOCUMENTS

    def __post_init__(self) -> None:
        if not self.info.two_level:
            msg = (
                f"{self.info.name} has one level of chunks. Build it with "
                "`tandem index … --chunking two-level` to search in two stages."
            )
            raise SettingsError(msg)
        if not 1 <= self.documents <= MOST_DOCUMENTS:
            msg = f"the coarse stage hands on 1 to {MOST_DOCUMENTS} documents, not {self.documents}"
            raise SettingsError(msg)

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query: documents by their coarse chunks, ranked by their fine ones.

        Raises:
            SearchBackendError: OpenSearch failed.
        """
        wanted = max(self.documents, request.offset + request.size)
        coarse = replace(
            request,
            level="coarse",
            size=wanted,
            offset=0,
            ids_only=True,
            leg_scores=False,
            highlight=False,
            tokens=False,
        )
        found = self.first.search(coarse)
        if not found.hits:
            return found
        fine = self.first.search(replace(request, filters=[*request.filters, self._inside(found)]))
        return replace(
            fine,
            encode_ms=fine.encode_ms + found.encode_ms,
            search_ms=fine.search_ms + found.search_ms,
        )

    def _inside(self, found: SearchResult) -> Clause:
        ids = [hit.id for hit in found.hits]
        return any_of("doc_id", ids) if self.info.seismic else {"terms": {"doc_id": ids}}
