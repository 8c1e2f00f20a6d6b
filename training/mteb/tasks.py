"""MTEB's tasks by name or benchmark, and tasks made of a BEIR folder."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from encoders.fingerprint import canonical_json
from training.dev_sets import DevSet, read_corpus
from training.errors import EvaluationError

_SPLIT = "test"
_DIGITS = 8
# What a sparse encoder can do: it searches, but its vectors are no points to cluster.
SEARCH_TASKS = frozenset({"Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking"})


def named_tasks(names: Sequence[str]) -> list[Any]:
    """Tasks by their names in MTEB.

    Raises:
        EvaluationError: There is no task of a name; the message has the nearest.
    """
    import mteb

    if not names:
        return []
    try:
        return list(mteb.get_tasks(tasks=list(names)))
    except KeyError as error:
        msg = f"MTEB has no such task: {_text(error)}"
        raise EvaluationError(msg) from error


def benchmark_tasks(name: str) -> list[Any]:
    """All tasks of a benchmark, for example ``MTEB(kor, v2)``.

    Raises:
        EvaluationError: There is no benchmark of this name; the message has the nearest.
    """
    import mteb

    try:
        return list(mteb.get_benchmark(name).tasks)
    except KeyError as error:
        msg = f"MTEB has no such benchmark: {_text(error)}"
        raise EvaluationError(msg) from error


def local_task(dev_set: DevSet) -> Any:
    """A retrieval task over a BEIR folder, so that a model meets MTEB's own scoring on your data.

    MTEB wants a whole corpus in memory. The task's name holds a digest of the data: MTEB keeps
    results by name, and those of other data are none of this.
    """
    from mteb.abstasks import AbsTaskRetrieval

    rows, judged = _rows(dev_set), _judgements(dev_set)
    digest = hashlib.sha256(canonical_json([rows, judged])).hexdigest()[:_DIGITS]
    name = f"{_task_name(dev_set.name)}-{digest}"

    def load_data(task: Any, *_: Any, **__: Any) -> None:
        """Nothing to fetch."""
        task.dataset = {"default": {_SPLIT: _split_data(rows, judged)}}
        task.data_loaded = True

    parts = {"metadata": _metadata(name, dev_set.name), "load_data": load_data}
    return type("LocalRetrieval", (AbsTaskRetrieval,), parts)()


def _rows(dev_set: DevSet) -> dict[str, list[dict[str, str]]]:
    kept = set(dev_set.doc_ids)
    pairs = read_corpus(dev_set.corpus)
    return {
        "corpus": [{"id": doc_id, "text": text} for doc_id, text in pairs if doc_id in kept],
        "queries": [{"id": query.id, "text": query.text} for query in dev_set.judged],
    }


def _judgements(dev_set: DevSet) -> dict[str, dict[str, int]]:
    """A grade below 0 counts as 0, as it does in our own metrics."""
    return {
        query: {doc_id: max(0, grade) for doc_id, grade in judged.items()}
        for query, judged in dev_set.judged.qrels.items()
    }


def _split_data(rows: Mapping[str, Any], judged: Mapping[str, Any]) -> dict[str, Any]:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    return {
        "corpus": Dataset.from_list(rows["corpus"]),
        "queries": Dataset.from_list(rows["queries"]),
        "relevant_docs": dict(judged),
        "top_ranked": None,
    }


def _metadata(name: str, what: str) -> Any:
    from mteb.abstasks.task_metadata import TaskMetadata

    return TaskMetadata(
        name=name,
        description=f"Retrieval over {what}",
        type="Retrieval",
        category="t2t",
        dataset={"path": f"local/{name}", "revision": "local"},
        eval_splits=[_SPLIT],
        # MTEB wants a language; nothing is chosen by it here.
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
    )


def for_kind(tasks: Sequence[Any], *, sparse: bool) -> tuple[list[Any], list[str]]:
    """Tasks that an encoder can do, and the names of the others."""
    if not sparse:
        return list(tasks), []
    fitting = [task for task in tasks if task.metadata.type in SEARCH_TASKS]
    others = [task.metadata.name for task in tasks if task.metadata.type not in SEARCH_TASKS]
    return fitting, others


def _task_name(name: str) -> str:
    return "Local-" + re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _text(error: KeyError) -> str:
    text = str(error.args[0]) if error.args else str(error)
    return text.removeprefix("KeyError: ")
