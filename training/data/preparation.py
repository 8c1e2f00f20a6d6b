"""From records of all kinds to a training file, a dev set, and a report of what was done."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from training.data.advice import advice
from training.data.beir import passages_of
from training.data.deduplication import NearPair, merge_equal_queries, near_pairs
from training.data.dev_folder import write_dev_folder
from training.data.errors import TrainingDataError
from training.data.leakage import EvaluationQueries, remove_leaks, shared_positives
from training.data.mixing import Part, amounts, mix
from training.data.near_duplicates import NEAR
from training.data.readers import read_records
from training.data.records import TrainingRecord, write_records
from training.data.set_aside import keep_apart
from training.data.sources import DataSource
from training.data.splitting import Split, plan_split
from training.evaluation.datasets import JudgedQueries, find_split, load_split

TRAIN, DEV, REPORT = "train.jsonl", "dev", "report.json"
SET_ASIDE, NEAR_PAIRS = "set-aside.jsonl", "near-duplicates.jsonl"


@dataclass(frozen=True)
class Preparation:
    """What is to be done.

    Attributes:
        dev_share: Share of the records that becomes dev data; 0 makes no dev set.
        seed: Of the split and of the mixing.
        near: Least resemblance of two queries that are nearly the same.
        against: Evaluation sets whose queries must not be trained on.
        mixed: Other sets, and the share of the training data each becomes.
    """

    dev_share: float = 0.1
    seed: int = 42
    near: float = NEAR
    against: Sequence[DataSource] = ()
    mixed: Mapping[DataSource, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Prepared:
    """What was done.

    Attributes:
        read: Records read from one's own data.
        train: Records to train on, those mixed in included.
        train_pairs: Their pairs of query and relevant text.
        dev_queries: Queries of the dev set.
        dev_documents: Documents they are searched among.
        set_aside: Reason -> number of records.
        near_pairs: Pairs of queries that are nearly the same; listed, kept on one side.
        shared_positives: Training records whose relevant text also answers an evaluation query.
        mixed: Set -> records taken of it.
        notes: What a person should know.
    """

    read: int
    train: int
    train_pairs: int
    dev_queries: int
    dev_documents: int
    set_aside: Mapping[str, int]
    near_pairs: int
    shared_positives: int
    mixed: Mapping[str, int]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        return asdict(self)


def prepare(
    sources: Sequence[DataSource], folder: Path, preparation: Preparation | None = None
) -> Prepared:
    """Merge, check against evaluation sets, split, mix, and write the folder.

    Args:
        sources: One's own data; other files may be deleted afterwards.
        folder: Gets ``train.jsonl``, ``dev/`` (a BEIR folder), ``set-aside.jsonl``,
            ``near-duplicates.jsonl`` and ``report.json``.
        preparation: What is to be done.

    Raises:
        TrainingDataError: Records are faulty, or nothing is left of them.
        EvaluationError: An evaluation set cannot be read.
        MissingExtraError: datasketch is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".prepare-", dir=folder) as place:
        job = _Job(sources, folder, Path(place), preparation or Preparation())
        report = job.run()
    text = json.dumps(report.as_dict(), ensure_ascii=False, indent=2)
    (folder / REPORT).write_text(text + "\n", encoding="utf-8")
    return report


class _Job:
    def __init__(
        self, sources: Sequence[DataSource], folder: Path, place: Path, todo: Preparation
    ) -> None:
        self._sources = sources
        self._folder = folder
        self._place = place
        self._todo = todo
        self._set_aside: Counter[str] = Counter()
        self._notes: list[str] = []

    def run(self) -> Prepared:
        evaluation = [_judged(source) for source in self._todo.against]
        # Everything is read once before anything is judged, so that faults come first.
        read = write_records(chain.from_iterable(s.records() for s in self._sources), self._raw)
        kept = self._clean(EvaluationQueries(_texts(evaluation), self._todo.near))
        pairs = self._near_pairs()
        split = plan_split(
            _stored(self._kept)(),
            self._todo.dev_share,
            self._todo.seed,
            [(pair.query, pair.other) for pair in pairs],
        )
        own = write_records(_side(self._kept, split, dev=False), self._own)
        dev_queries, dev_documents = self._write_dev(split, kept - own)
        mixed, train, train_pairs = self._write_train(own, split, _texts(evaluation))
        self._notes += advice(train_pairs)
        shared = shared_positives(_stored(self._own)(), self._relevant(evaluation))
        return Prepared(
            read=read,
            train=train,
            train_pairs=train_pairs,
            dev_queries=dev_queries,
            dev_documents=dev_documents,
            set_aside=dict(self._set_aside),
            near_pairs=len(pairs),
            shared_positives=shared,
            mixed=mixed,
            notes=self._notes,
        )

    @property
    def _raw(self) -> Path:
        return self._place / "raw.jsonl"

    @property
    def _kept(self) -> Path:
        return self._place / "kept.jsonl"

    @property
    def _own(self) -> Path:
        return self._place / "own.jsonl"

    def _clean(self, evaluation: EvaluationQueries) -> int:
        items = remove_leaks(merge_equal_queries(_stored(self._raw)), evaluation)
        path = self._folder / SET_ASIDE
        kept = write_records(keep_apart(items, path, self._set_aside), self._kept)
        if not kept:
            where = ", ".join(map(str, self._sources))
            fault = f"{where}: every record was set aside; see {path}"
            raise TrainingDataError([fault])
        return kept

    def _near_pairs(self) -> list[NearPair]:
        pairs = list(near_pairs(_stored(self._kept)(), self._todo.near))
        with (self._folder / NEAR_PAIRS).open("w", encoding="utf-8") as file:
            for pair in pairs:
                file.write(json.dumps(pair.as_dict(), ensure_ascii=False) + "\n")
        return pairs

    def _write_dev(self, split: Split, count: int) -> tuple[int, int]:
        if not count:
            shutil.rmtree(self._folder / DEV, ignore_errors=True)  # of an earlier run
            if self._todo.dev_share:
                self._notes.append(
                    "no dev set: the records all hang together by shared documents; "
                    "give an evaluation set of its own to the trainer"
                )
            return 0, 0
        documents = chain.from_iterable(source.documents() for source in self._sources)
        return write_dev_folder(self._folder / DEV, _side(self._kept, split, dev=True), documents)

    def _write_train(
        self, own: int, split: Split, measured: Sequence[str]
    ) -> tuple[dict[str, int], int, int]:
        if self._todo.dev_share:
            dev = [record.query for record in _side(self._kept, split, dev=True)]
            measured = [*measured, *dev]
        wanted = amounts(own, {str(s): share for s, share in self._todo.mixed.items()})
        parts = [Part(_stored(self._own), own, own)]
        taken: dict[str, int] = {}
        for number, source in enumerate(self._todo.mixed):
            part = self._part(source, number, wanted[str(source)], measured)
            parts.append(part)
            taken[str(source)] = min(part.taken, part.available)
        pairs = Counter[str]()
        total = write_records(_counted(mix(parts, self._todo.seed), pairs), self._folder / TRAIN)
        return taken, total, pairs["pairs"]

    def _part(self, source: DataSource, number: int, wanted: int, measured: Sequence[str]) -> Part:
        path = self._place / f"mixed-{number}.jsonl"
        items = remove_leaks(source.records(), EvaluationQueries(measured, self._todo.near))
        aside = self._place / f"mixed-{number}-aside.jsonl"
        available = write_records(keep_apart(items, aside, self._set_aside), path)
        with (self._folder / SET_ASIDE).open("a", encoding="utf-8") as file:
            file.write(aside.read_text(encoding="utf-8"))
        if available < wanted:
            self._notes.append(
                f"{source} has {available:,} records where its share asks for {wanted:,}; "
                "all are taken"
            )
        return Part(_stored(path), available, wanted)

    def _relevant(self, evaluation: Sequence[JudgedQueries]) -> dict[str, str]:
        found: dict[str, str] = {}
        for source, judged in zip(self._todo.against, evaluation, strict=True):
            wanted = {d for grades in judged.qrels.values() for d, g in grades.items() if g > 0}
            found |= passages_of(source.path, wanted)
        return found


def _judged(source: DataSource) -> JudgedQueries:
    return load_split(find_split(source.path, source.split))


def _texts(evaluation: Sequence[JudgedQueries]) -> list[str]:
    return [query.text for judged in evaluation for query in judged]


def _stored(path: Path) -> Callable[[], Iterator[TrainingRecord]]:
    def read() -> Iterator[TrainingRecord]:
        if path.stat().st_size:
            yield from read_records(path)

    return read


def _side(path: Path, split: Split, *, dev: bool) -> Iterator[TrainingRecord]:
    return (record for record in _stored(path)() if split.is_dev(record) is dev)


def _counted(records: Iterator[TrainingRecord], counts: Counter[str]) -> Iterator[TrainingRecord]:
    for record in records:
        counts["pairs"] += len(record.pos)
        yield record
