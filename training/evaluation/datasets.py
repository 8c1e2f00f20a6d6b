"""Queries and relevance judgements: read from files, checked, and joined."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.errors import EvaluationError
from training.evaluation.lines import numbered_lines

Qrels = dict[str, dict[str, int]]

PREFERRED_SPLITS = ("test", "dev", "validation", "valid", "val")
NO_JUDGEMENT = "no judgement"
NO_RELEVANT = "no relevant document"
_HEADER_IDS = frozenset({"id", "_id", "qid", "query-id", "query_id", "queryid"})


@dataclass(frozen=True, slots=True)
class Query:
    """One query of an evaluation set."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Split:
    """The two files that make an evaluation set.

    Attributes:
        name: Folder and split, e.g. ``en_tatqa/dev``.
        queries: File of queries.
        qrels: File of judgements.
    """

    name: str
    queries: Path
    qrels: Path


@dataclass(frozen=True)
class JudgedQueries:
    """The queries that can be scored, in file order, with their judgements.

    Built from everything that was read; what cannot be scored is left out and counted. A query
    without a relevant document scores 0 in every mode, so it would only dilute the averages.

    Attributes:
        queries: Queries with at least one relevant document, by id.
        qrels: Their judgements: query id -> document id -> grade (> 0 is relevant).
        name: What the set is called in reports.
        left_out: Reason -> number of queries left out for it.

    Raises:
        EvaluationError: A judged query is not among the queries, or none is left.
    """

    queries: Mapping[str, Query]
    qrels: Mapping[str, Mapping[str, int]]
    name: str = ""
    left_out: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        _refuse_unknown(self.qrels, self.queries)
        kept = {
            query_id: query
            for query_id, query in self.queries.items()
            if _has_relevant(self.qrels.get(query_id, {}))
        }
        left_out = _count_left_out(self.queries, self.qrels)
        if not kept:
            reasons = "; ".join(f"{count} with {why}" for why, count in left_out.items())
            msg = (
                f"no query can be scored: {len(self.queries)} queries read ({reasons or 'empty'}). "
                "Give judgements with a grade of 1 or more for at least one of them."
            )
            raise EvaluationError(msg)
        # The object is frozen for everybody else; this is its birth.
        object.__setattr__(self, "queries", kept)
        object.__setattr__(self, "qrels", {q: dict(self.qrels[q]) for q in kept})
        object.__setattr__(self, "left_out", left_out)

    def __len__(self) -> int:
        return len(self.queries)

    def __iter__(self) -> Iterator[Query]:
        return iter(self.queries.values())


def load_queries(path: str | Path) -> dict[str, Query]:
    r"""Read queries from BEIR JSON lines (``_id``, ``text``) or lines of ``id\ttext``.

    Args:
        path: A ``.jsonl`` file, or a tab-separated one with or without a header line.

    Returns:
        Queries by id, in file order.

    Raises:
        EvaluationError: A line is no query, an id comes twice, or the file holds none.
    """
    path = Path(path)
    queries: dict[str, Query] = {}
    parse = None
    for number, line in numbered_lines(path):
        where = f"{path}:{number}"
        if parse is None:
            is_json = path.suffix == ".jsonl" or line.lstrip().startswith("{")
            parse = _query_from_json if is_json else _query_from_tsv
            if not is_json and line.split("\t")[0].strip().lower() in _HEADER_IDS:
                continue
        query = parse(line, where)
        if query.id in queries:
            msg = f"{where}: query id {query.id!r} comes a second time; ids must be unique"
            raise EvaluationError(msg)
        queries[query.id] = query
    if not queries:
        msg = f"{path}: no queries in it; expected JSON lines with _id and text, or id<TAB>text"
        raise EvaluationError(msg)
    return queries


def load_qrels(path: str | Path, *, known: Collection[str] | None = None) -> Qrels:
    """Read judgements: BEIR's three columns (with or without header) or TREC's four.

    Args:
        path: The judgements file.
        known: Ids of the queries, if a judgement of any other query is to be refused here,
            where its line is known.

    Returns:
        Query id -> document id -> grade, in file order.

    Raises:
        EvaluationError: Wrong number of columns, a grade that is no integer, a judgement
            repeated with another grade, an unknown query, or no judgement at all.
    """
    path = Path(path)
    qrels: Qrels = {}
    first = True
    for number, line in numbered_lines(path):
        cells = _cells(line)
        is_header, first = first and cells[0].lower() in _HEADER_IDS, False
        if is_header:
            continue
        where = f"{path}:{number}"
        query_id, doc_id, grade = _judgement(cells, where)
        if known is not None and query_id not in known:
            msg = f"{where}: query {query_id!r} is judged but is not among the queries"
            raise EvaluationError(msg)
        _add_judgement(qrels.setdefault(query_id, {}), doc_id, grade, where)
    if not qrels:
        msg = f"{path}: no judgements in it; expected query-id, corpus-id and score, tab-separated"
        raise EvaluationError(msg)
    return qrels


def load_judged(queries: str | Path, qrels: str | Path, *, name: str = "") -> JudgedQueries:
    """Read both files and join them; every fault is reported with file and line.

    Raises:
        EvaluationError: A fault in either file, or nothing that can be scored.
    """
    read = load_queries(queries)
    return JudgedQueries(read, load_qrels(qrels, known=read.keys()), name or Path(qrels).stem)


def load_split(split: Split) -> JudgedQueries:
    """Read the files that `find_split` found."""
    return load_judged(split.queries, split.qrels, name=split.name)


def open_judged(queries: Path, qrels: Path | None, split: str | None) -> JudgedQueries:
    """Queries and judgements as a user names them.

    Args:
        queries: A BEIR folder, or a file of queries.
        qrels: A file of judgements; in a BEIR folder the split names it.
        split: Which judgements of a BEIR folder.

    Raises:
        EvaluationError: They cannot be found or read.
    """
    if not queries.is_dir():
        if qrels is None:
            msg = f"{queries} is a file of queries, so a file of judgements (qrels) is needed too"
            raise EvaluationError(msg)
        return load_judged(queries, qrels, name=queries.stem)
    if qrels is not None:
        return load_judged(find_split(queries, split).queries, qrels, name=queries.name)
    return load_split(find_split(queries, split))


def find_split(folder: str | Path, split: str | None = None) -> Split:
    """Find queries and judgements in a BEIR folder.

    Args:
        folder: Holds ``queries.jsonl`` (or ``queries.tsv``) and ``qrels/<split>.tsv``.
        split: Which judgements; by default ``test``, else ``dev``, else the only ones there.

    Raises:
        EvaluationError: Something is not there; the message lists what is.
    """
    folder = Path(folder)
    queries = next(
        (p for p in (folder / "queries.jsonl", folder / "queries.tsv") if p.is_file()), None
    )
    if queries is None:
        there = ", ".join(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else ""
        msg = f"{folder} holds no queries.jsonl or queries.tsv; it holds: {there or 'nothing'}"
        raise EvaluationError(msg)
    found = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    chosen = _choose_split(folder, found, split)
    return Split(f"{folder.resolve().name}/{chosen}", queries, found[chosen])


def _choose_split(folder: Path, found: Mapping[str, Path], wanted: str | None) -> str:
    if wanted is None:
        candidates = [name for name in PREFERRED_SPLITS if name in found]
        if not candidates and len(found) == 1:
            candidates = list(found)
    else:
        candidates = [wanted] if wanted in found else []
    if candidates:
        return candidates[0]
    what = f"qrels/{wanted}.tsv" if wanted else "qrels/test.tsv or qrels/dev.tsv"
    msg = f"{folder} holds no {what}; splits there: {', '.join(found) or 'none'}. Name one of them."
    raise EvaluationError(msg)


def _query_from_json(line: str, where: str) -> Query:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        msg = f"{where}: not JSON ({error.msg} at column {error.colno}); one object per line"
        raise EvaluationError(msg) from error
    if not isinstance(record, dict):
        msg = f"{where}: a JSON {type(record).__name__}, not an object with _id and text"
        raise EvaluationError(msg)
    query_id = record.get("_id", record.get("id"))
    if not isinstance(query_id, str | int) or isinstance(query_id, bool):
        msg = f"{where}: no _id (a string or an integer); keys there: {', '.join(record)}"
        raise EvaluationError(msg)
    text = record.get("text")
    if not isinstance(text, str):
        msg = f"{where}: query {query_id!r} has no text (a string); keys: {', '.join(record)}"
        raise EvaluationError(msg)
    metadata = record.get("metadata")
    return _checked(str(query_id), text, where, metadata if isinstance(metadata, dict) else {})


def _query_from_tsv(line: str, where: str) -> Query:
    query_id, tab, text = line.partition("\t")
    if not tab:
        msg = f"{where}: no tab; a line is the query's id, a tab, and its text"
        raise EvaluationError(msg)
    return _checked(query_id, text, where, {})


def _checked(query_id: str, text: str, where: str, metadata: Mapping[str, Any]) -> Query:
    query_id, text = query_id.strip(), text.strip()
    if not query_id or not text:
        msg = f"{where}: empty {'text' if query_id else 'id'}; remove the line or fill it in"
        raise EvaluationError(msg)
    return Query(query_id, text, metadata)


def _cells(line: str) -> list[str]:
    # BEIR separates by tabs (ids may hold spaces), TREC by any white space.
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def _judgement(cells: list[str], where: str) -> tuple[str, str, int]:
    if len(cells) not in {3, 4}:
        msg = (
            f"{where}: {len(cells)} columns; expected query-id, corpus-id, score (BEIR) "
            "or query-id, 0, document-id, grade (TREC)"
        )
        raise EvaluationError(msg)
    query_id, doc_id, grade = cells[0], cells[-2], cells[-1]
    try:
        return query_id, doc_id, int(grade)
    except ValueError as error:
        msg = f"{where}: the grade {grade!r} is no integer; use 0 for not relevant, 1 and up else"
        raise EvaluationError(msg) from error


def _add_judgement(judged: dict[str, int], doc_id: str, grade: int, where: str) -> None:
    before = judged.setdefault(doc_id, grade)
    if before != grade:
        msg = f"{where}: document {doc_id!r} was graded {before} before and is {grade} here"
        raise EvaluationError(msg)


def _has_relevant(judged: Mapping[str, int]) -> bool:
    return any(grade > 0 for grade in judged.values())


def _count_left_out(
    queries: Mapping[str, Query], qrels: Mapping[str, Mapping[str, int]]
) -> dict[str, int]:
    unjudged = sum(not qrels.get(query_id) for query_id in queries)
    judged = sum(_has_relevant(qrels.get(query_id, {})) for query_id in queries)
    counts = {
        NO_JUDGEMENT: unjudged,
        NO_RELEVANT: len(queries) - unjudged - judged,
    }
    return {reason: count for reason, count in counts.items() if count}


def _refuse_unknown(qrels: Collection[str], queries: Collection[str]) -> None:
    unknown = [query_id for query_id in qrels if query_id not in queries]
    if unknown:
        shown = ", ".join(repr(query_id) for query_id in unknown[:5])
        msg = (
            f"{len(unknown)} judged queries are not among the queries: {shown}"
            f"{' …' if len(unknown) > 5 else ''}. Do the two files belong together?"
        )
        raise EvaluationError(msg)
