"""BEIR folders as training data: judgements, with the texts they speak of looked up."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from ingest.errors import IngestError
from ingest.readers.beir import read_beir
from ingest.readers.options import ReadOptions
from ingest.records import Reject
from training.data.errors import FaultList, TrainingDataError
from training.data.records import TrainingRecord
from training.errors import EvaluationError
from training.evaluation.datasets import Qrels, Query, find_split, load_qrels, load_queries
from training.evaluation.lines import numbered_lines


def read_beir_records(folder: Path, split: str) -> Iterator[TrainingRecord]:
    """Records of one split: relevant documents as ``pos``, those judged 0 as ``neg``.

    The corpus is streamed; only judged documents are held. Queries without a relevant document
    are passed over.

    Raises:
        TrainingDataError: A fault in one of the three files, or a judged document that the
            corpus does not hold.
    """
    try:
        files = find_split(folder, split)
        queries = load_queries(files.queries)
        qrels = load_qrels(files.qrels, known=queries.keys())
    except EvaluationError as error:
        raise TrainingDataError([str(error)]) from error
    texts = passages_of(folder, {doc for judged in qrels.values() for doc in judged})
    _refuse_missing(qrels, texts, files.qrels)
    for query_id, judged in qrels.items():
        record = _record(queries[query_id], judged, texts)
        if record.pos:
            yield record


def passages_of(folder: Path, wanted: Collection[str]) -> dict[str, str]:
    """Title and text of the wanted documents of a BEIR folder, as encoders read them.

    Raises:
        TrainingDataError: The corpus is missing or faulty; up to twenty faults at once.
    """
    faults = FaultList()
    texts: dict[str, str] = {}
    try:
        for document in read_beir(folder, ReadOptions()):
            if isinstance(document, Reject):
                faults.add(str(document.origin), document.reason)
            elif document.id in wanted:
                texts[document.id] = passage(document.title, document.text)
    except IngestError as error:
        raise TrainingDataError([str(error)]) from error
    faults.raise_if_any()
    return texts


def passage(title: str, text: str) -> str:
    """What encoders read of a document: the title, if there is one, and the text."""
    return f"{title}\n{text}" if title else text


def _record(query: Query, judged: Mapping[str, int], texts: Mapping[str, str]) -> TrainingRecord:
    pos = tuple(doc for doc, grade in judged.items() if grade > 0)
    neg = tuple(doc for doc, grade in judged.items() if grade <= 0)
    return TrainingRecord(
        query=query.text,
        pos=tuple(texts[doc] for doc in pos),
        neg=tuple(texts[doc] for doc in neg),
        query_id=query.id,
        pos_ids=pos,
        neg_ids=neg,
    )


def _refuse_missing(qrels: Qrels, texts: Mapping[str, str], path: Path) -> None:
    missing = {doc for judged in qrels.values() for doc in judged if doc not in texts}
    if not missing:
        return
    faults = FaultList()
    for number, line in numbered_lines(path):
        found = missing & set(line.split("\t") if "\t" in line else line.split())
        for doc in sorted(found):
            faults.add(f"{path}:{number}", f"document {doc!r} is not in the corpus")
    faults.raise_if_any()
