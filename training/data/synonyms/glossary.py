"""Terms and their synonyms, read from a table or from JSON lines."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.readers.lines import bounded_lines, open_bytes
from training.data.errors import FaultList
from training.data.parsing import RecordFault, parse_object
from training.data.readers import MAX_LINE_BYTES


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a glossary.

    Attributes:
        term: The term.
        synonyms: Other words for it, without the term itself.
        domain: Terms of one domain are each other's hard negatives; ``""`` where none is given.
    """

    term: str
    synonyms: tuple[str, ...]
    domain: str = ""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a glossary has what.

    Attributes:
        term: Column (or key) of the term.
        synonyms: Column of its synonyms.
        domain: Column of the domain; may be absent.
        separator: Between synonyms in one cell.
    """

    term: str = "term"
    synonyms: str = "synonyms"
    domain: str = "domain"
    separator: str = "|"


def read_glossary(path: Path, columns: Columns | None = None) -> Iterator[Entry]:
    """Entries of a ``.csv``, ``.tsv`` or ``.jsonl`` file; lines without a synonym are left out.

    Args:
        path: The file, UTF-8.
        columns: Names of the columns.

    Raises:
        TrainingDataError: What is wrong, with file and line, up to twenty faults at once.
    """
    columns = columns or Columns()
    faults = FaultList()
    rows = _json_rows if path.suffix in (".jsonl", ".ndjson") else _table_rows
    try:
        for where, row in rows(path, faults):
            try:
                entry = _entry(row, columns)
            except RecordFault as fault:
                faults.add(where, str(fault))
                continue
            if entry.synonyms and not faults:
                yield entry
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.add(str(path), f"cannot be read: {error}")
    faults.raise_if_any()


def _json_rows(path: Path, faults: FaultList) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with open_bytes(path) as stream:
        for line in bounded_lines(stream, MAX_LINE_BYTES):
            if not line.content.strip():
                continue
            where = f"{path}:{line.number}"
            try:
                yield where, parse_object(line)
            except RecordFault as fault:
                faults.add(where, str(fault))


def _table_rows(path: Path, faults: FaultList) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        for row in table:
            where = f"{path}:{table.line_num}"
            if None in row:
                faults.add(where, f"more cells than the {len(table.fieldnames or ())} columns")
                continue
            yield where, row


def _entry(row: Mapping[str, Any], columns: Columns) -> Entry:
    for name in (columns.term, columns.synonyms):
        if name not in row:
            msg = f"no column {name!r}; there are {', '.join(map(str, row)) or 'none'}"
            raise RecordFault(msg)
    term = _plain(row[columns.term], columns.term)
    if not term:
        msg = f"{columns.term} is empty"
        raise RecordFault(msg)
    found = dict.fromkeys(_synonyms(row[columns.synonyms], columns))
    others = tuple(word for word in found if word and word.casefold() != term.casefold())
    return Entry(term, others, _plain(row.get(columns.domain) or "", columns.domain))


def _synonyms(value: Any, columns: Columns) -> Iterable[str]:
    if value is None:
        return []
    words = value if isinstance(value, list) else str(value).split(columns.separator)
    return [_plain(word, columns.synonyms) for word in words]


def _plain(value: Any, name: str) -> str:
    if not isinstance(value, str):
        msg = f"{name} holds {json.dumps(value)[:40]}, not a string"
        raise RecordFault(msg)
    return " ".join(value.split())
