"""HyDE: search with the vector of an answer that an LLM made up.

Gao et al., "Precise Zero-Shot Dense Retrieval without Relevance Labels" (arXiv 2212.10496): the
vector of a query is the mean of the vectors of hypothetical passages and of the query itself.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from encoders.base import DenseEncoder, FloatMatrix
from encoders.llm.chat import ChatClient
from encoders.llm.prompts import read_prompt
from encoders.llm.queries import OtherQueries

logger = logging.getLogger(__name__)

REMEMBERED = 512


@dataclass(frozen=True)
class HydeEncoder(OtherQueries):
    """A dense encoder whose queries are joined by hypothetical passages; documents are untouched.

    Attributes:
        inner: Encodes the passages as documents, and the queries.
        chat: Writes the passages.
        passages: How many per query.
        prompt: A template of one's own, with the field ``{query}``.
    """

    inner: DenseEncoder
    chat: ChatClient
    passages: int = 1
    prompt: Path | None = None

    @cached_property
    def _written(self) -> Callable[[str], list[str]]:
        return lru_cache(REMEMBERED)(self._write)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries with their passages, ``[len(texts), dimension]`` of unit length.

        Raises:
            EncoderServiceError: The LLM refused or failed for too long.
        """
        queries = self.inner.encode_queries(texts)
        rows = [self._mean(query, text) for query, text in zip(queries, texts, strict=True)]
        return np.stack(rows) if rows else queries

    def _mean(self, query: FloatMatrix, text: str) -> FloatMatrix:
        passages = self._written(text)
        if not passages:
            logger.warning("the LLM wrote nothing for a query; it is searched as it is")
            return query
        vectors = self.inner.encode_documents(passages)
        mean = np.vstack([query[None, :], vectors]).mean(axis=0)
        unit: FloatMatrix = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
        return unit

    def _write(self, text: str) -> list[str]:
        prompt = read_prompt("hyde", {"query": text}, self.prompt)
        written = [self.chat.complete(prompt).text for _ in range(self.passages)]
        return [passage for passage in written if passage]
