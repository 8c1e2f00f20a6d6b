"""Reads what a configuration names: records, dev sets, the corpus whose statistics count."""

import logging
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from training.data.normalising import normalised
from training.data.readers import read_records
from training.data.records import TrainingRecord
from training.dev_sets import CORPUS, DevSet, read_corpus
from training.errors import TrainingError
from training.sparse.batches import RecordSet
from training.sparse.config import SparseData, SparseTrainSet

logger = logging.getLogger(__name__)

# A training set of which more is found among the evaluation queries is no training set.
MAX_LEAKED = 0.2


def load_record_sets(data: SparseData, dev_sets: Iterable[DevSet]) -> tuple[list[RecordSet], int]:
    """Records to train on, without those whose query is an evaluation query.

    Returns:
        The sets, and how many records were left out.

    Raises:
        TrainingError: Most of a set is evaluation data, or a set is empty.
    """
    forbidden = {normalised(text) for dev_set in dev_sets for text in dev_set.query_texts}
    found = [_record_set(entry, forbidden) for entry in data.train]
    return [entry for entry, _ in found], sum(left_out for _, left_out in found)


def corpus_texts(data: SparseData) -> Iterator[str]:
    """The texts whose statistics the query weights start from, each corpus once."""
    files = [corpus_file(path) for path in data.corpus]
    if not files:
        paths = [*(entry.path for entry in data.train), *(entry.path for entry in data.dev)]
        folders = [path for path in paths if path.is_dir()]
        files = [path / CORPUS for path in folders]
    if files:
        for path in dict.fromkeys(file.resolve() for file in files):
            yield from (text for _, text in read_corpus(path))
        return
    seen: set[int] = set()
    for record in chain.from_iterable(read_records(entry.path) for entry in data.train):
        for text in (*record.pos, *record.neg):
            if hash(text) not in seen:
                seen.add(hash(text))
                yield text


def corpus_file(path: Path) -> Path:
    """The corpus of a BEIR folder, or the file itself."""
    return path if path.is_file() else path / CORPUS


def load_triplets(path: Path | None) -> list[TrainingRecord]:
    """Triplets to measure synonyms on; none without a file."""
    return [] if path is None else list(read_records(path))


def _record_set(entry: SparseTrainSet, forbidden: set[str]) -> tuple[RecordSet, int]:
    records = list(read_records(entry.path, split=entry.split))
    kept = [record for record in records if normalised(record.query) not in forbidden]
    left_out = len(records) - len(kept)
    if left_out > MAX_LEAKED * len(records):
        msg = (
            f"{entry.path}: {left_out} of {len(records)} training queries are evaluation queries. "
            "Train on another split, or measure on another."
        )
        raise TrainingError(msg)
    if left_out:
        logger.warning("%s: %d evaluation queries left out", entry.path, left_out)
    weight = entry.weight if entry.weight is not None else float(len(kept))
    corpus = None if entry.corpus is None else corpus_file(entry.corpus)
    return RecordSet(str(entry.path), kept, weight, entry.teacher, corpus), left_out
