"""One entrance for all formats: finds the format of a source and reads it."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from ingest.errors import SourceError
from ingest.readers.beir import corpus_file, read_beir
from ingest.readers.delimited import read_delimited
from ingest.readers.files import FILE_PARSERS, file_format, read_file, read_folder, walk
from ingest.readers.jsonl import read_jsonl
from ingest.readers.lines import STDIN, display_name
from ingest.readers.options import FILE_FORMATS, FORMATS, RECORD_FORMATS, ReadOptions
from ingest.readers.parquet import read_parquet
from ingest.readers.pdf_files import require_pypdf
from ingest.records import Document, Origin, Reject

RecordReader = Callable[[Path, ReadOptions], Iterator[Document | Reject]]


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """How files of records are recognised and read."""

    suffixes: tuple[str, ...]
    read: RecordReader


RECORD_READERS: Mapping[str, RecordFormat] = {
    "jsonl": RecordFormat((".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"), read_jsonl),
    "csv": RecordFormat((".csv", ".csv.gz"), partial(read_delimited, delimiter=",")),
    "tsv": RecordFormat((".tsv", ".tsv.gz"), partial(read_delimited, delimiter="\t")),
    "parquet": RecordFormat((".parquet",), read_parquet),
}


def read_source(source: Path, options: ReadOptions | None = None) -> Iterator[Document | Reject]:
    """Read a corpus in whatever form it comes.

    The source is looked at before this returns; its records are read as they are taken.

    Args:
        source: A file, a folder, or ``-`` for JSON Lines on stdin.
        options: How to read it; see ``ReadOptions``.

    Returns:
        The documents, and in their place a reject for everything that could not become one.

    Raises:
        SourceError: The source is missing, empty, or of a format that is not known.
        IngestError: Reading PDF files needs a library that is not installed.
    """
    options = options or ReadOptions()
    name = detect_format(source, options)
    if name == "pdf":
        require_pypdf()
    if source == STDIN:
        return _checked_records(source, "jsonl", options)
    if source.is_dir():
        return _read_directory(source, name, options)
    if name in RECORD_FORMATS:
        return _checked_records(source, name, options)
    return iter((read_file(source, name, options, doc_id=source.name),))


def detect_format(source: Path, options: ReadOptions | None = None) -> str:
    """The format a source is read as: ``files`` for a folder of mixed prose, else one of FORMATS.

    Raises:
        SourceError: It is missing, empty, or of no known format.
    """
    asked = options.format if options else None
    if source == STDIN:
        return _stdin_format(asked)
    if not source.exists():
        msg = f"{source} does not exist"
        raise SourceError(msg)
    if source.is_dir():
        return _folder_format(source, asked)
    if asked == "beir":
        msg = f"{source} is a file; format beir reads a folder that holds corpus.jsonl"
        raise SourceError(msg)
    name = asked or record_format(source) or file_format(source)
    if name is None:
        msg = f"{source}: unknown format. {_allowed()}"
        raise SourceError(msg)
    return name


def record_format(path: Path) -> str | None:
    """The format of a file of records by its suffix."""
    name = path.name.lower()
    return next(
        (key for key, known in RECORD_READERS.items() if name.endswith(known.suffixes)), None
    )


def record_files(folder: Path, name: str) -> Iterator[Path]:
    """The files of one record format below a folder, in order."""
    return (path for path in walk(folder) if record_format(path) == name)


def _stdin_format(asked: str | None) -> str:
    if asked not in (None, "jsonl"):
        msg = f"stdin is read as jsonl; write {asked} to a file first"
        raise SourceError(msg)
    return "jsonl"


def _folder_format(folder: Path, asked: str | None) -> str:
    """A corpus.jsonl makes a BEIR folder; else prose goes before records of one format."""
    if asked == "beir" or (asked is None and corpus_file(folder)):
        return "beir"
    found = _formats_in(folder, wanted=asked)
    if asked is not None:
        if asked not in found:
            msg = f"{folder} holds no {asked} files ({', '.join(_suffixes(asked))})"
            raise SourceError(msg)
        return asked
    if found & set(FILE_FORMATS):
        return "files"
    if len(found) == 1:
        return found.pop()
    problem = f"mixes {', '.join(sorted(found))}; name one" if found else "holds nothing to read"
    msg = f"{folder} {problem}. {_allowed()}"
    raise SourceError(msg)


def _formats_in(folder: Path, wanted: str | None) -> set[str]:
    """Formats of the files below a folder; the search ends with the first that decides."""
    found: set[str] = set()
    for path in walk(folder):
        name = file_format(path) or record_format(path)
        if name:
            found.add(name)
        if name and (name == wanted or (wanted is None and name in FILE_FORMATS)):
            break
    return found


def _read_directory(folder: Path, name: str, options: ReadOptions) -> Iterator[Document | Reject]:
    if name == "beir":
        return _not_empty(_guarded(read_beir(folder, options), folder), folder)
    if name in RECORD_FORMATS:
        return _not_empty(_read_parts(folder, name, options), folder)
    return read_folder(folder, options)


def _read_parts(folder: Path, name: str, options: ReadOptions) -> Iterator[Document | Reject]:
    """All record files of a folder; one that cannot be read costs only itself."""
    for path in record_files(folder, name):
        try:
            yield from _guarded(RECORD_READERS[name].read(path, options), path)
        except SourceError as error:
            yield Reject(Origin(str(path)), f"unreadable: {error}")


def _checked_records(path: Path, name: str, options: ReadOptions) -> Iterator[Document | Reject]:
    return _not_empty(_guarded(RECORD_READERS[name].read(path, options), path), path)


def _guarded(items: Iterator[Document | Reject], path: Path) -> Iterator[Document | Reject]:
    """Turn damage in the middle of a file into a reject; at its very start it is fatal."""
    last: Origin | None = None
    try:
        for item in items:
            last = item.origin
            yield item
    except (OSError, EOFError, zlib.error) as error:
        if last is None:
            msg = f"{display_name(path)} cannot be read: {error}"
            raise SourceError(msg) from error
        origin = Origin(last.file, (last.line or 0) + 1)
        yield Reject(origin, f"damaged file: {error}; what follows was not read")


def _not_empty(items: Iterator[Document | Reject], path: Path) -> Iterator[Document | Reject]:
    first = next(items, None)
    if first is None:
        msg = f"{display_name(path)} holds no records"
        raise SourceError(msg)
    return chain((first,), items)


def _suffixes(name: str) -> tuple[str, ...]:
    return (RECORD_READERS.get(name) or FILE_PARSERS[name]).suffixes


def _allowed() -> str:
    endings = ", ".join(
        f"{name} ({', '.join(_suffixes(name))})" for name in FORMATS if name != "beir"
    )
    return (
        f"Allowed: {endings}, a BEIR folder with corpus.jsonl; or force one with the format option"
    )
