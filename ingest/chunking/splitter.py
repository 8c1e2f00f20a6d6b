"""The protocol of all strategies."""

from typing import Protocol

from ingest.chunking.spans import Span


class Splitter(Protocol):
    """Cuts a text into spans of at most so many tokens."""

    def split(self, text: str, budget: int) -> list[Span]:
        """Spans in order of their start, which together hold every word of the text.

        Args:
            text: A text that is longer than the budget.
            budget: Most tokens of a span, special tokens not counted. A splitter may be a few
                tokens off where its measure is an estimate; the caller checks.
        """
        ...
