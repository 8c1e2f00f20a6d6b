"""Masking of personal data: numbers and addresses that identify a person become placeholders.

Masking is a safety net for text that should not hold such data; it is no guarantee.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ingest.errors import IngestError
from ingest.personal_data import ALL_KINDS, DETECTORS
from ingest.records import Document, Reject

# What every kind of personal data has one of; most texts have none and are done at once.
_SUSPICIOUS = re.compile(r"[\d@＠]|[\[(（［](?:at|골뱅이)")
# One character for one, so that offsets stay: full-width forms, and the many dashes and spaces.
_FOLD = {
    **{0xFF01 + offset: chr(0x21 + offset) for offset in range(0x5E)},
    **dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2015, 0x2212, 0xFE63, 0x30FC), "-"),
    **dict.fromkeys((0x00A0, 0x2002, 0x2003, 0x2007, 0x2009, 0x202F, 0x3000), " "),
}


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text without personal data, and what was taken out.

    Attributes:
        text: With placeholders such as ``[CARD]``.
        counts: Placeholders by kind; kinds that were not found are absent.
    """

    text: str
    counts: Mapping[str, int] = field(default_factory=dict)


def mask_text(text: str, kinds: Iterable[str] | None = None) -> MaskedText:
    """Replace personal data by typed placeholders.

    Args:
        text: A document's or a query's text.
        kinds: Which of ``ALL_KINDS`` to mask; default: all.

    Raises:
        IngestError: An unknown kind.
    """
    wanted = ALL_KINDS if kinds is None else _checked_kinds(kinds)
    if _SUSPICIOUS.search(text) is None:
        return MaskedText(text)
    found = _find(text if text.isascii() else text.translate(_FOLD), wanted)
    pieces, last = [], 0
    for start, end, kind in found:
        pieces += [text[last:start], f"[{kind.upper()}]"]
        last = end
    return MaskedText("".join([*pieces, text[last:]]), Counter(kind for *_, kind in found))


class Masker:
    """Masks documents and queries alike, and counts what it took out.

    Attributes:
        counts: Placeholders by kind, over everything masked so far.
    """

    def __init__(self, kinds: Iterable[str] | None = None) -> None:
        self._kinds = ALL_KINDS if kinds is None else _checked_kinds(kinds)
        self.counts: Counter[str] = Counter()

    def __call__(self, document: Document) -> Document:
        """A cleaning hook: masks title, text and all strings of the metadata; the id stays."""
        return replace(
            document,
            title=self.mask(document.title),
            text=self.mask(document.text),
            metadata={key: self._value(value) for key, value in document.metadata.items()},
        )

    def mask(self, text: str) -> str:
        """Mask one text, such as a query."""
        masked = mask_text(text, self._kinds)
        self.counts.update(masked.counts)
        return masked.text

    def cover_rejects(self, items: Iterable[Document | Reject]) -> Iterator[Document | Reject]:
        """Mask the raw excerpts of rejects, which would carry the data into the rejects file."""
        for item in items:
            yield replace(item, raw=self.mask(item.raw)) if isinstance(item, Reject) else item

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, list):
            return [self._value(inner) for inner in value]
        if isinstance(value, Mapping):
            return {key: self._value(inner) for key, inner in value.items()}
        return value


def _find(text: str, kinds: tuple[str, ...]) -> list[tuple[int, int, str]]:
    """Spans of all kinds in order; where they meet, the kind that comes first in the table wins."""
    taken = bytearray(len(text))
    found: list[tuple[int, int, str]] = []
    for kind in kinds:
        for start, end in DETECTORS[kind](text):
            if not any(taken[start:end]):
                taken[start:end] = b"\1" * (end - start)
                found.append((start, end, kind))
    return sorted(found)


def _checked_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    asked = {kinds} if isinstance(kinds, str) else set(kinds)
    unknown = sorted(asked - set(ALL_KINDS))
    if unknown:
        msg = f"unknown kind of personal data {', '.join(unknown)}; allowed: {', '.join(ALL_KINDS)}"
        raise IngestError(msg)
    return tuple(kind for kind in ALL_KINDS if kind in asked)
