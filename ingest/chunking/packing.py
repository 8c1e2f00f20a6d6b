"""Packing units (sentences, paragraphs, tokens) into chunks as full as the budget allows."""

from collections.abc import Sequence
from dataclasses import dataclass

from ingest.chunking.spans import Cutter, Span, halves, lines, paragraphs, sentences, words
from ingest.chunking.tokens import TokenMeter

PARAGRAPHS: tuple[Cutter, ...] = (paragraphs, lines, sentences, words)
SENTENCES: tuple[Cutter, ...] = (sentences, words)
WORDS: tuple[Cutter, ...] = (words,)


@dataclass(frozen=True, slots=True)
class Unit:
    """A piece of text that stays in one chunk."""

    start: int
    end: int
    tokens: int


class PackingSplitter:
    """Keeps units whole; one that exceeds the budget by itself is cut by the next finer cutter."""

    def __init__(self, meter: TokenMeter, overlap: int, cutters: Sequence[Cutter]) -> None:
        self._meter = meter
        self._overlap = overlap
        self._cutters = tuple(cutters)

    def split(self, text: str, budget: int) -> list[Span]:
        """Pack the text's units; see ``Splitter.split``."""
        units = measured_units(text, self._meter, self._cutters, budget)
        return pack(units, budget, min(self._overlap, budget // 2))


def measured_units(
    text: str, meter: TokenMeter, cutters: Sequence[Cutter], budget: int
) -> list[Unit]:
    """Cut a text and count the tokens of each piece; pieces beyond the budget are cut further."""
    return _units(text, (0, len(text)), meter, (tuple(cutters), budget))


def _units(
    text: str, span: Span, meter: TokenMeter, plan: tuple[tuple[Cutter, ...], int]
) -> list[Unit]:
    cutters, budget = plan
    spans = (cutters[0] if cutters else halves)(text, span)
    counts = meter.bare([text[start:end] for start, end in spans])
    units: list[Unit] = []
    for (start, end), tokens in zip(spans, counts, strict=True):
        if tokens <= budget or end - start <= 1:
            units.append(Unit(start, end, tokens))
        else:
            units += _units(text, (start, end), meter, (cutters[1:], budget))
    return units


def pack(units: Sequence[Unit], budget: int, overlap: int) -> list[Span]:
    """Join neighbouring units up to the budget.

    Each span starts with as many whole units of the span before as the overlap allows, and always
    ends behind it.
    """
    spans: list[Span] = []
    first = 0
    while first < len(units):
        last = _fill(units, first, budget)
        spans.append((units[first].start, units[last - 1].end))
        if last == len(units):
            break
        room = min(overlap, budget - units[last].tokens)
        first = _step_back(units, last, room, floor=first + 1)
    return spans


def _fill(units: Sequence[Unit], first: int, budget: int) -> int:
    """One past the last unit that fits; at least one does."""
    used, last = units[first].tokens, first + 1
    while last < len(units) and used + units[last].tokens <= budget:
        used += units[last].tokens
        last += 1
    return last


def _step_back(units: Sequence[Unit], last: int, room: int, *, floor: int) -> int:
    """The first of the units before ``last`` that together fit into the room."""
    first = last
    while first > floor and units[first - 1].tokens <= room:
        first -= 1
        room -= units[first].tokens
    return first
