"""Parquet files, a few rows at a time."""

import datetime
import decimal
import math
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ingest.errors import SourceError
from ingest.readers.checks import BadRecordError, decode
from ingest.readers.fields import RecordMapper
from ingest.readers.options import ReadOptions
from ingest.records import Document, Origin, Reject
from ingest.rejects import KEPT_OF_RAW

ROWS_PER_BATCH = 256


def read_parquet(path: Path, options: ReadOptions) -> Iterator[Document | Reject]:
    """Read one file in small batches; the line of an origin is the row, from 1.

    Raises:
        SourceError: Not a Parquet file, or the columns for id or text are missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    mapper = RecordMapper(options)
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        msg = f"{path} is not a readable Parquet file: {error}"
        raise SourceError(msg) from error
    with file:
        row = 0
        try:
            for batch in file.iter_batches(ROWS_PER_BATCH, use_threads=False):
                for row, record in enumerate(_records(batch), start=row + 1):  # noqa: B020
                    yield _item(record, Origin(str(path), row), mapper)
        except (pa.ArrowException, OSError) as error:
            reason = f"damaged file: {error}; the rows from here on were not read"
            yield Reject(Origin(str(path), row + 1), reason)


def _records(batch: Any) -> Iterator[dict[str, Any] | BadRecordError]:
    """Rows of an Arrow batch; a string column may hold bytes that are no UTF-8."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield BadRecordError(f"wrong encoding: not UTF-8 at byte {error.start}")


def _item(
    record: dict[str, Any] | BadRecordError, origin: Origin, mapper: RecordMapper
) -> Document | Reject:
    if isinstance(record, BadRecordError):
        return Reject(origin, str(record))
    try:
        plain = {name: plain_value(value) for name, value in record.items()}
    except BadRecordError as error:
        return Reject(origin, str(error))
    return mapper.document(plain, origin, str(plain)[:KEPT_OF_RAW])


def plain_value(value: Any) -> Any:
    """An Arrow value as JSON has it: dates in ISO 8601, decimals as text, NaN as null.

    Raises:
        BadRecordError: A binary value that is not UTF-8 text.
    """
    if isinstance(value, Mapping):
        return {key: plain_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(inner) for inner in value]
    if isinstance(value, bytes):
        return decode(value, "utf-8")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID | datetime.timedelta):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
