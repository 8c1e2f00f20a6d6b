"""CSV and TSV files with a header."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest.errors import SourceError
from ingest.readers.checks import BadRecordError, without_bom
from ingest.readers.fields import RecordMapper
from ingest.readers.lines import bounded_lines, display_name, open_bytes
from ingest.readers.options import ReadOptions
from ingest.records import Document, Origin, Reject
from ingest.rejects import KEPT_OF_RAW


def read_delimited(
    path: Path, options: ReadOptions, *, delimiter: str = ","
) -> Iterator[Document | Reject]:
    """Read one file record by record; the origin is the line on which a record starts.

    Raises:
        SourceError: The header is missing or has no column for the id or the text.
    """
    mapper = RecordMapper(options)
    # The csv module's limit holds for the whole process, so it is only ever raised; what keeps
    # memory small is the limit on records.
    csv.field_size_limit(max(csv.field_size_limit(), options.max_raw_bytes))
    with open_bytes(path) as stream:
        rows = _Rows(stream, options, delimiter)
        header = _checked_header(next(rows, None), path, mapper, options)
        for row in rows:
            origin, raw = Origin(display_name(path), row.line), _raw(row, delimiter)
            fault = row.fault or _fault(row, header)
            if fault:
                yield Reject(origin, fault, raw=raw)
            elif row.cells:
                # Empty cells are absent fields.
                pairs = zip(header, row.cells, strict=True)
                yield mapper.document({k: v for k, v in pairs if v.strip()}, origin, raw)


@dataclass(frozen=True, slots=True)
class _Row:
    """Cells of one record, none for a blank line; with a fault, why it has none."""

    line: int
    cells: tuple[str, ...] = ()
    fault: str = ""


class _Rows:
    """Rows of a delimited stream; a fault costs the row that holds it, not the rest of the file."""

    def __init__(self, stream: BinaryIO, options: ReadOptions, delimiter: str) -> None:
        self._lines = _TextLines(stream, options)
        self._reader = csv.reader(self._lines, delimiter=delimiter)

    def __iter__(self) -> "_Rows":
        return self

    def __next__(self) -> _Row:
        line = self._lines.begin_record()
        try:
            return _Row(line, tuple(next(self._reader)))
        except csv.Error as error:
            return _Row(line, fault=f"bad CSV: {error}")
        except BadRecordError as error:
            return _Row(line, fault=str(error))


class _TextLines:
    """Decoded lines for the csv module; bytes that do not decode are kept as lone surrogates.

    An iterator rather than a generator: it goes on after it raised.
    """

    def __init__(self, stream: BinaryIO, options: ReadOptions) -> None:
        self._lines = bounded_lines(stream, options.max_raw_bytes)
        self._options = options
        self._number = 0
        self._record_bytes = 0

    def __iter__(self) -> "_TextLines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self._number = line.number
        self._record_bytes += len(line.content)
        # A quote that is never closed would make one record of all lines that follow.
        if line.overlong or self._record_bytes > self._options.max_raw_bytes:
            msg = (
                f"too large: longer than {self._options.max_raw_bytes:,} bytes; the limit of a "
                f"document is {self._options.max_document_bytes:,} (is a quote never closed?)"
            )
            raise BadRecordError(msg)
        encoding = self._options.encoding
        content = without_bom(line.content, encoding) if line.number == 1 else line.content
        return content.decode(encoding, errors="surrogateescape") + "\n"

    def begin_record(self) -> int:
        """Start counting bytes anew; returns the number of the line that comes next."""
        self._record_bytes = 0
        return self._number + 1


def _fault(row: _Row, header: tuple[str, ...]) -> str:
    """What is wrong with a row that the csv module took, or nothing."""
    if any("\udc80" <= c <= "\udcff" for cell in row.cells if not cell.isascii() for c in cell):
        return "wrong encoding: the row holds bytes that are not in the file's encoding"
    if row.cells and len(row.cells) != len(header):
        return f"wrong number of fields: {len(row.cells)}, the header has {len(header)}"
    return ""


def _raw(row: _Row, delimiter: str) -> str:
    """The beginning of a row, undecodable bytes replaced."""
    text = delimiter.join(row.cells)[:KEPT_OF_RAW]
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")


def _checked_header(
    row: _Row | None, path: Path, mapper: RecordMapper, options: ReadOptions
) -> tuple[str, ...]:
    if row is None or row.fault or not row.cells:
        problem = (row.fault if row else "") or "it is empty"
        msg = f"{display_name(path)}: the header cannot be read: {problem}"
        raise SourceError(msg)
    header = tuple(name.strip() for name in row.cells)
    wanted = {"id": not options.generate_ids, "text": options.template is None}
    for role in (role for role, needed in wanted.items() if needed):
        names = mapper.names[role]
        if not set(names) & set(header):
            msg = (
                f"{display_name(path)}: no column for the {role} ({' or '.join(names)}); the "
                f"header has {', '.join(header)}. Name the column in the fields mapping"
            )
            raise SourceError(msg)
    return header
