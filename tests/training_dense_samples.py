"""A small set to train on, and the configuration of a run that takes seconds."""

import json
from pathlib import Path
from typing import Any

from training.config import check_values
from training.dense.config import DenseConfig

ACCOUNTS = ("savings", "loan", "card", "deposit", "exchange", "fee", "rate", "customer")
ACTIONS = ("open", "charged", "repaid", "insured", "payments", "proof", "interest", "address")


def write_set(folder: Path, *, queries: int = 24) -> Path:
    """A BEIR folder: each query asks for the one document that holds both of its words."""
    (folder / "qrels").mkdir(parents=True)
    pairs = [(a, b) for a in ACCOUNTS for b in ACTIONS]
    documents = [
        {
            "_id": f"d{i}",
            "title": a,
            "text": f"the {a} of an account is {b} " + "on the day " * (i % 4),
        }
        for i, (a, b) in enumerate(pairs)
    ]
    asked = [{"_id": f"q{i}", "text": f"{b} {a}"} for i, (a, b) in enumerate(pairs)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, asked)))
    for split, numbers in (
        ("train", range(queries)),
        ("dev", range(40, 52)),
        ("floor", range(52, 60)),
    ):
        lines = [f"q{i}\td{i}\t1" for i in numbers]
        (folder / "qrels" / f"{split}.tsv").write_text(
            "query-id\tcorpus-id\tscore\n" + "\n".join(lines)
        )
    return folder


def dense_config(source: Path, model: Path, output: Path, /, **changes: Any) -> DenseConfig:
    """A run of six steps; sections in ``changes`` are merged."""
    values: dict[str, Any] = {
        "model": str(model),
        "output": str(output),
        "data": {
            "train": [{"path": str(source), "split": "train"}],
            "dev": [{"path": str(source), "split": "dev"}],
            "floor": [{"path": str(source), "split": "floor"}],
        },
        "training": {"steps": 6, "batch_size": 8, "learning_rate": 5e-3, "precision": "fp32"},
        "adapter": {"rank": 4, "alpha": 8},
        "evaluation": {"every": 2},
        "merge": {"scales": [0.5, 1.0]},
    }
    for key, change in changes.items():
        before = values.get(key)
        values[key] = {**before, **change} if isinstance(before, dict) else change
    return check_values(values, DenseConfig, source="test")
