"""Windows of a fixed number of tokens."""

from collections.abc import Sequence

from ingest.chunking.packing import WORDS, PackingSplitter, Unit, pack
from ingest.chunking.spans import Span
from ingest.chunking.tokens import TokenMeter


class FixedSplitter:
    """Cuts after so many tokens, wherever that is; after whole words if tokens have no offsets."""

    def __init__(self, meter: TokenMeter, overlap: int) -> None:
        self._meter = meter
        self._overlap = overlap
        self._by_words = PackingSplitter(meter, overlap, WORDS)

    def split(self, text: str, budget: int) -> list[Span]:
        """Cut into windows; see ``Splitter.split``."""
        offsets = self._meter.token_spans(text)
        if not offsets:
            return self._by_words.split(text, budget)
        units = token_units(offsets, len(text))
        return pack(units, budget, min(self._overlap, budget // 2))


def token_units(offsets: Sequence[Span], length: int) -> list[Unit]:
    """Tokens as units that cover the text; what a tokenizer drops belongs to the token before.

    Tokens that share a character (a letter spelled in several bytes) make one unit.
    """
    starts: list[int] = []
    counts: list[int] = []
    reached = 0
    for start, end in offsets:
        if starts and start < reached:
            counts[-1] += 1
        else:
            starts.append(start if starts else 0)
            counts.append(1)
        reached = max(reached, end)
    ends = [*starts[1:], length]
    return [Unit(*unit) for unit in zip(starts, ends, counts, strict=True)]
