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

    def hook(self) -> Hook:
        """Everything that is done to a document's text, as one hook."""
        hooks: list[Hook] = [default_cleaning()]
        if self.drop_boilerplate:
            hooks.append(remove_lines(page_numbers=True, copyright_notices=True))
        if self.mask:
            hooks.append(Masker())
        return compose(*hooks)


def read_corpus(options: CorpusOptions) -> Iterator[Document | Reject]:
    """Read, clean, mask and de-duplicate a source; faults arrive as rejects in their place."""
    cleaned = clean(read_source(options.source, options.read), options.hook())
    return reject_duplicates(cleaned, by_content=options.drop_same_content)
