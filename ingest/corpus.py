"""A corpus as a stream of clean documents that can be read more than once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.cleaning import DEFAULT_CLEANING, Hook
from ingest.duplicates import reject_duplicates
from ingest.masking import mask_document
from ingest.readers.open_source import read_source
from ingest.readers.options import ReadOptions
from ingest.records import Document, Reject


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """How a source becomes clean documents.

    Attributes:
        source: File or folder; see ``read_source``.
        read: Format and fields.
        clean: Hook every document passes.
        mask: Kinds of personal data to replace by placeholders; none by default.
        drop_same_content: Also set aside documents that repeat another's title and text.
    """

    source: Path
    read: ReadOptions = field(default_factory=ReadOptions)
    clean: Hook = DEFAULT_CLEANING
    mask: Sequence[str] = ()
    drop_same_content: bool = False


def read_corpus(options: CorpusOptions) -> Iterator[Document | Reject]:
    """Read, clean, mask and de-duplicate a source; faults arrive as rejects in their place."""
    hooks: list[Callable[[Document], Document]] = [options.clean]
    if options.mask:
        hooks.append(lambda document: mask_document(document, options.mask))
    cleaned = (_apply(hooks, item) for item in read_source(options.source, options.read))
    return reject_duplicates(cleaned, by_content=options.drop_same_content)


def _apply(
    hooks: Sequence[Callable[[Document], Document]], item: Document | Reject
) -> Document | Reject:
    if isinstance(item, Reject):
        return item
    for hook in hooks:
        item = hook(item)
    return item if item.text.strip() else Reject(item.origin, "empty text", item.id)
