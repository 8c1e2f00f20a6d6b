"""How many records a source holds, for a progress bar's estimate."""

from collections.abc import Iterable
from pathlib import Path

from ingest.readers.beir import corpus_file
from ingest.readers.files import file_format, walk
from ingest.readers.lines import STDIN
from ingest.readers.open_source import detect_format, record_files
from ingest.readers.options import RECORD_FORMATS, ReadOptions

BLOCK_BYTES = 1024 * 1024


def estimate_records(source: Path, options: ReadOptions | None = None) -> int | None:
    """Records in a source, cheaply: lines, Parquet rows or files; None if only reading would tell.

    Bad records count, and so do the lines within cells of a CSV file, so it may be too high.

    Raises:
        SourceError: The source is missing, empty, or of a format that is not known.
    """
    name = detect_format(source, options)
    if source == STDIN:
        return None
    if name == "beir":
        corpus = corpus_file(source)
        return _total([corpus], "jsonl") if corpus else None
    if name in RECORD_FORMATS:
        return _total(record_files(source, name) if source.is_dir() else [source], name)
    if source.is_dir():
        formats = (file_format(path) for path in walk(source))
        return sum(1 for found in formats if found and name in ("files", found))
    return 1


def _total(paths: Iterable[Path], name: str) -> int | None:
    total = 0
    for path in paths:
        if path.suffix.lower() == ".gz":
            return None
        count = (
            _parquet_rows(path) if name == "parquet" else _lines(path) - (name in ("csv", "tsv"))
        )
        if count is None:
            return None
        total += count
    return total


def _lines(path: Path) -> int:
    """Line feeds, and one for a last line without."""
    lines, last = 0, b"\n"
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines + (last != b"\n")


def _parquet_rows(path: Path) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        # What is wrong with the file will be said by the reader.
        return None
