"""What a reader can be told."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.errors import SourceError
from ingest.templates import RecordTemplate

RECORD_FORMATS = ("jsonl", "csv", "tsv", "parquet")
FILE_FORMATS = ("text", "markdown", "html", "pdf")
FORMATS = (*RECORD_FORMATS, "beir", *FILE_FORMATS)

ROLES = ("id", "title", "text")
ONE_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a source is read.

    Attributes:
        format: One of ``FORMATS``; found by name and shape when absent.
        fields: Which field of a record plays which role, e.g. ``{"id": "key", "text": "body.en"}``;
            dots reach into nested objects. Roles that are absent keep their usual names.
        template: Makes title and text of a record, in place of its title and text fields.
        generate_ids: Give records without an id the id ``<file>-<line>``.
        max_document_bytes: Title and text in UTF-8; larger documents are rejected.
        encoding: Of text files; any that holds ASCII unchanged (``utf-8``, ``cp949``, ``latin-1``).
    """

    format: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    template: RecordTemplate | None = None
    generate_ids: bool = False
    max_document_bytes: int = ONE_MEBIBYTE
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.format is not None and self.format not in FORMATS:
            msg = f"unknown format {self.format!r}; allowed: {', '.join(FORMATS)}"
            raise SourceError(msg)
        unknown = sorted(set(self.fields) - set(ROLES))
        if unknown:
            msg = f"fields: unknown role {', '.join(unknown)}; allowed: {', '.join(ROLES)}"
            raise SourceError(msg)
        if self.max_document_bytes < 1:
            msg = f"max_document_bytes is {self.max_document_bytes}; it must be at least 1"
            raise SourceError(msg)
        _check_encoding(self.encoding)

    @property
    def max_raw_bytes(self) -> int:
        """Longest line or file that is looked at: escapes and mark-up may blow a document up."""
        return 4 * self.max_document_bytes


def _check_encoding(encoding: str) -> None:
    """Lines are found before they are decoded, so the line feed must be the byte 0x0A."""
    try:
        plain = codecs.lookup(encoding).decode(b'\n",{}')[0] == '\n",{}'
    except LookupError as error:
        msg = f"unknown encoding {encoding!r}; for example: utf-8, cp949, latin-1"
        raise SourceError(msg) from error
    except UnicodeDecodeError:
        plain = False
    if not plain:
        msg = f"encoding {encoding!r} does not hold ASCII unchanged; convert the source to UTF-8"
        raise SourceError(msg)
