"""Plain text files."""

from pathlib import Path

from ingest.readers.options import ReadOptions
from ingest.readers.parsed import Parsed, read_text


def parse_text(path: Path, options: ReadOptions) -> Parsed:
    """The whole file is the text; plain text has no title.

    Raises:
        BadRecordError: Unreadable, too large or in another encoding.
    """
    return Parsed(read_text(path, options))
