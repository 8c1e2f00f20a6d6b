"""Names of training data on the command line: a file, or a BEIR folder and its split."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from training.data.errors import TrainingDataError
from training.data.readers import read_records
from training.data.records import TrainingRecord
from training.dev_sets import CORPUS, read_corpus


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where records are.

    Attributes:
        path: A file, or a BEIR folder.
        split: Which judgements of a folder.
    """

    path: Path
    split: str | None = None

    @classmethod
    def parse(cls, text: str) -> "DataSource":
        """Read ``FILE``, ``FOLDER`` or ``FOLDER:SPLIT``.

        Raises:
            TrainingDataError: There is nothing of that name.
        """
        if Path(text).exists():
            return cls(Path(text))
        name, _, split = text.rpartition(":")
        if name and split and Path(name).is_dir():
            return cls(Path(name), split)
        what = "a .jsonl file, a BEIR folder, or FOLDER:SPLIT"
        raise TrainingDataError([f"{text}: not there; expected {what}"])

    def __str__(self) -> str:
        return f"{self.path}:{self.split}" if self.split else str(self.path)

    def records(self) -> Iterator[TrainingRecord]:
        """The records; see :func:`training.data.readers.read_records`."""
        return read_records(self.path, split=self.split)

    def documents(self) -> Iterator[tuple[str, str]]:
        """Id and text of everything that could be searched; a text without an id has id ``""``."""
        if self.path.is_dir():
            return read_corpus(self.path / CORPUS)
        return chain.from_iterable(_texts(record) for record in self.records())


def _texts(record: TrainingRecord) -> Iterator[tuple[str, str]]:
    for texts, ids in ((record.pos, record.pos_ids), (record.neg, record.neg_ids)):
        yield from zip(ids or ("",) * len(texts), texts, strict=True)
