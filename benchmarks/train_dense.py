"""Tune the dense encoder on judged sets, by a configuration of benchmarks/configs.

    python benchmarks/sparse_records.py --data DATA --output RECORDS en_tatqa en_bankfaq en_msmarco
    python benchmarks/train_dense.py DATA --records RECORDS \
        --config benchmarks/configs/dense-minilm.toml --output runs/dense-minilm --seeds 0 1 2

DATA holds BEIR folders (corpus.jsonl, queries.jsonl, qrels/), RECORDS a file of training records
for each set that is trained on; the configuration names sets. Test sets are measured once per
seed, after training; they choose nothing. Writes OUTPUT/table.json and prints a Markdown table.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from training.comparing import compare_sets
from training.config import EvaluationSet, check_values, merged, parse_override, read_values
from training.dense.base_model import BaseModel
from training.dense.config import DenseConfig
from training.dense.measuring import Measurer
from training.dense.run import Options, train_dense
from training.dev_sets import DevSet, load_sets
from training.evaluation.metrics import Evaluated


def main() -> None:
    """Train for each seed, measure, print."""
    options = arguments()
    values = read_values(options.config)
    tests = values.pop("test", [])
    for override in options.set:
        values = merged(values, parse_override(override))
    for entry in values["data"]["train"]:
        entry["path"] = str(options.records / f"{entry['path']}.jsonl")
    for key in ("dev", "floor"):
        for entry in values["data"].get(key, []):
            entry["path"] = str(options.data / entry["path"])
    sets = load_sets(
        [EvaluationSet(path=options.data / t["path"], split=t.get("split")) for t in tests], 0
    )
    rows: list[dict[str, Any]] = []
    untuned: dict[str, Evaluated] = {}
    for seed in options.seeds:
        changes = {"output": str(options.output / f"seed-{seed}"), "training": {"seed": seed}}
        config = check_values(merged(values, changes), DenseConfig, source=str(options.config))
        started = time.monotonic()
        result = train_dense(config, Options(resume=options.resume, progress=Lines()))
        assert result is not None
        print(f"seed {seed}: {time.monotonic() - started:.0f} s; {result.values['verdict']}")
        rows += [{"seed": seed, **row} for row in result.values["sets"]]
        rows += [{"seed": seed, **row} for row in measure_tests(config, sets, untuned)]
        (options.output / "table.json").write_text(json.dumps(rows, indent=1))
    print_table(rows)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def measure_tests(
    config: DenseConfig, sets: list[DevSet], untuned: dict[str, Evaluated]
) -> list[dict[str, Any]]:
    """Base and tuned model on the test sets; the base, the same for all seeds, is kept."""
    measurer = Measurer(config.evaluation.batch_size)
    if not untuned:
        untuned.update(measurer.measure(BaseModel.read(config).load(), sets))
    tuned_config = config.model_copy(update={"model": str(config.output / "model")})
    tuned = measurer.measure(BaseModel.read(tuned_config).load(), sets)
    return [c.as_dict() for c in compare_sets({s.name: "test" for s in sets}, untuned, tuned)]


def print_table(rows: list[dict[str, Any]]) -> None:
    """Mean and spread over the seeds."""
    print("\n| set | role | base | tuned (mean of seeds ± sd) | gain | each seed |\n" + "|---|" * 6)
    for name in dict.fromkeys(row["set"] for row in rows):
        found = [row for row in rows if row["set"] == name]
        base = found[0]["base"]["ndcg@10"]
        tuned = [row["tuned"]["ndcg@10"] for row in found]
        spread = statistics.stdev(tuned) if len(tuned) > 1 else float("nan")
        each = ", ".join(f"{100 * (t / base - 1):+.1f} %" for t in tuned)
        mean = float(np.mean(tuned))
        print(
            f"| {name} | {found[0]['role']} | {base:.4f} | {mean:.4f} ± {spread:.4f} | "
            f"{100 * (mean / base - 1):+.1f} % | {each} |"
        )


class Lines:
    """Progress as lines on stderr."""

    def stage(self, text: str) -> None:
        """A new stage."""
        print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)

    def step(self, report: Any) -> None:
        """Every tenth step."""
        if report.step % 10 == 0:
            print(time.strftime("%H:%M:%S"), report, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
