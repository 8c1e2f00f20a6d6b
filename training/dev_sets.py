"""Sets that choose a checkpoint: judged queries and their corpus, measured by exact search."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.config import EvaluationSet
from training.data.beir import passage
from training.errors import EvaluationError
from training.evaluation.datasets import JudgedQueries, find_split, load_split
from training.evaluation.lines import numbered_lines
from training.evaluation.metrics import PRIMARY, Evaluated, evaluate_run
from training.evaluation.runs import Run

CORPUS = "corpus.jsonl"


@dataclass(frozen=True)
class DevSet:
    """Judged queries and where their corpus is.

    The corpus is read anew at each pass: only its ids are kept.

    Attributes:
        name: Folder and split, e.g. ``bank/dev``.
        judged: Queries with their judgements.
        corpus: The corpus file.
        doc_ids: Ids of the documents that are searched, in file order.
    """

    name: str
    judged: JudgedQueries
    corpus: Path
    doc_ids: tuple[str, ...]

    @classmethod
    def load(
        cls,
        folder: Path,
        split: str | None = None,
        *,
        max_documents: int | None = None,
        max_queries: int | None = None,
        seed: int = 0,
    ) -> "DevSet":
        """Read a BEIR folder.

        Args:
            folder: Holds ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/<split>.tsv``.
            split: Which judgements; by default ``test``, else ``dev``, else the only ones there.
            max_documents: Search only so many documents: all relevant ones, and others drawn at
                random. A metric over fewer documents is higher, but falls and rises alike.
            max_queries: Take only so many queries, drawn at random.
            seed: Of the drawing.

        Raises:
            EvaluationError: A file is missing or faulty, or nothing can be scored.
        """
        judged = _draw_queries(load_split(find_split(folder, split)), max_queries, seed)
        corpus = Path(folder) / CORPUS
        doc_ids = [doc_id for doc_id, _ in read_corpus(corpus)]
        _check_corpus(corpus, doc_ids, judged)
        kept = _draw_documents(doc_ids, judged, max_documents, seed)
        return cls(judged.name, judged, corpus, tuple(kept))

    @property
    def query_ids(self) -> list[str]:
        """Ids of the queries, in file order."""
        return list(self.judged.queries)

    @property
    def query_texts(self) -> list[str]:
        """Texts of the queries, in the same order."""
        return [query.text for query in self.judged]

    def documents(self) -> Iterator[str]:
        """Texts of the searched documents, in the order of ``doc_ids``."""
        kept = set(self.doc_ids)
        return (text for doc_id, text in read_corpus(self.corpus) if doc_id in kept)

    def evaluate(self, run: Run) -> Evaluated:
        """All metrics of a run over this set."""
        return evaluate_run(run, self.judged.qrels)


def load_sets(sets: Sequence[EvaluationSet], seed: int) -> list[DevSet]:
    """Read the sets a configuration names.

    Raises:
        EvaluationError: A file is missing or faulty, or nothing in it can be scored.
    """
    return [
        DevSet.load(
            s.path, s.split, max_documents=s.max_documents, max_queries=s.max_queries, seed=seed
        )
        for s in sets
    ]


def ndcg(run: Run, dev_set: DevSet) -> float:
    """Mean NDCG@10 of a run over a set."""
    return dev_set.evaluate(run).aggregate[PRIMARY]


def read_corpus(path: Path) -> Iterator[tuple[str, str]]:
    """Id and text of each document of a BEIR corpus, in file order.

    Raises:
        EvaluationError: A line is no document; the message names file and line.
    """
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
            found = str(record["_id"]), passage(record.get("title") or "", record["text"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            msg = f"{path}:{number}: not a JSON object with _id and text ({error!r})"
            raise EvaluationError(msg) from error
        yield found


def _draw_queries(judged: JudgedQueries, count: int | None, seed: int) -> JudgedQueries:
    if count is None or count >= len(judged):
        return judged
    drawn = set(random.Random(seed).sample(list(judged.queries), count))  # noqa: S311
    queries = {q: query for q, query in judged.queries.items() if q in drawn}
    return JudgedQueries(queries, {q: judged.qrels[q] for q in queries}, judged.name)


def _draw_documents(
    doc_ids: list[str], judged: JudgedQueries, count: int | None, seed: int
) -> list[str]:
    if count is None or count >= len(doc_ids):
        return doc_ids
    wanted = {d for grades in judged.qrels.values() for d in grades}
    others = [doc_id for doc_id in doc_ids if doc_id not in wanted]
    missing = max(0, count - (len(doc_ids) - len(others)))
    wanted.update(random.Random(seed).sample(others, missing))  # noqa: S311
    return [doc_id for doc_id in doc_ids if doc_id in wanted]


def _check_corpus(corpus: Path, doc_ids: list[str], judged: JudgedQueries) -> None:
    if not doc_ids:
        msg = f"{corpus} holds no documents"
        raise EvaluationError(msg)
    known = set(doc_ids)
    if len(known) < len(doc_ids):
        msg = f"{corpus}: {len(doc_ids) - len(known)} ids come twice; ids must be unique"
        raise EvaluationError(msg)
    relevant = {d for grades in judged.qrels.values() for d, grade in grades.items() if grade > 0}
    if not relevant & known:
        msg = (
            f"none of the {len(relevant)} relevant documents of {judged.name} is in {corpus}. "
            "Do corpus and judgements belong together?"
        )
        raise EvaluationError(msg)
