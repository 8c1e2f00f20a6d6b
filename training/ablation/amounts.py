"""A part of the training data; of one seed, a smaller part lies within every larger one."""

import hashlib
import heapq
from collections.abc import Sequence
from pathlib import Path

from training.ablation.plan import Cell
from training.config import TrainSet
from training.data.readers import read_records
from training.data.records import write_records
from training.errors import TrainingError
from training.evaluation.datasets import Qrels, find_split, load_qrels
from training.run_folder import replacing_folder

_JUDGEMENTS = "qrels"
_SPLIT = "train"


def draw_amount(cell: Cell) -> None:
    """Write the part of each training set that a cell learns from, where it is not there yet.

    A file of records gives a file. A BEIR folder gives a folder with fewer judged queries; its
    corpus is a link to the whole one, so that vocabulary and statistics stay what they are.

    Raises:
        TrainingError: The data is faulty, or the disk refuses.
    """
    if cell.amount is None:
        return
    targets = [entry.path for entry in cell.config.data.train]
    if all(target.exists() for target in targets):
        return
    totals = [_count(source) for source in cell.sources]
    for source, target, total in zip(cell.sources, targets, totals, strict=True):
        kept = _chosen(total, _wanted(cell.amount, total, sum(totals)), cell.seed)
        if source.path.is_dir():
            _write_folder(source, target, kept)
        else:
            records = read_records(source.path, split=source.split)
            write_records((r for number, r in enumerate(records) if number in kept), target)


def _count(source: TrainSet) -> int:
    if source.path.is_dir():
        return len(_judged(source))
    return sum(1 for _ in read_records(source.path, split=source.split))


def _wanted(amount: float | int, own: int, total: int) -> int:
    """How many records of a set are taken: its share of the whole, one at least."""
    share = amount if isinstance(amount, float) else amount / max(1, total)
    return max(1, min(own, round(own * share)))


def _chosen(total: int, wanted: int, seed: int) -> set[int]:
    """Places that come first in an order that a hash gives, the same for every amount."""

    def order(place: int) -> bytes:
        return hashlib.sha256(f"{seed}:{place}".encode()).digest()

    return set(heapq.nsmallest(wanted, range(total), key=order))


def _judged(source: TrainSet) -> Qrels:
    """The judged queries of a BEIR folder that have a relevant document."""
    qrels = load_qrels(find_split(source.path, source.split or _SPLIT).qrels)
    return {q: d for q, d in qrels.items() if any(grade > 0 for grade in d.values())}


def _write_folder(source: TrainSet, target: Path, kept: set[int]) -> None:
    judged = _judged(source)
    queries = [query for number, query in enumerate(judged) if number in kept]
    lines = [
        f"{query}\t{document}\t{grade}"
        for query in queries
        for document, grade in judged[query].items()
    ]
    with replacing_folder(target) as folder:
        for path in _own_parts(source.path):
            (folder / path.name).symlink_to(path.resolve())
        (folder / _JUDGEMENTS).mkdir()
        text = "\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n"
        name = f"{source.split or _SPLIT}.tsv"
        (folder / _JUDGEMENTS / name).write_text(text, encoding="utf-8")


def _own_parts(folder: Path) -> Sequence[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name != _JUDGEMENTS)
    except OSError as error:
        msg = f"{folder} cannot be read: {error.strerror or error}"
        raise TrainingError(msg) from error
