"""The evaluation set that comes of a log: a BEIR folder."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ingest.masking import mask_text
from operations.feedback.evidence import QueryEvidence
from operations.feedback.relevance import Relevance
from operations.feedback.stored_texts import StoredText
from operations.feedback.whole_files import whole_file

SPLIT = "test"


def write_corpus(texts: Iterable[tuple[str, StoredText]], path: Path) -> dict[str, str]:
    """Write each document once; returns the document of each id of the log."""
    owners: dict[str, str] = {}
    written: set[str] = set()
    with whole_file(path) as corpus:
        for name, text in texts:
            owners[name] = text.doc_id
            if text.doc_id not in written:
                written.add(text.doc_id)
                _line(corpus, {"_id": text.doc_id, "title": text.title, "text": text.text})
    return owners


def write_judgements(
    graded: Sequence[tuple[QueryEvidence, Mapping[str, Relevance]]],
    owners: Mapping[str, str],
    folder: Path,
) -> tuple[int, int]:
    """Write ``queries.jsonl`` and ``qrels/test.tsv``.

    Args:
        graded: Queries, and what is known of their objects.
        owners: The document of each object.
        folder: Where to.

    Returns:
        Queries and judgements written; queries without a relevant document are left out.
    """
    queries = judgements = 0
    with (
        whole_file(folder / "queries.jsonl") as asked,
        whole_file(folder / "qrels" / f"{SPLIT}.tsv") as qrels,
    ):
        qrels.write("query-id\tcorpus-id\tscore\n")
        for query, relevances in graded:
            grades = _document_grades(relevances, owners)
            if not any(grades.values()):
                continue
            queries += 1
            judgements += len(grades)
            _line(asked, {"_id": query.key, "text": mask_text(query.text).text})
            qrels.writelines(f"{query.key}\t{doc}\t{grade}\n" for doc, grade in grades.items())
    return queries, judgements


def _document_grades(
    relevances: Mapping[str, Relevance], owners: Mapping[str, str]
) -> dict[str, int]:
    """Grades by document; of several passages of a document the best counts."""
    grades: dict[str, int] = {}
    for name, relevance in relevances.items():
        if relevance.grade is not None and name in owners:
            doc = owners[name]
            grades[doc] = max(grades.get(doc, 0), relevance.grade)
    return grades


def _line(file: Any, value: Mapping[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False) + "\n")
