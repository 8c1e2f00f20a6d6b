"""What a document must be like, whatever it was read from."""

import codecs
from collections.abc import Mapping
from typing import Any

from ingest.records import Document, Origin
from ingest.rejects import KEPT_OF_RAW

# OpenSearch takes ids of up to 512 bytes; "#" and the ordinal of a chunk follow the document's id.
MAX_ID_BYTES = 512 - len("#1234567")

UTF8_NAMES = ("utf-8", "utf-8-sig")


class BadRecordError(Exception):
    """One record cannot become a document; readers turn it into a reject."""


def checked_document(document: Document, max_bytes: int) -> Document:
    """Return the document unless it breaks a rule.

    Raises:
        BadRecordError: Blank or overlong id, blank text, NUL or broken characters, too large.
    """
    _check_id(document.id)
    if not document.text.strip():
        msg = "empty text"
        raise BadRecordError(msg)
    for name, value in (("title", document.title), ("text", document.text)):
        check_characters(name, value)
    size = _utf8_size(document.title, max_bytes) + _utf8_size(document.text, max_bytes)
    if size > max_bytes:
        raise too_large(size, max_bytes)
    return document


def too_large(size: int, limit: int) -> BadRecordError:
    """The error for a document beyond the limit, both in bytes."""
    return BadRecordError(f"too large: {size:,} bytes; the limit is {limit:,}")


def check_characters(name: str, value: str) -> None:
    """Refuse NUL and lone surrogates: neither survives the way to the index and back."""
    if "\0" in value:
        msg = f"NUL character: in the {name}"
        raise BadRecordError(msg)
    if not _encodable(value):
        msg = f"broken character: a lone surrogate in the {name}"
        raise BadRecordError(msg)


def decode(content: bytes, encoding: str) -> str:
    """Bytes to text.

    Raises:
        BadRecordError: They are not in that encoding; the message says where.
    """
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        msg = f"wrong encoding: not {encoding.upper()} at byte {error.start}"
        raise BadRecordError(msg) from error


def without_bom(content: bytes, encoding: str) -> bytes:
    """Drop the byte order mark that some editors write before UTF-8."""
    if encoding.lower() in UTF8_NAMES:
        return content.removeprefix(codecs.BOM_UTF8)
    return content


def excerpt(content: bytes) -> str:
    """Enough of a raw line to find it again, whatever its encoding."""
    return content[:KEPT_OF_RAW].decode("utf-8", errors="replace")


def describe(value: Any) -> str:
    """The type of a JSON value in a reader's words."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "a boolean"
    return (
        "null" if value is None else f"a {'number' if isinstance(value, int | float) else 'string'}"
    )


def origin_id(origin: Origin, stem: str) -> str:
    """The generated id of a record that has none."""
    return f"{stem}-{origin.line}"


def _check_id(doc_id: str) -> None:
    if not doc_id.strip():
        msg = "missing id: it is blank"
        raise BadRecordError(msg)
    check_characters("id", doc_id)
    size = len(doc_id.encode())
    if size > MAX_ID_BYTES:
        msg = f"id too long: {size} bytes; OpenSearch leaves room for {MAX_ID_BYTES}"
        raise BadRecordError(msg)


def _encodable(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _utf8_size(text: str, limit: int) -> int:
    """Bytes of the text, exact where it matters: a character takes four at most."""
    return len(text) if 8 * len(text) <= limit else len(text.encode())
