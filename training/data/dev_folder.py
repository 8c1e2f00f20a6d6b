"""Dev data as a BEIR folder: what the trainers measure a checkpoint on."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from training.data.normalising import text_key
from training.data.records import TrainingRecord

SPLIT = "dev"


class DocumentNames:
    """One id for each text: equal texts are one document, whatever their sources call them."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()

    def name(self, text: str, given: str = "") -> tuple[str, bool]:
        """The id of a text, and whether it is new.

        Args:
            text: The document.
            given: Its id at its source; kept unless another text has it.
        """
        key = text_key(text)
        if key in self._names:
            return self._names[key], False
        name = given or f"text-{key}"
        if name in self._taken:
            name = f"{name}-{key[:8]}"
        self._names[key] = name
        self._taken.add(name)
        return name, True


def write_dev_folder(
    folder: Path, records: Iterable[TrainingRecord], documents: Iterable[tuple[str, str]]
) -> tuple[int, int]:
    """Write ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/dev.tsv``.

    Args:
        folder: Made where it is missing.
        records: The dev records; their queries differ.
        documents: Id and text of all documents to search among; the records' own are added.

    Returns:
        Queries and documents written.
    """
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files = [
            stack.enter_context((folder / name).open("w", encoding="utf-8"))
            for name in ("corpus.jsonl", "queries.jsonl", f"qrels/{SPLIT}.tsv")
        ]
        writer = _Writer(*files)
        for doc_id, text in documents:
            writer.document(text, doc_id)
        files[2].write("query-id\tcorpus-id\tscore\n")
        for record in records:
            writer.record(record)
    return len(writer.queries), writer.documents


class _Writer:
    def __init__(self, corpus: TextIO, asked: TextIO, qrels: TextIO) -> None:
        self._corpus, self._asked, self._qrels = corpus, asked, qrels
        self._names = DocumentNames()
        self.queries: set[str] = set()
        self.documents = 0

    def document(self, text: str, given: str) -> str:
        name, new = self._names.name(text, given)
        if new:
            self.documents += 1
            _line(self._corpus, {"_id": name, "title": "", "text": text})
        return name

    def record(self, record: TrainingRecord) -> None:
        query = record.query_id
        if query is None or query in self.queries:
            query = f"dev-{len(self.queries) + 1}"
        self.queries.add(query)
        _line(self._asked, {"_id": query, "text": record.query})
        grades = dict.fromkeys(self._judged(record.neg, record.neg_ids), 0)
        grades |= dict.fromkeys(self._judged(record.pos, record.pos_ids), 1)
        self._qrels.writelines(f"{query}\t{doc}\t{grade}\n" for doc, grade in grades.items())

    def _judged(self, texts: tuple[str, ...], ids: tuple[str, ...]) -> list[str]:
        given = ids or ("",) * len(texts)
        return [self.document(t, i) for t, i in zip(texts, given, strict=True)]


def _line(file: TextIO, value: dict[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False) + "\n")
