"""PDF files that carry a text layer."""

import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.errors import IngestError
from ingest.readers.checks import BadRecordError, too_large
from ingest.readers.options import ReadOptions
from ingest.readers.parsed import Parsed

logger = logging.getLogger(__name__)

# What pypdf raises on files that break the format in ways it does not foresee.
_FAULTS = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    NotImplementedError,
    OSError,
    zlib.error,
)


def require_pypdf() -> None:
    """Check that the optional library is there.

    Raises:
        IngestError: It is not; the message names the extra.
    """
    try:
        import pypdf  # noqa: F401
    except ImportError as error:
        msg = "pypdf is not installed. Install it with: pip install 'tandem-search[pdf]'"
        raise IngestError(msg) from error


def parse_pdf(path: Path, options: ReadOptions) -> Parsed:
    """Text of all pages, one paragraph break between them, and the title of the file.

    Raises:
        BadRecordError: Unreadable, encrypted, too much text or none.
        IngestError: pypdf is not installed.
    """
    require_pypdf()
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        with path.open("rb") as stream:
            reader = PdfReader(stream)
            if reader.is_encrypted and not reader.decrypt(""):
                msg = "encrypted: the PDF needs a password"
                raise BadRecordError(msg)
            text = "\n\n".join(_pages(reader, options.max_document_bytes))
            title, pages = str((reader.metadata or {}).get("/Title") or ""), len(reader.pages)
    except (PyPdfError, *_FAULTS) as error:
        msg = f"unreadable: not a PDF that can be read ({error})"
        raise BadRecordError(msg) from error
    if not text.strip():
        msg = "empty text: the PDF has no text layer (a scan?)"
        raise BadRecordError(msg)
    return Parsed(text, title.strip(), {"pages": pages})


def _pages(reader: Any, limit: int) -> Iterator[str]:
    """Texts of the pages, given up as soon as they exceed the limit in bytes."""
    size = 0
    for page in reader.pages:
        text = page.extract_text().strip()
        size += len(text.encode(errors="replace"))
        if size > limit:
            raise too_large(size, limit)
        if text:
            yield text
