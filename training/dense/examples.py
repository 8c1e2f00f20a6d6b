"""Records as the rows a trainer takes: a query, a positive, a fixed number of negatives."""

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.config import TrainSet
from training.data.normalising import normalised
from training.data.readers import read_records
from training.data.records import TrainingRecord
from training.dense.config import Objective
from training.dev_sets import DevSet
from training.errors import TrainingError

QUERY, POSITIVE, NEGATIVE, LABEL = "query", "positive", "negative", "label"
# Positives of other queries, from which negatives are drawn where a record has too few.
_POOL = 1_000
_SHOWN = 3


class LeakError(TrainingError):
    """Queries of an evaluation set stand in the training data."""


@dataclass(frozen=True, slots=True)
class ExampleOptions:
    """How records become rows.

    Attributes:
        negatives: Negatives per row.
        objective: Whether rows carry a teacher's scores, and in which form.
        seed: Of the drawing.
        evaluation: Sets whose queries must not be trained on.
        allow_leak: Train on them all the same.
    """

    negatives: int
    objective: Objective
    seed: int
    evaluation: Sequence[DevSet] = ()
    allow_leak: bool = False


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first pass over the records of a set found.

    Attributes:
        records: How many there are.
        hard: How many have negatives of their own.
        scored: How many have scores for all their texts.
        pool: A sample of positives.
        leaks: Queries that stand in an evaluation set as well, with the set's name.
    """

    records: int
    hard: int
    scored: int
    pool: tuple[str, ...] = field(repr=False)
    leaks: tuple[tuple[str, str], ...] = ()


def build_examples(sets: Sequence[TrainSet], options: ExampleOptions, folder: Path) -> Any:
    """The rows of each set, on disk, read by memory mapping.

    Args:
        sets: Where the records are.
        options: How they become rows.
        folder: Where the rows are kept; they can be made anew at any time.

    Returns:
        Name -> ``datasets.Dataset`` with the columns query, positive, negative_1, … and label.

    Raises:
        LeakError: An evaluation query is trained on.
        TrainingError: Records are faulty, or lack what the objective needs.
    """
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    surveys = [survey(read_records(s.path, split=s.split), options) for s in sets]
    refuse_leaks(surveys, options)
    found = {}
    for number, (source, seen) in enumerate(zip(sets, surveys, strict=True)):
        _check_scores(source, seen, options)
        name = set_name(source, number)
        found[name] = Dataset.from_generator(
            _generate,
            gen_kwargs={"source": [source], "seen": [seen], "options": [options]},
            cache_dir=str(folder),
            fingerprint=_fingerprint(source, seen, options),
        )
    return DatasetDict(found)


def survey(records: Iterable[TrainingRecord], options: ExampleOptions) -> Survey:
    """Count what the records hold and compare their queries with those of evaluation sets."""
    evaluated = {normalised(q): s.name for s in options.evaluation for q in s.query_texts}
    draw = random.Random(options.seed)  # noqa: S311
    count = hard = scored = 0
    pool: list[str] = []
    leaks: list[tuple[str, str]] = []
    for record in records:
        name = evaluated.get(normalised(record.query))
        if name is not None:
            leaks.append((record.query, name))
        hard += bool(record.neg)
        scored += record.pos_scores is not None and record.neg_scores is not None
        _into_pool(pool, record.pos[0], count, draw)
        count += 1
    return Survey(count, hard, scored, tuple(pool), tuple(leaks))


def refuse_leaks(surveys: Sequence[Survey], options: ExampleOptions) -> None:
    """Refuse to train on what is measured later.

    Raises:
        LeakError: There is a query in common, and leaks are not allowed.
    """
    leaks = [leak for seen in surveys for leak in seen.leaks]
    if not leaks or options.allow_leak:
        return
    shown = "; ".join(f"{query!r} (in {name})" for query, name in leaks[:_SHOWN])
    msg = (
        f"{len(leaks)} training queries are evaluation queries as well: {shown}"
        f"{' …' if len(leaks) > _SHOWN else ''}. Any score would be worth nothing. Remove "
        "them from the training data, or say --allow-leak."
    )
    raise LeakError(msg)


def rows(
    records: Iterable[TrainingRecord], seen: Survey, options: ExampleOptions
) -> Iterator[dict[str, Any]]:
    """One row for each relevant text of each record."""
    count = options.negatives if seen.hard or options.objective != "contrastive" else 0
    for number, record in enumerate(records):
        draw = random.Random(f"{options.seed}/{number}")  # noqa: S311
        for place, positive in enumerate(record.pos):
            chosen = _negatives(record, count, draw, seen.pool)
            row: dict[str, Any] = {QUERY: record.query, POSITIVE: positive}
            row.update({f"{NEGATIVE}_{i + 1}": text for i, (text, _) in enumerate(chosen)})
            if options.objective != "contrastive":
                scores = [score for _, score in chosen]
                row[LABEL] = _label(record, place, scores, options.objective)
            yield row


def set_name(source: TrainSet, number: int) -> str:
    """A name for a set that is unique within a run."""
    name = source.path.stem if source.path.suffix else source.path.name
    return f"{number + 1}-{name}"


def weights_of(sets: Sequence[TrainSet], sizes: Sequence[int]) -> list[float]:
    """Share of the batches of each set: as given, else by its size; they add up to 1.

    Where some sets have a weight and others none, the others share what the given ones leave.

    Raises:
        TrainingError: The given ones leave nothing.
    """
    given = sum(s.weight for s in sets if s.weight is not None)
    open_sizes = sum(size for s, size in zip(sets, sizes, strict=True) if s.weight is None)
    if not open_sizes:
        return [(s.weight or 0) / given for s in sets]
    if given >= 1:
        msg = (
            f"the weights in data.train add up to {given:g} and leave nothing for the sets without "
            "one: give every set a weight, or keep the sum below 1"
        )
        raise TrainingError(msg)
    return [
        s.weight if s.weight is not None else (1 - given) * size / open_sizes
        for s, size in zip(sets, sizes, strict=True)
    ]


def _generate(
    source: list[TrainSet], seen: list[Survey], options: list[ExampleOptions]
) -> Iterator[dict[str, Any]]:
    records = read_records(source[0].path, split=source[0].split)
    yield from rows(records, seen[0], options[0])


def _fingerprint(source: TrainSet, seen: Survey, options: ExampleOptions) -> str:
    """Names the cached rows: other data or other options must not find them."""
    stamps = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in _files_of(source.path, source.split)
    ]
    parts = [stamps, seen.records, options.negatives, options.objective, options.seed]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _files_of(path: Path, split: str | None) -> list[Path]:
    if not path.is_dir():
        return [path]
    names = ("corpus.jsonl", "queries.jsonl", f"qrels/{split or 'train'}.tsv")
    return [path / name for name in names if (path / name).is_file()]


def _into_pool(pool: list[str], text: str, count: int, draw: random.Random) -> None:
    """Keep an even sample of a stream (Vitter, "Random sampling with a reservoir", 1985)."""
    if len(pool) < _POOL:
        pool.append(text)
        return
    place = draw.randint(0, count)
    if place < _POOL:
        pool[place] = text


def _negatives(
    record: TrainingRecord, count: int, draw: random.Random, pool: Sequence[str]
) -> list[tuple[str, float]]:
    scores = record.neg_scores or (0.0,) * len(record.neg)
    own = list(zip(record.neg, scores, strict=True))
    chosen = draw.sample(own, min(count, len(own)))
    if len(chosen) < count and record.neg_scores is None:
        taken = {*record.pos, *record.neg}
        others = [text for text in pool if text not in taken] or list(pool)
        chosen += [(draw.choice(others), 0.0) for _ in range(count - len(chosen))]
    while len(chosen) < count:  # a scored record: only texts the teacher has seen
        chosen.append(draw.choice(own))
    return chosen


def _label(
    record: TrainingRecord, place: int, scores: Sequence[float], objective: Objective
) -> list[float]:
    positive = (record.pos_scores or ())[place]
    if objective == "kl":
        return [positive, *scores]
    return [positive - score for score in scores]


def _check_scores(source: TrainSet, seen: Survey, options: ExampleOptions) -> None:
    if options.objective == "contrastive" or (seen.scored == seen.hard == seen.records):
        return
    msg = (
        f"{source.path}: {seen.scored} of {seen.records} records carry a teacher's scores and "
        f"{seen.hard} have negatives; the objective {options.objective} needs pos_scores, "
        "neg_scores and at least one negative in each. Use loss.objective = 'contrastive' instead."
    )
    raise TrainingError(msg)
