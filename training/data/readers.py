"""Reads training data: FlagEmbedding records, triplets, and BEIR folders."""

from collections.abc import Iterator
from pathlib import Path

from ingest.readers.lines import bounded_lines, open_bytes
from training.data.beir import read_beir_records
from training.data.errors import FaultList, TrainingDataError
from training.data.parsing import RecordFault, parse_object, parse_record
from training.data.records import TrainingRecord

MAX_LINE_BYTES = 64 * 2**20


def read_records(path: Path, *, split: str | None = None) -> Iterator[TrainingRecord]:
    """Read training data, one record at a time.

    A file holds one JSON object per line: ``{query, pos, neg?, pos_scores?, neg_scores?}``
    (FlagEmbedding) or ``{anchor | query, positive, negative?, negative_1?, …}`` (triplets). A
    folder is of the BEIR form; of its corpus only the judged documents are kept.

    Args:
        path: A ``.jsonl`` or ``.jsonl.gz`` file, or a BEIR folder.
        split: Which judgements of a BEIR folder, ``train`` where nothing is said.

    Yields:
        The records. After the first fault nothing more is yielded, so that nobody trains on a
        part; the rest is read only to list its faults as well.

    Raises:
        TrainingDataError: What is wrong, with file and line, up to twenty faults at once.
    """
    if path.is_dir():
        yield from read_beir_records(path, split or "train")
        return
    if split is not None:
        raise TrainingDataError([f"{path}: a split ({split}) is only for BEIR folders"])
    yield from _read_lines(path)


def _read_lines(path: Path) -> Iterator[TrainingRecord]:
    faults = FaultList()
    empty = True
    try:
        with open_bytes(path) as stream:
            for line in bounded_lines(stream, MAX_LINE_BYTES):
                if not line.content.strip():
                    continue
                empty = False
                try:
                    record = parse_record(parse_object(line))
                except RecordFault as fault:
                    faults.add(f"{path}:{line.number}", str(fault))
                else:
                    if not faults:
                        yield record
    except (OSError, EOFError) as error:
        faults.add(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if empty and not faults:
        faults.add(str(path), "no records in it; expected one JSON object per line")
    faults.raise_if_any()
