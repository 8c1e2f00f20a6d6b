"""What a file of prose yields, and how its bytes are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.readers.checks import BadRecordError, decode, too_large, without_bom
from ingest.readers.options import ReadOptions


@dataclass(frozen=True, slots=True)
class Parsed:
    """Title, text and metadata of one file."""

    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def read_limited(path: Path, limit: int) -> bytes:
    """All bytes of a file that is not longer than the limit.

    Raises:
        BadRecordError: It is longer, or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(limit + 1)
        size = path.stat().st_size
    except OSError as error:
        msg = f"unreadable: {error.strerror or error}"
        raise BadRecordError(msg) from error
    if len(content) > limit:
        raise too_large(size, limit)
    return content


def read_text(path: Path, options: ReadOptions) -> str:
    """The text of a file in the source's encoding, line ends as line feeds."""
    content = read_limited(path, options.max_document_bytes)
    text = decode(without_bom(content, options.encoding), options.encoding)
    return text.replace("\r\n", "\n")
