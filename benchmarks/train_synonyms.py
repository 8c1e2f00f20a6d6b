"""Do trained sparse encoders reach synonyms that they have never seen? (metrics of seed recipes)

    python benchmarks/train_synonyms.py DATA --work runs/synonyms
    python benchmarks/train_synonyms.py DATA --work runs/glossary --base runs/static/bank/sparse \
        --thesaurus korean

DATA/synonyms holds the thesauri. Triplets are split by anchor: no anchor of the held-back part was
trained on, in either direction. Writes WORK/synonyms.json: Source Preservation, Synonym Activation
and both of the untrained model, and of the model with its lexical part alone.
"""

import argparse
import csv
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from training.config import load_config
from training.data.synonyms.glossary import read_glossary
from training.data.synonyms.job import SynonymOptions, write_triplets
from training.sparse.config import SparseConfig
from training.sparse.measures import synonym_scores
from training.sparse.prior_student import PriorStudent
from training.sparse.run import START, train_sparse
from training.sparse.sources import load_triplets

CONFIG = Path(__file__).parent / "configs" / "sparse-synonyms.toml"
_FILES = {"wordnet": "en_wordnet30_synsets.tsv", "korean": "ko_finance_terms_dev.tsv"}


def main() -> None:
    """Make triplets, train, measure."""
    options = arguments()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    glossary = options.work / "glossary.jsonl"
    rows = list(READERS[options.thesaurus](options.data / "synonyms" / _FILES[options.thesaurus]))
    random.Random(options.seed).shuffle(rows)
    lines = [json.dumps(row, ensure_ascii=False) for row in rows[: options.entries]]
    glossary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder = options.work / "triplets"
    report = write_triplets(
        read_glossary(glossary), folder, SynonymOptions(dev_share=0.1, seed=options.seed)
    )
    print(report, file=sys.stderr)
    overrides = [
        f'data.train=[{{ path = "{folder / "train.jsonl"}" }}]',
        f'data.synonyms="{folder / "dev.jsonl"}"',
        f'output="{options.work / "run"}"',
        f"training.seed={options.seed}",
        *([f'model="{options.base}"'] if options.base else []),
        *options.set,
    ]
    config = load_config(CONFIG, SparseConfig, overrides=overrides)
    train_sparse(config, resume=options.resume, tell=tell)
    figures = measured(config, folder / "dev.jsonl")
    values = {"thesaurus": options.thesaurus, "triplets": report.as_dict(), "systems": figures}
    (options.work / "synonyms.json").write_text(json.dumps(values, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


def measured(config: SparseConfig, triplets: Path) -> dict[str, Any]:
    """The metrics of the lexical part alone, the untrained and the trained model."""
    found = {}
    for name, place in (("words alone", START), ("untrained", START), ("trained", "model")):
        student = PriorStudent.load(config.output / place, device="cpu")
        student.module().eval()
        if name == "words alone":
            with torch.no_grad():
                student.graph.gamma.zero_()
        scores = synonym_scores(
            student.encoder(), load_triplets(triplets), config.evaluation.top_tokens
        )
        found[name] = {**asdict(scores), "combined": scores.combined}
    return found


def wordnet(path: Path) -> Iterator[dict[str, Any]]:
    """Synsets of single words; a negative comes from the synset's own hypernym where it can."""
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            words = [w for w in row["lemmas"].split("|") if w.isalpha() and len(w) > 2]
            if len(words) > 1:
                yield {"term": words[0].lower(), "synonyms": [w.lower() for w in words[1:]]}


def korean(path: Path) -> Iterator[dict[str, Any]]:
    """A finance glossary: aliases, acronyms, translations and related terms."""
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield {"term": row["term"], "synonyms": [row["other"]]}


READERS = {"wordnet": wordnet, "korean": korean}


def tell(entry: dict[str, Any]) -> None:
    """Progress as lines on stderr."""
    print(json.dumps(entry, default=str)[:300], file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder that holds synonyms/")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--thesaurus", choices=list(READERS), default="wordnet")
    parser.add_argument("--base", help="model to start from; default: the configuration's")
    parser.add_argument("--entries", type=int, default=8_000, help="entries of the thesaurus")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
