"""The index as the end of the ingest pipeline."""

from collections.abc import Mapping, Sequence
from typing import Any

from ingest.records import Chunk, EncodedChunk, Window
from opensearch.index_info import IndexInfo
from opensearch.writer import delete_surplus_chunks, stored_fingerprints, write_chunks


class IndexSink:
    """Stores chunks in one index, skipping those it holds with the same content."""

    def __init__(self, client: Any, info: IndexInfo) -> None:
        self._client = client
        self._info = info

    def missing(self, window: Window) -> Sequence[Chunk]:
        """Chunks that the index does not hold, or holds with other content."""
        stored = stored_fingerprints(self._client, self._info, [c.id for c in window.chunks])
        return [c for c in window.chunks if stored.get(c.id) != c.fingerprint()]

    def write(self, encoded: Sequence[EncodedChunk]) -> Mapping[str, str]:
        """Store chunks; returns the reason for each id that OpenSearch refused."""
        return dict(write_chunks(self._client, self._info, encoded).failures)

    def finish(self, window: Window) -> None:
        """Remove what is left of documents that have become shorter."""
        beyond = {f"{doc_id}#{count}": doc_id for doc_id, count in window.counts.items()}
        stored = stored_fingerprints(self._client, self._info, list(beyond))
        shrunk = {doc_id: window.counts[doc_id] for i, doc_id in beyond.items() if i in stored}
        delete_surplus_chunks(self._client, self._info, shrunk)
