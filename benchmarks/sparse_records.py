"""Training records with hard negatives, found by exact search over a BEIR folder.

Half of a query's negatives are near by words, half by meaning; a text that is nearly as close to
the query as its positive is left out: it may be relevant. What is written is for the machine that
holds the data, not for the repository.

    python benchmarks/sparse_records.py --data ../shared/data --output work/records en_tatqa
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from encoders.registry import DEFAULT_DENSE, load_dense
from training.data.records import TrainingRecord, write_records
from training.dev_sets import DevSet
from training.evaluation.runs import Run
from training.exact_search import dense_run, sparse_run

NEAR = 20
NEGATIVES = 8
# A candidate this near to the positive's own similarity is taken for an unjudged positive.
MAX_SHARE = 0.95


def main() -> None:
    """Write one JSONL file per set."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    for name in arguments.sets:
        train = DevSet.load(arguments.data / name, "train")
        path = arguments.output / f"{name}.jsonl"
        count = write_records(mined(train, arguments.threads), path)
        print(f"{path}: {count} records")


def mined(train: DevSet, threads: int) -> Iterator[TrainingRecord]:
    """Records of a split, with negatives."""
    texts = list(train.documents())
    place = {doc_id: number for number, doc_id in enumerate(train.doc_ids)}
    lexical = LexicalEncoder.fit(texts)
    by_words = sparse_run(
        train.query_ids,
        lexical.encode_queries(train.query_texts),
        train.doc_ids,
        lexical.encode_documents(texts),
        lexical.identity.dimension,
        k=NEAR,
    )
    encoder = load_dense(DEFAULT_DENSE, LoadOptions(threads=threads))
    queries = encoder.encode_queries(train.query_texts)
    documents = encoder.encode_documents(texts)
    by_meaning = dense_run(train.query_ids, queries, train.doc_ids, documents, k=NEAR)
    for row, query in enumerate(train.judged):
        relevant = [d for d, g in train.judged.qrels[query.id].items() if g > 0 and d in place]
        if not relevant:
            continue
        cosines = documents @ queries[row]
        limit = MAX_SHARE * max(float(cosines[place[d]]) for d in relevant)
        found = _alternate(by_words, by_meaning, query.id)
        kept = [d for d in found if d not in relevant and cosines[place[d]] <= limit][:NEGATIVES]
        yield TrainingRecord(
            query=query.text,
            pos=tuple(texts[place[d]] for d in relevant),
            neg=tuple(texts[place[d]] for d in kept),
            query_id=query.id,
            pos_ids=tuple(relevant),
            neg_ids=tuple(kept),
        )


def _alternate(first: Run, second: Run, query_id: str) -> Sequence[str]:
    """Documents of both runs in turn, each once."""
    pairs = zip(first.get(query_id, {}), second.get(query_id, {}), strict=False)
    return list(dict.fromkeys(doc for pair in pairs for doc in pair))


if __name__ == "__main__":
    main()
