"""Cuts at the highest border that fits: paragraphs, lines, sentences, words, characters."""

from ingest.chunking.spans import Span
from ingest.chunking.tokens import TokenMeter


class RecursiveSplitter:
    """Unicode borders (UAX #29) by semantic-text-splitter, token counts by the encoder."""

    def __init__(self, meter: TokenMeter, overlap: int) -> None:
        self._meter = meter
        self._overlap = overlap

    def split(self, text: str, budget: int) -> list[Span]:
        """Cut at the highest borders; see ``Splitter.split``."""
        from semantic_text_splitter import TextSplitter

        self._meter.learn(text)
        overlap = min(self._overlap, budget // 2)
        splitter = TextSplitter.from_callback(self._meter.estimate, budget, overlap)
        return [(start, start + len(piece)) for start, piece in splitter.chunk_indices(text)]
