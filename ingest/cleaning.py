"""Cleaning hooks: small functions from document to document that compose."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from ingest.errors import IngestError
from ingest.records import Document, Reject
from ingest.rejects import KEPT_OF_RAW

Hook: TypeAlias = Callable[[Document], Document]

_LINE_BREAKS = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
_CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # C0 and C1, but for tab and line breaks
    "\u00ad\u200b\u200e\u200f\u2060-\u2064\ufeff"  # soft hyphen, zero width, direction marks
    "\u202a-\u202e\u2066-\u206f\ufff9-\ufffb]"  # direction embeddings, annotations
    # Joiners shape Indic and Arabic letters and emoji; between Latin or Hangul they are debris.
    "|(?<=[\x00-\x7f\uac00-\ud7a3])[\u200c\u200d]"
)
_SPACES = re.compile(r"[^\S\n]+")
_SPACES_AT_LINE_END = re.compile(r" ?\n ?")
_BLANK_LINES = re.compile(r"\n{3,}")
PAGE_NUMBER = (
    r"(?:[-–—]\s*\d{1,4}\s*[-–—]|(?:page|p\.|페이지)\s*\d{1,4}(?:\s*(?:of|/)\s*\d{1,4})?"
    r"|\d{1,4}\s*(?:쪽|페이지))"
)
COPYRIGHT = (
    r"(?:(?:copyright|©|\(c\)\s*(?:\d{4}|copyright)).*|.*all rights reserved\.?"
    r"|.*무단\s*(?:전재|복제).*금지.*)"
)


def clean(items: Iterable[Document | Reject], hook: Hook) -> Iterator[Document | Reject]:
    """Apply a hook to every document; one that has no text left becomes a reject."""
    for item in items:
        if isinstance(item, Reject):
            yield item
            continue
        cleaned = hook(item)
        if cleaned.text.strip():
            yield cleaned
        else:
            reason = "empty text: nothing is left after cleaning"
            yield Reject(item.origin, reason, item.id, item.text[:KEPT_OF_RAW])


def compose(*hooks: Hook) -> Hook:
    """One hook that applies the given ones from left to right."""

    def composed(document: Document) -> Document:
        for hook in hooks:
            document = hook(document)
        return document

    return composed


def default_cleaning() -> Hook:
    """What every corpus can bear: NFC, no control characters, tidy white space."""
    return compose(normalise_unicode, remove_control_characters, tidy_white_space)


def normalise_unicode(document: Document) -> Document:
    """Unicode NFC: composed letters, so that text from macOS and PDF files finds its equals."""
    return _rewrite(document, _nfc)


def remove_control_characters(document: Document) -> Document:
    """Remove control, zero-width and direction characters; all line breaks become line feeds."""
    return _rewrite(document, lambda text: _CONTROLS.sub("", _LINE_BREAKS.sub("\n", text)))


def tidy_white_space(document: Document) -> Document:
    """Single spaces, no space at line ends, at most one blank line; paragraphs stay apart."""
    tidied = _rewrite(document, _tidy)
    return replace(tidied, title=" ".join(tidied.title.split())) if "\n" in tidied.title else tidied


def remove_lines(
    patterns: Sequence[str] = (), *, page_numbers: bool = False, copyright_notices: bool = False
) -> Hook:
    """A hook that removes boilerplate: every line that one of the patterns matches as a whole.

    Args:
        patterns: Regular expressions, matched without regard to case.
        page_numbers: Also lines such as ``- 12 -`` or ``Page 3 of 9``; bare numbers stay.
        copyright_notices: Also lines such as ``© 2024 Example Bank. All rights reserved.``

    Raises:
        IngestError: A pattern is not a regular expression.
    """
    known = [PAGE_NUMBER] * page_numbers + [COPYRIGHT] * copyright_notices
    compiled = [_compiled(pattern) for pattern in (*patterns, *known)]

    def hook(document: Document) -> Document:
        lines = document.text.split("\n")
        kept = [line for line in lines if not any(p.fullmatch(line.strip()) for p in compiled)]
        return document if len(kept) == len(lines) else replace(document, text="\n".join(kept))

    return hook


def _rewrite(document: Document, change: Callable[[str], str]) -> Document:
    """The document with title and text changed; the same object if neither did."""
    title, text = change(document.title), change(document.text)
    if title == document.title and text == document.text:
        return document
    return replace(document, title=title, text=text)


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _tidy(text: str) -> str:
    text = _SPACES_AT_LINE_END.sub("\n", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n\n", text).strip()


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        msg = f"boilerplate pattern {pattern!r} is not a regular expression: {error}"
        raise IngestError(msg) from error
