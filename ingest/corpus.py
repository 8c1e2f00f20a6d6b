"""A corpus as a stream of clean documents that can be read more than once."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingest.cleaning import Hook, clean, compose, default_cleaning, remove_lines
from ingest.duplicates import reject_duplicates
from ingest.masking import Masker
from ingest.readers.open_source import read_source
from ingest.readers.options import ReadOptions
from ingest.records import Document, Reject


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """How a source becomes clean documents.

    Attributes:
        source: File or folder; see ``read_source``.
        read: Format and fields.
        mask: Replace personal data by placeholders.
        drop_boilerplate: Remove lines that hold only a page number or a copyright notice.
        drop_same_content: Also set aside documents that repeat another's title and text.
    """

    source: Path
    read: ReadOptions = field(default_factory=ReadOptions)
    mask: bool = False
    drop_boilerplate: bool = False
    drop_same_content: bool = False

    def hooks(self) -> list[Hook]:
        """What is done to every document's text, masking aside."""
        hooks: list[Hook] = [default_cleaning()]
        if self.drop_boilerplate:
            hooks.append(remove_lines(page_numbers=True, copyright_notices=True))
        return hooks


def read_corpus(options: CorpusOptions) -> Iterator[Document | Reject]:
    """Read, clean, mask and de-duplicate a source; faults arrive as rejects in their place."""
    masker = Masker() if options.mask else None
    hooks: list[Hook] = [*options.hooks(), *([masker] if masker else [])]
    cleaned = clean(read_source(options.source, options.read), compose(*hooks))
    unique = reject_duplicates(cleaned, by_content=options.drop_same_content)
    # What was set aside is written to a file: its excerpts must not hold what documents must not.
    return masker.cover_rejects(unique) if masker else unique
