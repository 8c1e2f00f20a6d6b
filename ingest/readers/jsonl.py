"""JSON Lines: one record per line, plain or gzipped, or from stdin."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ingest.readers.checks import BadRecordError, decode, describe, excerpt, without_bom
from ingest.readers.fields import RecordMapper
from ingest.readers.lines import Line, bounded_lines, display_name, open_bytes
from ingest.readers.options import ReadOptions
from ingest.records import Document, Origin, Reject


def read_jsonl(path: Path, options: ReadOptions) -> Iterator[Document | Reject]:
    """Read one file line by line; blank lines are passed over."""
    mapper = RecordMapper(options)
    parser = RecordParser(options.encoding)
    with open_bytes(path) as stream:
        for line in bounded_lines(stream, options.max_raw_bytes):
            if not line.content.strip():
                continue
            origin = Origin(display_name(path), line.number)
            try:
                record = parser.parse(_checked_length(line, options))
            except BadRecordError as error:
                yield Reject(origin, str(error), raw=excerpt(line.content))
            else:
                yield mapper.document(record, origin, excerpt(line.content))


class RecordParser:
    """One line to one record; strict where JSON is, since what is lax here fails in the index."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)

    def parse(self, line: Line) -> dict[str, Any]:
        """Decode and parse a line.

        Raises:
            BadRecordError: Wrong encoding, bad JSON, or JSON that is not an object.
        """
        content = without_bom(line.content, self._encoding) if line.number == 1 else line.content
        text = decode(content, self._encoding)
        try:
            record = self._decoder.decode(text)
        except (ValueError, RecursionError) as error:
            msg = f"bad JSON: {error}"
            raise BadRecordError(msg) from error
        if not isinstance(record, dict):
            msg = f"not an object: the line holds {describe(record)}"
            raise BadRecordError(msg)
        if "\\u" in text:
            _check_escapes(record)
        return record


def _checked_length(line: Line, options: ReadOptions) -> Line:
    if line.overlong:
        msg = (
            f"too large: the line is longer than {options.max_raw_bytes:,} bytes; "
            f"the limit of a document is {options.max_document_bytes:,}"
        )
        raise BadRecordError(msg)
    return line


def _check_escapes(record: dict[str, Any]) -> None:
    """Escapes can spell half a character, which no index takes, anywhere in the record."""
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        msg = "broken character: a lone surrogate, escaped as \\ud..."
        raise BadRecordError(msg) from error


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        msg = f"{digits} is beyond the range of numbers"
        raise ValueError(msg)
    return value
