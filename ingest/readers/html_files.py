"""HTML pages: their main text, without navigation and footers."""

import codecs
import logging
import re
from pathlib import Path

from ingest.readers.checks import BadRecordError
from ingest.readers.options import ReadOptions
from ingest.readers.parsed import Parsed, read_limited

logger = logging.getLogger(__name__)

# Browsers look for the declaration in the first 1,024 bytes (HTML Standard, "sniffing").
DECLARED_WITHIN = 1024
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9._-]+)", re.IGNORECASE)
# What browsers read when a page says so (Encoding Standard): EUC-KR means its superset CP949.
_SUPERSETS = {"euc_kr": "cp949", "iso8859-1": "cp1252", "ascii": "cp1252"}


def parse_html(path: Path, options: ReadOptions) -> Parsed:
    """Main text and title of a page.

    Raises:
        BadRecordError: Unreadable, too large, of unknown encoding, or without main text.
    """
    from trafilatura import bare_extraction

    page = decode_page(read_limited(path, options.max_raw_bytes), options.encoding)
    if "\0" in page:
        msg = "NUL character: in the page"
        raise BadRecordError(msg)
    extracted = bare_extraction(page, include_comments=False, with_metadata=True)
    text = getattr(extracted, "text", None)
    if not text:
        msg = "empty text: no main text found in the page"
        raise BadRecordError(msg)
    title = getattr(extracted, "title", None) or ""
    return Parsed(text, title, _metadata(extracted))


def decode_page(content: bytes, encoding: str) -> str:
    """Decode by byte order mark, by the given encoding, else by the page's own declaration."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            encoding = name
    for candidate in (encoding, _declared(content)):
        try:
            if candidate:
                return content.decode(candidate)
        except (UnicodeDecodeError, LookupError) as error:
            logger.debug("not %s: %s", candidate, error)
    msg = f"wrong encoding: neither {encoding.upper()} nor what the page declares"
    raise BadRecordError(msg)


def _declared(content: bytes) -> str | None:
    match = _CHARSET.search(content[:DECLARED_WITHIN])
    if match is None:
        return None
    try:
        name = codecs.lookup(match[1].decode("ascii")).name
    except LookupError:
        return None
    return _SUPERSETS.get(name, name)


def _metadata(extracted: object) -> dict[str, str]:
    """What pages commonly declare about themselves and people filter by."""
    names = ("author", "date", "description", "sitename", "url")
    values = ((name, getattr(extracted, name, None)) for name in names)
    return {name: value for name, value in values if isinstance(value, str) and value}
