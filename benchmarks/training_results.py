"""The page docs/training-results.md, from what the training benchmarks wrote.

    python benchmarks/training_results.py --dense runs/dense/table.json \
        --sparse runs/sparse/sparse.json --static runs/static/table.json \
        --hybrid runs/hybrid.json runs/hybrid-korean.json

Figures of parts that are not given are kept from docs/training-results.json.
"""

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
PAGE_FILE = ROOT / "docs" / "training-results.md"
FIGURES = ROOT / "docs" / "training-results.json"
PARTS = ("dense", "sparse", "static", "hybrid")
METRIC = "ndcg@10"


def main() -> None:
    """Collect, keep, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for part in PARTS:
        parser.add_argument(f"--{part}", type=Path, nargs="+", default=[])
    options = vars(parser.parse_args())
    figures = json.loads(FIGURES.read_text()) if FIGURES.is_file() else {}
    for part in PARTS:
        if options[part]:
            figures[part] = [compact(part, row) for path in options[part] for row in rows_of(path)]
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    PAGE_FILE.write_text(render(figures))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of a figures file."""
    found = json.loads(path.read_text())
    return list(found["sets"] if isinstance(found, dict) else found)


def compact(part: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a row."""
    if part in ("hybrid",):
        return dict(row)
    if part == "sparse":
        kept = ("ndcg", "document_dims", "max_document_dims", "query_dims", "flops")
        sides = {s: {k: row[s][k] for k in kept} for s in ("untrained", "trained")}
        return {**{k: row[k] for k in ("set", "queries", "bm25")}, **sides}
    kept = {k: row[k] for k in ("seed", "set", "role", "leg", "untrained", "entries") if k in row}
    p = row["comparison"]["p_holm"]
    return {**kept, "base": row["base"][METRIC], "tuned": row["tuned"][METRIC], "p": p}


def render(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The page."""
    makers = {"dense": dense, "sparse": sparse, "static": static, "hybrid": hybrid}
    parts = ["\n".join(makers[name](figures[name])) for name in PARTS if figures.get(name)]
    return INTRODUCTION + "\n\n".join(parts) + "\n"


def dense(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Base against tuned, mean over the seeds."""
    lines = [DENSE, "| set | part | seeds | untuned | tuned | change | p |", "| --- " * 7 + "|"]
    for key, found in grouped(rows, ("set", "role")):
        base, tuned = found[0]["base"], [row["tuned"] for row in found]
        lines.append(
            f"| {key[0]} | {key[1]} | {len(found)} | {base:.3f} | {spread(tuned)} "
            f"| {change(tuned, base)} | {worst(found)} |"
        )
    return lines


def sparse(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """BM25, untrained, trained."""
    lines = [
        SPARSE,
        "| set | queries | BM25 | untrained | trained | against BM25 | entries (longest) | FLOPS |",
        "| --- " * 8 + "|",
    ]
    for (name,), found in grouped(rows, ("set",)):
        bm25, trained = found[0]["bm25"], [row["trained"]["ndcg"] for row in found]
        last = found[-1]["trained"]
        against = "–" if bm25 is None else change(trained, bm25)
        lines.append(
            f"| {name} | {found[0]['queries']} | {'–' if bm25 is None else f'{bm25:.3f}'} "
            f"| {found[0]['untrained']['ndcg']:.3f} | {spread(trained)} | {against} "
            f"| {last['document_dims']:.0f} ({last['max_document_dims']}) | {last['flops']:.2f} |"
        )
    return lines


def static(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """BM25 over pairs of characters, untrained, trained."""
    lines = [
        STATIC,
        "| leg | set | seeds | BM25 pairs | untrained | trained | change | p | entries |",
        "| --- " * 9 + "|",
    ]
    for key, found in grouped(rows, ("leg", "set")):
        base, tuned = found[0]["base"], [row["tuned"] for row in found]
        untrained = statistics.fmean(row["untrained"] for row in found)
        entries = found[0]["entries"]
        lines.append(
            f"| {key[0]} | {key[1]} | {len(found)} | {base:.3f} | {untrained:.3f} "
            f"| {spread(tuned)} | {change(tuned, base)} | {worst(found)} "
            f"| {'–' if entries is None else f'{entries:.0f}'} |"
        )
    return lines


def hybrid(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The three legs and their fusion."""
    lines = [
        HYBRID,
        "| set | measured on | queries | BM25 | dense | sparse | hybrid | against BM25 | p (Holm) "
        "| against the best leg | p | sparse against BM25 | p |",
        "| --- " * 13 + "|",
    ]
    for row in rows:
        values, bm25, best = row[METRIC], row["against_bm25"], row["against_best_leg"]
        legs = " | ".join(f"{values.get(leg, 0):.3f}" for leg in ("bm25", "dense", "sparse"))
        words = row["sparse_against_bm25"]
        lines.append(
            f"| {row['set']} | {row['split']} | {row['queries']} | {legs} "
            f"| **{values['hybrid']:.3f}** | {percent(bm25['relative'])} | {bm25['p_holm']:.2g} "
            f"| {percent(best['relative'])} ({best['leg']}) | {best['p']:.2g} "
            f"| {percent(words['relative'])} | {words['p']:.2g} |"
        )
    return lines


def grouped(
    rows: Iterable[Mapping[str, Any]], keys: Sequence[str]
) -> Iterable[tuple[tuple[Any, ...], list[Mapping[str, Any]]]]:
    """Rows by the values of some keys, in the order they came."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found.items()


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over the seeds."""
    more = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.3f}{more}"


def change(values: Sequence[float], base: float) -> str:
    """Relative change of the mean."""
    return percent(statistics.fmean(values) / base - 1 if base else None)


def percent(value: float | None) -> str:
    """A relative change with its sign."""
    return "–" if value is None else f"{100 * value:+.1f} %"


def worst(rows: Sequence[Mapping[str, Any]]) -> str:
    """The largest p over the seeds."""
    return f"{max(row['p'] for row in rows):.2g}"


INTRODUCTION = """# What training gains

Made by `python benchmarks/training_results.py` from what the benchmarks named below wrote; no
figure is typed in by hand. NDCG@10, exact search over the whole corpus unless a line says
otherwise. p: paired randomisation test over queries, Holm-corrected where several are compared, the
largest over the seeds. Sets that lose are shown like those that gain.

"""
DENSE = """## Dense: LoRA on the embedded MiniLM

`python benchmarks/train_dense.py DATA --records RECORDS --output runs/dense
--config benchmarks/configs/dense-minilm.toml`. One model for all sets; *floor* sets were not
trained on.
"""
SPARSE = """## Sparse: SPLADE with a lexical prior on the embedded MiniLM

`python benchmarks/train_sparse.py --data DATA --work runs/sparse`. Inference-free queries, at most
150 entries a document; BM25 is OpenSearch's with the English analyzer (docs/results.md).
"""
STATIC = """## Static encoders for Korean, no pretrained model

`python benchmarks/train_static.py DATA --config benchmarks/configs/static-korean.toml --output
runs/static`. The baseline is BM25 over overlapping pairs of characters.
"""
HYBRID = """## Hybrid on a real node, all legs trained

`python benchmarks/trained_hybrid.py DATA --dense MODEL --sparse MODEL --output runs/hybrid.json
SET …`. Fusion fitted on dev queries; a set without dev queries is fused by the defaults.
"""


if __name__ == "__main__":
    main()
