"""SPLADE from the embedded sentence encoder: trains, then compares with OpenSearch's BM25.

    python benchmarks/train_sparse.py --data DATA --work FOLDER
    python benchmarks/train_sparse.py --data DATA --work FOLDER --resume
    python benchmarks/train_sparse.py --data DATA --work SECOND --base FOLDER/run/model \
        --teacher runs/dense/seed-0/model

The last form is a second stage: half the steps from a trained model, with its word vectors free and
a tuned dense model as the teacher, which may then teach on all sets. Records with hard negatives
are looked for in the work folder and made by sparse_records.py where they are missing. BM25's
figures are those of docs/results.json, measured on a node with the English analyzer. Each set is
searched with the IDF and the average length of its own corpus.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import sparse_records

from encoders.pruning import Pruning
from training.config import load_config
from training.data.records import write_records
from training.dev_sets import DevSet
from training.sparse.config import SparseConfig
from training.sparse.measures import Measured, measure
from training.sparse.prior_student import PriorStudent
from training.sparse.run import START, train_sparse

ROOT = Path(__file__).parent.parent
CONFIG = Path(__file__).parent / "configs" / "sparse-minilm.toml"
BM25_FIGURES = ROOT / "docs" / "results.json"
# Set -> share of the batches, and whether the teachers are good there.
TRAIN = {"en_msmarco": (0.40, True), "en_tatqa": (0.35, False), "en_bankfaq": (0.25, True)}
DEV = ("en_bankfaq", "en_tatqa")
MEASURED = (
    ("en_tatqa", "dev"),
    ("en_tatqa", "test"),
    ("en_bankfaq", "dev"),
    ("en_bankfaq", "test"),
    ("en_cranfield", "test"),
    ("en_cacm", "test"),
    ("en_msmarco", "dev"),
)


def main() -> None:
    """Train, measure, and print the table."""
    arguments = _arguments()
    _threads(arguments.threads)
    config = _config(arguments)
    if not arguments.measure_only:
        train_sparse(config, resume=arguments.resume, tell=_tell)
    if arguments.no_measuring:
        return
    rows = [
        row
        for name, split in MEASURED
        for row in _measured(config, arguments.data / name, split, arguments.top_k)
    ]
    figures = {"config": config.model_dump(mode="json"), "sets": rows}
    arguments.work.mkdir(parents=True, exist_ok=True)
    (arguments.work / "sparse.json").write_text(json.dumps(figures, indent=1) + "\n")
    table = render(rows)
    (arguments.work / "sparse.md").write_text(table)
    print(table)


def render(rows: list[dict[str, Any]]) -> str:
    """The table in Markdown."""
    lines = [
        "| set | queries | BM25 (OpenSearch, english) | untrained | trained | against BM25 "
        "| entries per document (longest) | per query | FLOPS |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bm25, trained = row["bm25"], row["trained"]
        change = "" if bm25 is None else f"{100 * (trained['ndcg'] / bm25 - 1):+.1f} %"
        first = "" if bm25 is None else f"{bm25:.3f}"
        lines.append(
            f"| {row['set']} | {row['queries']} | {first} | {row['untrained']['ndcg']:.3f} "
            f"| {trained['ndcg']:.3f} | {change} | {trained['document_dims']:.0f} "
            f"({trained['max_document_dims']}) | {trained['query_dims']:.1f} "
            f"| {trained['flops']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _measured(config: SparseConfig, folder: Path, split: str, top_k: int) -> list[dict[str, Any]]:
    if not folder.is_dir():
        print(f"{folder} is not there: left out", file=sys.stderr)
        return []
    dev_set = DevSet.load(folder, split)
    found = {
        name: _one(config.output / place, dev_set, top_k)
        for name, place in (("untrained", START), ("trained", "model"))
    }
    figures = json.loads(BM25_FIGURES.read_text()) if BM25_FIGURES.is_file() else {}
    bm25 = figures.get(f"{folder.name} {split}", {}).get("ndcg@10", {}).get("bm25")
    values = {name: {**entry.as_dict(), "ndcg": entry.ndcg} for name, entry in found.items()}
    row = {"set": dev_set.name, "queries": len(dev_set.judged), "bm25": bm25, **values}
    print(f"{dev_set.name}: {row['untrained']['ndcg']:.4f} -> {row['trained']['ndcg']:.4f}")
    return [row]


def _one(folder: Path, dev_set: DevSet, top_k: int) -> Measured:
    """A model folder with the statistics of the set's corpus."""
    student = PriorStudent.load(folder, device="cpu")
    student.module().eval()
    student.use_corpus(dev_set.corpus)
    student.graph.top_k = top_k
    encoder = student.encoder()
    return measure(_capped(encoder, top_k), dev_set)


def _capped(encoder: Any, top_k: int) -> Any:
    from dataclasses import replace

    return replace(encoder, pruning=Pruning(top_k=top_k))


def _config(arguments: argparse.Namespace) -> SparseConfig:
    records = arguments.work / "records"
    train = []
    for name, (weight, teacher) in TRAIN.items():
        folder = arguments.data / name
        teacher = teacher or arguments.teacher is not None
        entry = f'path = "{_records(folder, records, arguments)}", weight = {weight}'
        train.append(f'{{ {entry}, teacher = {str(teacher).lower()}, corpus = "{folder}" }}')
    dev = [
        f'{{ path = "{arguments.data / name}", split = "dev", max_documents = 400, '
        "max_queries = 150 }"
        for name in DEV
    ]
    corpora = [f'"{arguments.data / name}"' for name in TRAIN]
    overrides = [
        f"data.train=[{', '.join(train)}]",
        f"data.dev=[{', '.join(dev)}]",
        f"data.corpus=[{', '.join(corpora)}]",
        "data.adapt=true",
        f'output="{arguments.work / "run"}"',
        f"training.seed={arguments.seed}",
        *_second_stage(arguments),
        *arguments.set,
    ]
    return load_config(CONFIG, SparseConfig, overrides=overrides)


def _second_stage(arguments: argparse.Namespace) -> list[str]:
    if arguments.base is None or arguments.teacher is None:
        return []
    teachers = (
        f'{{ model = "{arguments.teacher}", scale = 25.0 }}, {{ model = "bm25", scale = 0.2 }}'
    )
    return [
        f'model="{arguments.base}"',
        f"loss.distillation.teachers=[{teachers}]",
        "training.steps=190",
        "training.rates.words=2e-4",
        "evaluation.every=95",
    ]


def _records(folder: Path, target: Path, arguments: argparse.Namespace) -> Path:
    path = target / f"{folder.name}.jsonl"
    if not path.is_file():
        print(f"mining negatives for {folder.name}", file=sys.stderr)
        train = DevSet.load(folder, "train")
        write_records(sparse_records.mined(train, arguments.threads), path)
    return path


def _tell(entry: dict[str, Any]) -> None:
    shown = {k: round(v, 4) for k, v in entry.items() if isinstance(v, int | float) and k != "rate"}
    print(json.dumps(shown), file=sys.stderr, flush=True)


def _threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the BEIR folders")
    parser.add_argument("--work", type=Path, required=True, help="records, run and figures")
    parser.add_argument("--base", type=Path, help="trained model, for a second stage")
    parser.add_argument("--teacher", type=Path, help="tuned dense model, for a second stage")
    parser.add_argument("--no-measuring", action="store_true", help="train only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--top-k", type=int, default=150, help="entries a document keeps")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--measure-only", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
