"""Train static encoders on judged sets, by a configuration of benchmarks/configs.

    python benchmarks/train_static.py DATA --config benchmarks/configs/static-korean.toml \
        --each --output runs/static-korean --seeds 0 1 2
    python benchmarks/train_static.py DATA --config benchmarks/configs/static-korean.toml \
        --each --output runs/static-korean --only ko_bokdict \
        --corpora ko_bokglossary ko_finlaw_statute ko_korquad ko_msmarco

DATA holds BEIR folders (corpus.jsonl, queries.jsonl, qrels/); the configuration names sets inside.
With --each, every set has a model of its own, as a user with one corpus would train it; without,
one model learns all of them. Documents of --corpora shape vocabulary and first vectors. Writes
OUTPUT/table.json and prints a Markdown table: BM25 over overlapping pairs of characters, the
untrained and the trained models.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.config import check_values, merged, parse_override, preset_path, read_values
from training.static.config import StaticConfig
from training.static.run import train_static


def main() -> None:
    """Train for each seed, collect, print."""
    options = arguments()
    values = merged(read_values(preset_path(options.preset)), read_values(options.config))
    for override in options.set:
        values = merged(values, parse_override(override))
    for key in ("train", "dev", "floor"):
        for entry in values["data"].get(key, []):
            entry["path"] = str(options.data / entry["path"])
    values["data"]["corpus"] = [str(options.data / name) for name in options.corpora]
    runs = list(each_set(values)) if options.each else [("", values)]
    runs = [(name, found) for name, found in runs if not options.only or name in options.only]
    options.output.mkdir(parents=True, exist_ok=True)
    table = options.output / "table.json"
    rows: list[dict[str, Any]] = json.loads(table.read_text()) if table.is_file() else []
    for seed in options.seeds:
        for name, found in runs:
            rows += train(found, options.output / name / f"seed-{seed}", seed, options)
            table.write_text(json.dumps(rows, indent=1))
    print_table(rows)


def each_set(values: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The configuration of each training set for itself, with its own dev set."""
    data = values["data"]
    for entry in data["train"]:
        dev = [other for other in data["dev"] if other["path"] == entry["path"]]
        yield Path(entry["path"]).name, {**values, "data": {**data, "train": [entry], "dev": dev}}


def train(
    values: Mapping[str, Any], output: Path, seed: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Train and measure once: a row for each leg and set."""
    changes = {"output": str(output), "training": {"seed": seed}}
    config = check_values(merged(values, changes), StaticConfig, source=str(options.config))
    result = train_static(config, Lines(), resume=options.resume)
    print(f"seed {seed}: {result.values['seconds']:.0f} s", file=sys.stderr)
    rows = []
    further = {"corpora": len(options.corpora), "steps": config.training.steps}
    for leg in result.values["legs"]:
        shared = {"seed": seed, **further, "leg": leg["leg"]}
        rows += [{**shared, "strength": leg["strength"], **entry} for entry in leg["sets"]]
    return rows


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--preset", default="static-korean")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--each", action="store_true", help="a model for each set")
    parser.add_argument("--only", nargs="+", default=[], help="with --each: these sets")
    parser.add_argument("--corpora", nargs="+", default=[], help="more folders of DATA to read")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def print_table(rows: list[dict[str, Any]]) -> None:
    """Mean and spread over the seeds."""
    print("\n| leg | set | BM25 pairs | untrained | trained (mean ± sd) | change | p | entries |")
    print("|---" * 8 + "|")
    for leg, name in dict.fromkeys((row["leg"], row["set"]) for row in rows):
        found = [row for row in rows if (row["leg"], row["set"]) == (leg, name)]
        base = found[0]["base"]["ndcg@10"]
        tuned = [row["tuned"]["ndcg@10"] for row in found]
        spread = f" ± {statistics.stdev(tuned):.3f}" if len(tuned) > 1 else ""
        mean = statistics.fmean(tuned)
        p = max(row["comparison"]["p_holm"] for row in found)
        entries = found[0]["entries"]
        untrained = statistics.fmean(row["untrained"] for row in found)
        print(
            f"| {leg} | {name} | {base:.3f} | {untrained:.3f} "
            f"| {mean:.3f}{spread} | {100 * (mean / base - 1):+.1f} % | {p:.2g} "
            f"| {'–' if entries is None else f'{entries:.0f}'} |"
        )


class Lines:
    """Progress as lines on stderr."""

    def stage(self, text: str) -> None:
        """A new stage."""
        print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)

    def step(self, leg: str, entry: Mapping[str, Any], total: int) -> None:
        """Every fiftieth step, and measurements."""
        if "dev" in entry or entry["step"] % 50 == 0:
            line = f"{leg} {dict(entry)} of {total}"
            print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
