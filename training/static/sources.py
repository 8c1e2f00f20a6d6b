"""Where a static run's texts come from, each pass streamed anew."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.config import TrainSet
from training.data.normalising import normalised
from training.data.readers import read_records
from training.data.records import TrainingRecord
from training.dev_sets import CORPUS, read_corpus
from training.static.config import StaticData


@dataclass(frozen=True)
class TrainSource:
    """One training set.

    Attributes:
        settings: Its path, split and weight.
        max_documents: Documents that are read, at most.
        held_back: Queries that are measured later, normalised: never trained on.
    """

    settings: TrainSet
    max_documents: int
    held_back: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return self.settings.path.resolve().name

    def records(self) -> Iterator[TrainingRecord]:
        """Its queries with their relevant texts, without queries that are measured later."""
        return (r for r in self._all_records() if normalised(r.query) not in self.held_back)

    def left_out(self) -> int:
        """How many records were left out because their query is measured later."""
        return sum(normalised(r.query) in self.held_back for r in self._all_records())

    def documents(self) -> Iterator[str]:
        """Texts of its corpus; of a file of records there are only those of the records."""
        if self.settings.path.is_dir():
            return folder_documents(self.settings.path, self.max_documents)
        return (text for record in self.records() for text in (*record.pos, *record.neg))

    def _all_records(self) -> Iterator[TrainingRecord]:
        return read_records(self.settings.path, split=self.settings.split)


def train_sources(data: StaticData, held_back: frozenset[str] = frozenset()) -> list[TrainSource]:
    """The training sets of a configuration."""
    return [TrainSource(settings, data.max_documents, held_back) for settings in data.train]


def folder_documents(folder: Path, limit: int) -> Iterator[str]:
    """Texts of a BEIR folder's corpus."""
    texts = (text for _, text in read_corpus(folder / CORPUS))
    return itertools.islice(texts, limit)


def all_texts(data: StaticData, sources: Sequence[TrainSource]) -> Iterator[str]:
    """Everything the vocabulary is made from: documents and training queries."""
    for source in sources:
        yield from source.documents()
        yield from (record.query for record in source.records())
    yield from further_documents(data)


def further_documents(data: StaticData) -> Iterator[str]:
    """Documents that belong to no training set."""
    folders: Iterable[Path] = data.corpus
    for folder in folders:
        yield from folder_documents(folder, data.max_documents)
