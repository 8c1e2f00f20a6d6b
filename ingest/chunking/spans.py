"""Cutting a text at borders: every function returns spans that touch and cover everything."""

import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
"""First character and one past the last."""

Cutter: TypeAlias = Callable[[str, Span], list[Span]]
"""Cuts one span of a text into smaller ones."""

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_LINE = re.compile(r"\n\s*")
# After a full stop and closing quotes, but not within abbreviations or after the "1." of a list,
# and only before something that can start a sentence (UAX #29 rule SB8: not a lower-case letter).
_SENTENCE = re.compile(
    r"(?<!\b\d)(?<!\b(?:Mr|Ms|Dr|No|vs|cf|St))(?<!\b(?:e\.g|i\.e|Mrs|Art))"
    r"[.!?…]+[\"'”’)\]」』]*\s+(?![a-z])"
    r"|[。！？]+[\"'”’)\]」』]*\s*"
    r"|\n\s*"
)
_WORD = re.compile(r"\s+")


def paragraphs(text: str, span: Span) -> list[Span]:
    """Cut behind blank lines."""
    return _cut_behind(_PARAGRAPH, text, span)


def lines(text: str, span: Span) -> list[Span]:
    """Cut behind line feeds."""
    return _cut_behind(_LINE, text, span)


def sentences(text: str, span: Span) -> list[Span]:
    """Cut behind sentences and lines."""
    return _cut_behind(_SENTENCE, text, span)


def words(text: str, span: Span) -> list[Span]:
    """Cut behind white space."""
    return _cut_behind(_WORD, text, span)


def halves(text: str, span: Span) -> list[Span]:
    """Cut in the middle: for what has no border of its own, such as a long code."""
    middle = (span[0] + span[1]) // 2
    return [(span[0], middle), (middle, span[1])] if middle > span[0] else [span]


def trimmed(text: str, span: Span) -> Span:
    """The span without white space at its ends; empty when there is nothing else."""
    piece = text[span[0] : span[1]]
    start = span[0] + len(piece) - len(piece.lstrip())
    return start, max(start, span[1] - len(piece) + len(piece.rstrip()))


def without_contained(spans: Iterable[Span]) -> list[Span]:
    """Spans in order of their start, without those that lie within a neighbour.

    Trimming can leave of a span no more than what it shares with the one before or behind.
    """
    kept: list[Span] = []
    for span in spans:
        if kept and span[1] <= kept[-1][1]:
            continue
        while kept and span[0] <= kept[-1][0]:
            kept.pop()
        kept.append(span)
    return kept


def _cut_behind(border: re.Pattern[str], text: str, span: Span) -> list[Span]:
    start, end = span
    found = []
    for match in border.finditer(text, start, end):
        if start < match.end() < end:
            found.append((start, match.end()))
            start = match.end()
    return [*found, (start, end)]
