"""Chunks that fit: title, text and special tokens together stay within the budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.chunking.spans import Span, trimmed, without_contained
from ingest.chunking.splitter import Splitter
from ingest.chunking.tokens import TokenMeter
from ingest.records import Chunk

# No text of any language has that many characters per token: not worth counting.
HOPELESS_CHARACTERS_PER_TOKEN = 50
WHOLE_TEXT_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Passages:
    """The spans of a text that become chunks, and the title they all carry."""

    title: str
    spans: tuple[Span, ...]


class Fitter:
    """Decides whether a text needs cutting, and has it cut so that every passage fits."""

    def __init__(self, splitter: Splitter, meter: TokenMeter, size: int) -> None:
        self._splitter = splitter
        self._meter = meter
        self._size = size

    def passages(self, texts: Sequence[tuple[str, str]]) -> Iterator[Passages]:
        """For each (title, text) its passages; token counts of all are taken in one call."""
        # White space at the ends is cut off first: some tokenizers count differently behind it.
        spans = [trimmed(text, (0, len(text))) for _, text in texts]
        whole = [
            passage(title, text[start:end])
            for (title, text), (start, end) in zip(texts, spans, strict=True)
        ]
        for (title, text), span, fits in zip(texts, spans, self._fits(whole), strict=True):
            if fits:
                yield Passages(title, (span,) if span[0] < span[1] else ())
            else:
                yield self._cut(title, text)

    def _fits(self, passages: Sequence[str]) -> list[bool]:
        """Whether each passage is within the size as it is."""
        verdicts = [self._verdict(whole) for whole in passages]
        unclear = [i for i, verdict in enumerate(verdicts) if verdict is None]
        for i, count in zip(
            unclear, self._meter.count([passages[i] for i in unclear]), strict=True
        ):
            verdicts[i] = count <= self._size
        return [bool(verdict) for verdict in verdicts]

    def _verdict(self, whole: str) -> bool | None:
        """What the length in characters tells: fits, does not fit, or None for unclear.

        A token stands for at least one ASCII character; some tokenizers put one more in front.
        """
        if len(whole) + 1 + self._meter.specials <= self._size and whole.isascii():
            return True
        return False if len(whole) > HOPELESS_CHARACTERS_PER_TOKEN * self._size else None

    def _cut(self, title: str, text: str) -> Passages:
        title = self._shortened(title)
        overhead = self._meter.count([f"{title}\n"])[0] if title else self._meter.specials
        budget = max(1, self._size - overhead)
        return Passages(title, tuple(without_contained(self._cut_to_fit(title, text, budget))))

    def _cut_to_fit(self, title: str, text: str, budget: int) -> list[Span]:
        """Split, count what came out, and split again with less while something is too long.

        Splitters may estimate, and a title can weigh more beside a text than alone.
        """
        for _ in range(WHOLE_TEXT_ATTEMPTS):
            spans, excess = self._attempt(title, text, (0, len(text)), budget)
            if max(excess, default=0) <= 0 or budget == 1:
                return spans
            budget = max(1, budget - max(excess))
        return [s for span in spans for s in self._recut(title, text, span, budget)]

    def _recut(self, title: str, text: str, span: Span, budget: int) -> list[Span]:
        """Cut one span until all that comes of it fits, or nothing can be cut any more."""
        if self._meter.count([passage(title, text[span[0] : span[1]])])[0] <= self._size:
            return [span]
        spans, excess = self._attempt(title, text, span, budget)
        if max(excess, default=0) <= 0 or budget == 1:
            return spans
        return [s for part in spans for s in self._recut(title, text, part, max(1, budget // 2))]

    def _attempt(
        self, title: str, text: str, span: Span, budget: int
    ) -> tuple[list[Span], list[int]]:
        """Spans of a part of the text, and by how many tokens each exceeds the size."""
        start, end = span
        found = (
            trimmed(text, (start + a, start + b))
            for a, b in self._splitter.split(text[start:end], budget)
        )
        spans = [(a, b) for a, b in found if a < b]
        counts = self._meter.count([passage(title, text[a:b]) for a, b in spans])
        return spans, [count - self._size for count in counts]

    def _shortened(self, title: str) -> str:
        """The title, cut to half of the size: a longer one would leave no room for the text."""
        limit = self._size // 2
        if not title or self._meter.count([f"{title}\n"])[0] <= limit:
            return title
        shortest, longest = 0, min(len(title), HOPELESS_CHARACTERS_PER_TOKEN * limit)
        while shortest < longest:
            middle = (shortest + longest + 1) // 2
            if self._meter.count([f"{title[:middle]}\n"])[0] <= limit:
                shortest = middle
            else:
                longest = middle - 1
        return title[:shortest].strip()


def passage(title: str, text: str) -> str:
    """What an encoder will read; see ``Chunk.passage``."""
    return Chunk("", 0, text, 0, len(text), title).passage
