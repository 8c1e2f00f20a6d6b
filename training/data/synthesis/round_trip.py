"""Does a written query find its own passage? One that does not would teach the wrong thing.

Dai et al., "Promptagator: Few-shot dense retrieval from 8 examples" (arXiv 2209.11755), call it
round-trip consistency.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from training.data.mining.finders import Finder


class Check(Protocol):
    """Says which queries find their passage."""

    def found(self, queries: Sequence[str], passage_id: str) -> list[bool]:
        """For each query, whether the passage is among the first."""
        ...


@dataclass(frozen=True)
class RoundTrip:
    """Searches each query.

    Attributes:
        finder: An index, or a corpus searched exactly.
        depth: The passage must be among so many.
    """

    finder: Finder
    depth: int = 10

    def found(self, queries: Sequence[str], passage_id: str) -> list[bool]:
        """For each query, whether the passage's document is among the first."""
        wanted = {passage_id, passage_id.rpartition("#")[0] or passage_id}
        rankings = self.finder.find(queries, self.depth)
        return [any(hit.id in wanted for hit in ranking) for ranking in rankings]
