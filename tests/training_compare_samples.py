"""Sets, runs and measurements for the tests of training.compare and training.ablation."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.compare.measuring import Measured
from training.dev_sets import DevSet

CORPUS = {
    "fee": "A transfer abroad costs a fee of five euros.",
    "card": "Report a lost card in the app at once.",
    "limit": "The daily limit of a card is one thousand euros.",
    "loan": "A loan is repaid in monthly instalments.",
}
QUESTIONS = {
    "q1": ("transfer abroad fee", "fee"),
    "q2": ("stolen plastic", "card"),
    "q3": ("daily limit", "limit"),
    "q4": ("repay in instalments", "loan"),
}


def write_set(folder: Path) -> Path:
    """A BEIR folder of four documents and four questions, judged in the splits dev and test."""
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": i, "title": "", "text": text} for i, text in CORPUS.items()]
    queries = [{"_id": i, "text": text} for i, (text, _) in QUESTIONS.items()]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    for split, wanted in (("dev", ("q1", "q2")), ("test", ("q3", "q4")), ("all", QUESTIONS)):
        rows = [f"{q}\t{QUESTIONS[q][1]}\t1" for q in wanted]
        text = "\n".join(["query-id\tcorpus-id\tscore", *rows]) + "\n"
        (folder / "qrels" / f"{split}.tsv").write_text(text)
    return folder


def write_run(
    folder: Path,
    result: Mapping[str, Any] | None,
    log: Sequence[Mapping[str, Any]] = (),
    **data: Any,
) -> Path:
    """The folder of a run: configuration, log and, once complete, its result."""
    folder.mkdir(parents=True)
    entries = {key: [{"path": str(p), "split": s} for p, s in sets] for key, sets in data.items()}
    lines = [f"{key} = {_toml(value)}" for key, value in entries.items()]
    (folder / "config.toml").write_text("\n".join(["[data]", *lines, "[training]", "seed = 3"]))
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def measured(dev_set: DevSet, rankings: Mapping[str, Sequence[str]]) -> Measured:
    """What a system reached that ranks documents in this order."""
    run = {
        query: {doc: 1.0 / rank for rank, doc in enumerate(rankings.get(query, ()), start=1)}
        for query in dev_set.query_ids
    }
    return Measured(dev_set.evaluate(run), run)


def _toml(sets: Sequence[Mapping[str, str]]) -> str:
    tables = [", ".join(f"{k} = {json.dumps(v)}" for k, v in entry.items()) for entry in sets]
    return f"[{', '.join(f'{{{table}}}' for table in tables)}]"
