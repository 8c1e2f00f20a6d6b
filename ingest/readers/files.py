"""Files of prose, one document each: single files and folders of them."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ingest.readers.checks import BadRecordError, checked_document
from ingest.readers.html_files import parse_html
from ingest.readers.markdown_files import parse_markdown
from ingest.readers.options import ReadOptions
from ingest.readers.parsed import Parsed
from ingest.readers.pdf_files import parse_pdf
from ingest.readers.text_files import parse_text
from ingest.records import Document, Origin, Reject

FileParser = Callable[[Path, ReadOptions], Parsed]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """How files of one format are recognised and parsed."""

    suffixes: tuple[str, ...]
    parse: FileParser


FILE_PARSERS: Mapping[str, FileFormat] = {
    "text": FileFormat((".txt", ".text"), parse_text),
    "markdown": FileFormat((".md", ".markdown"), parse_markdown),
    "html": FileFormat((".html", ".htm", ".xhtml"), parse_html),
    "pdf": FileFormat((".pdf",), parse_pdf),
}


def file_format(path: Path) -> str | None:
    """The format of a file of prose by its suffix."""
    suffix = path.suffix.lower()
    return next((name for name, known in FILE_PARSERS.items() if suffix in known.suffixes), None)


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, in an order that is the same everywhere; hidden ones left out.

    Links to folders are not followed: they can lead in circles.
    """
    with os.scandir(folder) as entries:
        ordered = sorted((entry for entry in entries), key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from walk(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)


def read_folder(folder: Path, options: ReadOptions) -> Iterator[Document | Reject]:
    """Read every file of a known format (or of the one asked for); ids are relative paths."""
    for path in walk(folder):
        name = file_format(path)
        if name is not None and options.format in (None, name):
            yield read_file(path, name, options, doc_id=path.relative_to(folder).as_posix())


def read_file(path: Path, name: str, options: ReadOptions, *, doc_id: str) -> Document | Reject:
    """Read one file as one document."""
    origin = Origin(str(path))
    try:
        parsed = FILE_PARSERS[name].parse(path, options)
        document = Document(doc_id, parsed.text, parsed.title, parsed.metadata, origin)
        return checked_document(document, options.max_document_bytes)
    except BadRecordError as error:
        return Reject(origin, str(error), doc_id)
