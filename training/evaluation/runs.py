"""Runs: what a system returned for every query, and their two file forms."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from training.errors import EvaluationError
from training.evaluation.lines import numbered_lines

Run = dict[str, dict[str, float]]
"""Query id -> document id -> score, best first: the order is the ranking, whatever the scores."""

Hit = tuple[str, float]


def ranked(hits: Iterable[Hit]) -> dict[str, float]:
    """Hits as one query's part of a run.

    A document that comes again (through another of its passages) keeps its first, best place.

    Args:
        hits: Document ids with scores, best first.

    Raises:
        EvaluationError: A score is not a finite number.
    """
    result: dict[str, float] = {}
    for doc_id, score in hits:
        if not math.isfinite(score):
            msg = f"document {doc_id!r} has the score {score}; scores must be finite numbers"
            raise EvaluationError(msg)
        result.setdefault(doc_id, float(score))
    return result


def rank_preserving(scores: Sequence[float]) -> list[float]:
    """Scores that fall strictly, so that sorting by score gives the order they came in.

    Fused scores often tie, and trec_eval breaks ties by document id. A score that does not fall
    below the one before it is set to the next smaller float32: trec_eval reads single precision.

    Args:
        scores: One query's scores, best first.

    Returns:
        As many scores; those that fell already are only rounded to float32.
    """
    falling = np.asarray(scores, dtype=np.float32)
    if falling.size > 1 and not np.all(np.diff(falling) < 0):
        bottom = np.float32(-np.inf)
        for i in range(1, falling.size):
            falling[i] = min(falling[i], np.nextafter(falling[i - 1], bottom))
    return [float(score) for score in falling]


def save_trec(run: Run, path: str | Path, *, tag: str = "tandem") -> None:
    """Write a TREC run file: ``query Q0 document rank score tag``.

    The format separates by white space, so white space inside an id is written as ``_``; the
    JSON-lines form keeps ids as they are.
    """
    tag = _one_word(tag)
    with Path(path).open("w", encoding="utf-8") as file:
        for query_id, hits in run.items():
            query = _one_word(query_id)
            scores = rank_preserving(list(hits.values()))
            file.writelines(
                f"{query} Q0 {_one_word(doc_id)} {rank} {score:.9g} {tag}\n"
                for rank, (doc_id, score) in enumerate(zip(hits, scores, strict=True), start=1)
            )


def load_trec(path: str | Path) -> Run:
    """Read a TREC run file; like trec_eval by score, but ties are broken by the rank column.

    Raises:
        EvaluationError: A line does not have the six columns, or a document comes twice.
    """
    lines: dict[str, list[tuple[float, int, str]]] = {}
    for number, line in numbered_lines(Path(path)):
        query_id, doc_id, rank, score = _trec_columns(line, f"{path}:{number}")
        lines.setdefault(query_id, []).append((-score, rank, doc_id))
    run = {q: ranked((d, -s) for s, _, d in sorted(hits)) for q, hits in lines.items()}
    for query_id, hits in lines.items():
        if len(run[query_id]) < len(hits):
            msg = f"{path}: a document comes twice for query {query_id!r}; keep its best line"
            raise EvaluationError(msg)
    return run


def save_jsonl(run: Run, path: str | Path) -> None:
    """Write one line per query: ``{"query_id": …, "hits": [[document, score], …]}``."""
    with Path(path).open("w", encoding="utf-8") as file:
        for query_id, hits in run.items():
            record = {"query_id": query_id, "hits": list(hits.items())}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def load_jsonl(path: str | Path) -> Run:
    """Read what `save_jsonl` wrote, in the order written.

    Raises:
        EvaluationError: A line is not of that form.
    """
    run: Run = {}
    for number, line in numbered_lines(Path(path)):
        try:
            record = json.loads(line)
            hits = [(str(doc_id), float(score)) for doc_id, score in record["hits"]]
            run[record["query_id"]] = ranked(hits)
        except (ValueError, KeyError, TypeError) as error:
            msg = f'{path}:{number}: not {{"query_id": …, "hits": [[id, score], …]}}'
            raise EvaluationError(msg) from error
    return run


def relevant_ranks(
    hits: Mapping[str, float], judged: Mapping[str, int]
) -> dict[str, tuple[int, int | None]]:
    """Where a query's relevant documents stand.

    Returns:
        Document id -> (grade, rank from 1, or None where it was not returned); highest grade
        first.
    """
    places = {doc_id: rank for rank, doc_id in enumerate(hits, start=1)}
    relevant = sorted(((d, g) for d, g in judged.items() if g > 0), key=lambda item: -item[1])
    return {doc_id: (grade, places.get(doc_id)) for doc_id, grade in relevant}


def _one_word(text: str) -> str:
    return "_".join(text.split()) or "_"


def _trec_columns(line: str, where: str) -> tuple[str, str, int, float]:
    try:
        query_id, _, doc_id, rank, score, _ = line.split()
        return query_id, doc_id, int(rank), float(score)
    except ValueError as error:
        msg = f"{where}: not the six columns of a TREC run (query Q0 document rank score tag)"
        raise EvaluationError(msg) from error
