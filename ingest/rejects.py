"""The file that holds what was set aside."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from ingest.errors import IngestError
from ingest.records import Document, Reject

KEPT_OF_RAW = 500


class RejectWriter:
    """Writes one JSON line per reject; the file appears with the first of them.

    Attributes:
        path: The rejects file; what an earlier run left there is replaced by the first reject,
            or removed when this run has none.
        counts: Rejects by kind: the part of the reason before its colon.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, reject: Reject) -> None:
        """Append one reject, its raw text cut to 500 characters.

        Raises:
            IngestError: The file cannot be written.
        """
        self.counts[kind_of(reject)] += 1
        record = reject.as_dict() | {"raw": reject.raw[:KEPT_OF_RAW]}
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # Raw input may hold broken characters; they are written as JSON escapes.
                self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def keep(self, items: Iterable[Document | Reject]) -> Iterator[Document]:
        """Write the rejects of a stream and pass the documents on."""
        for item in items:
            if isinstance(item, Reject):
                self.write(item)
            else:
                yield item

    @property
    def total(self) -> int:
        """How many rejects were written."""
        return self.counts.total()

    def _unwritable(self, error: OSError) -> IngestError:
        return IngestError(f"cannot write the rejects file {self.path}: {error.strerror or error}")


def kind_of(reject: Reject) -> str:
    """The kind of a reject: its reason up to the colon."""
    return reject.reason.partition(":")[0]
