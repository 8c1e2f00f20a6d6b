"""Passages per second by runtime and batch budget, side by side in one run.

Rounds are interleaved and the best of each counts, so that a busy machine disturbs all alike; on
a machine that others use, ``--clock cpu --threads 1`` compares processor time instead.

    python benchmarks/encode.py --texts 400 --rounds 3
    python benchmarks/encode.py --model FOLDER --corpus corpus.jsonl --budgets 1024,4096
"""

import argparse
import itertools
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

from encoders.base import DenseEncoder
from encoders.options import LoadOptions
from encoders.registry import DEFAULT_DENSE, load_dense

WORDS = (
    "account balance interest rate loan fee card deposit transfer limit annual customer branch "
    "the of and a for is by to payment statement exchange currency insurance risk credit"
).split()
SEED = 7


def main() -> None:
    """Print one line per runtime and budget; ratios are to the first line."""
    arguments = _arguments()
    texts = _texts(arguments.corpus, arguments.texts)
    combinations = list(itertools.product(arguments.runtimes.split(","), arguments.budgets))
    encoders = {
        (runtime, budget): load_dense(
            arguments.model,
            LoadOptions(runtime=runtime, batch_tokens=budget, threads=arguments.threads),
        )
        for runtime, budget in combinations
    }
    best = dict.fromkeys(combinations, float("inf"))
    for _, key in itertools.product(range(arguments.rounds), combinations):
        best[key] = min(best[key], _seconds(encoders[key], texts, arguments.clock))
    _report(encoders[combinations[0]], texts, best)


def _report(
    encoder: DenseEncoder, texts: Sequence[str], best: dict[tuple[str, int], float]
) -> None:
    tokens = encoder.count_tokens(texts)
    print(f"{encoder.identity.model}: {len(texts)} passages, {sum(tokens) / len(texts):.0f} tokens")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'runtime':8} {'tokens per batch':>16} {'passages/s':>11} {'ratio':>6}")
    base = next(iter(best.values()))
    for (runtime, budget), seconds in best.items():
        rate, ratio = len(texts) / seconds, base / seconds
        print(f"{runtime:8} {budget:16} {rate:11.1f} {ratio:6.2f}")


def _seconds(encoder: DenseEncoder, texts: Sequence[str], clock: str) -> float:
    now = time.process_time if clock == "cpu" else time.perf_counter
    start = now()
    encoder.encode_documents(texts)
    return now() - start


def _texts(corpus: Path | None, count: int) -> list[str]:
    if corpus is not None:
        with corpus.open(encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in itertools.islice(lines, count)]
    draw = random.Random(SEED)
    return [" ".join(draw.choices(WORDS, k=draw.randint(20, 180))) for _ in range(count)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_DENSE)
    parser.add_argument("--corpus", type=Path, help="BEIR corpus.jsonl; default: made-up passages")
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--runtimes", default="torch,onnx")
    parser.add_argument(
        "--budgets",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[256, 512, 1024, 2048, 4096],
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
