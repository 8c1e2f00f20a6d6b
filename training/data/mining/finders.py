"""Where candidates come from: a live index, or a corpus searched exactly."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from encoders.base import DenseEncoder, FloatMatrix
from opensearch.plan import Mode, SearchRequest
from opensearch.reranking import Searches, passage
from training.data.indexed_corpus import IndexedCorpus
from training.data.mining.selection import Candidate
from training.exact_search import top

BLOCK = 2048


class Finder(Protocol):
    """Finds texts for queries."""

    def find(self, queries: Sequence[str], depth: int) -> list[list[Candidate]]:
        """Rankings of so many texts, best first, one for each query."""
        ...

    def lowest(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[float] | None:
        """Lowest score of the texts of each query, as in a ranking; ``None`` where that is unknown.

        Args:
            queries: The queries.
            texts: For each query at least one text.
        """
        ...


@dataclass(frozen=True)
class IndexFinder:
    """A leg of a live index.

    Attributes:
        searcher: Searches the index.
        leg: Which leg, or ``hybrid``.
        fusion: How ``hybrid`` is fused; passed on as keyword ``fusion``.
    """

    searcher: Searches
    leg: Mode
    fusion: Any = None

    def find(self, queries: Sequence[str], depth: int) -> list[list[Candidate]]:
        """Rankings of documents, each with its best passage.

        Raises:
            SearchBackendError: The search failed.
        """
        return [self._find(query, depth) for query in queries]

    def lowest(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[float] | None:
        """None: scores of BM25 and of fused legs mean something within one ranking only."""
        return None

    def _find(self, query: str, depth: int) -> list[Candidate]:
        more = {} if self.fusion is None else {"fusion": self.fusion}
        result = self.searcher.search(SearchRequest(query, mode=self.leg, size=depth, **more))
        return [Candidate(hit.id, passage(hit), hit.score, hit.text) for hit in result.hits]


@dataclass(frozen=True)
class CorpusFinder:
    """A corpus searched exactly by a dense model.

    The vectors lie in a file of ``folder``, so that neither texts nor vectors fill the memory.

    Attributes:
        encoder: The model.
        corpus: The documents.
        folder: A temporary folder.
        progress: Told how many documents are encoded.
        block: Documents encoded and compared at a time.
    """

    encoder: DenseEncoder
    corpus: IndexedCorpus
    folder: Path
    progress: Callable[[int], None] = lambda _: None
    block: int = BLOCK

    def find(self, queries: Sequence[str], depth: int) -> list[list[Candidate]]:
        """Rankings of documents.

        Raises:
            EncoderError: The encoder failed.
        """
        if not queries:
            return []
        scores, rows = self._search(self.encoder.encode_queries(queries), depth)
        return [
            [
                Candidate(self.corpus.ids[row], self.corpus.text(row), score)
                for score, row in zip(line, places, strict=True)
            ]
            for line, places in zip(scores.tolist(), rows.tolist(), strict=True)
        ]

    def lowest(self, queries: Sequence[str], texts: Sequence[Sequence[str]]) -> list[float] | None:
        """Lowest cosine of the texts of each query."""
        places = {text: n for n, text in enumerate(dict.fromkeys(chain.from_iterable(texts)))}
        vectors = self.encoder.encode_documents(list(places))
        encoded = self.encoder.encode_queries(queries)
        return [
            float((vectors[[places[text] for text in own]] @ query).min())
            for query, own in zip(encoded, texts, strict=True)
        ]

    def _search(self, queries: FloatMatrix, depth: int) -> tuple[FloatMatrix, Any]:
        scores = np.empty((len(queries), 0), dtype=np.float32)
        rows = np.empty((len(queries), 0), dtype=np.int64)
        for start in range(0, len(self.corpus), self.block):
            found = queries @ self._vectors[start : start + self.block].T
            places = np.broadcast_to(start + np.arange(found.shape[1]), found.shape)
            scores = np.concatenate([scores, found], axis=1)
            rows = np.concatenate([rows, places], axis=1)
            best = top(scores, depth)
            scores = np.take_along_axis(scores, best, axis=1)
            rows = np.take_along_axis(rows, best, axis=1)
        return scores, rows

    @cached_property
    def _vectors(self) -> FloatMatrix:
        shape = (len(self.corpus), self.encoder.identity.dimension)
        path = self.folder / "documents.f32"
        vectors = np.memmap(path, dtype=np.float32, mode="w+", shape=shape)
        for start in range(0, len(self.corpus), self.block):
            end = min(start + self.block, len(self.corpus))
            texts = [self.corpus.text(row) for row in range(start, end)]
            vectors[start:end] = self.encoder.encode_documents(texts)
            self.progress(end)
        return vectors


def open_corpus(path: Path) -> IndexedCorpus:
    """The corpus of a BEIR folder, or a corpus file."""
    return IndexedCorpus(path / "corpus.jsonl" if path.is_dir() else path)
