"""What a full match of a query scores: the upper end of the word-matching legs.

Stretching the best candidate of every leg to 1 gives a chance match on one common word the weight
of a perfect answer. A word-matching leg is therefore measured against the query itself: BM25 cannot
give more than the sum of the IDF of the query's words, so a document that matches only a small
part of it gets a small part of the leg's weight.
"""

from collections.abc import Mapping
from typing import Protocol

from opensearch.fusion import Bounds, Leg
from opensearch.queries import EXACT_BOOST, EXACT_TITLE_BOOST

# Saturation and length normalisation keep even complete matches below the sum; chosen on the
# development sets (docs/fusion.md), where anything from 0.5 to 1 is within noise of it.
FULL_MATCH_SHARE = 0.7


class WordStatistics(Protocol):
    """How much information the words of a query carry in a corpus."""

    def information(self, text: str) -> float | None:
        """Sum of the IDF of the text's words; ``None`` in a language that is not known."""
        ...

    @property
    def highest_idf(self) -> float:
        """IDF of a word that no document holds."""
        ...

    @property
    def saturation(self) -> float:
        """The largest weight of a token in a document's vector."""
        ...


def match_bounds(
    text: str, words: WordStatistics | None, *, exact: int, lexical: bool
) -> Mapping[Leg, Bounds]:
    """Bounds of the word-matching legs for one query.

    Args:
        text: The query.
        words: Statistics of the corpus; without them the best candidate is the upper end.
        exact: How many exact values the query holds; each counts like very rare words.
        lexical: Whether the sparse leg carries the same statistics.
    """
    information = words.information(text) if words is not None else None
    if words is None or not information:
        return {}
    values = exact * (EXACT_BOOST + EXACT_TITLE_BOOST) * words.highest_idf
    bounds: dict[Leg, Bounds] = {"bm25": Bounds(0.0, FULL_MATCH_SHARE * (information + values))}
    if lexical:
        bounds["sparse"] = Bounds(0.0, FULL_MATCH_SHARE * words.saturation * information)
    return bounds
