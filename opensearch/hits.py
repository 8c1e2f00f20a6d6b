"""What a search answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opensearch.fusion import Fusion, Leg, Ranking


@dataclass(frozen=True, slots=True)
class Hit:
    """One document found, shown by its best passage.

    Attributes:
        id: The document.
        chunk_id: The passage that matched best.
        score: Score in the mode that was searched; fused for hybrid.
        legs: Score of each leg as OpenSearch computed it; a leg that does not match is absent.
        title: Title of the document.
        text: Text of the passage.
        metadata: The document's own fields.
        highlights: Fragments with the matched words marked.
        tokens: Heaviest token weights of the passage.
        rank: Position, from 1, over all pages.
        first_rank: Where it stood before a cross-encoder ordered the hits anew.
    """

    id: str
    chunk_id: str
    score: float
    rank: int
    legs: Mapping[Leg, float] = field(default_factory=dict)
    title: str = ""
    text: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    highlights: tuple[str, ...] = ()
    tokens: Mapping[str, float] = field(default_factory=dict)
    first_rank: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The hit as JSON-ready values."""
        return {
            "id": self.id,
            "chunk_id": self.chunk_id,
            "rank": self.rank,
            "score": self.score,
            "legs": dict(self.legs),
            "title": self.title,
            "text": self.text,
            "metadata": dict(self.metadata),
            "highlights": list(self.highlights),
            **({"tokens": dict(self.tokens)} if self.tokens else {}),
            **({"first_rank": self.first_rank} if self.first_rank is not None else {}),
        }


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one query.

    Attributes:
        hits: Best first.
        legs: The legs that took part.
        left_out: Legs that were asked for but left out, with the reason.
        query_tokens: Token weights of the query, heaviest first.
        encode_ms: Time spent encoding the query.
        search_ms: Time from request to answer, the network included.
        rerank_ms: Time spent by a cross-encoder.
    """

    hits: tuple[Hit, ...]
    legs: tuple[Leg, ...]
    left_out: Mapping[Leg, str]
    query_tokens: Mapping[str, float]
    encode_ms: float
    search_ms: float
    rerank_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidates:
    """What each leg found for a query, before it is fused.

    Attributes:
        rankings: Per leg, ``(chunk id, score)`` best first.
        documents: Document of each chunk.
        fusion: The request's fusion with the bounds of this query.
    """

    rankings: Mapping[Leg, Ranking]
    documents: Mapping[str, str]
    fusion: Fusion
