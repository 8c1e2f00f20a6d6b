"""The page docs/training-results.md, from what the training benchmarks wrote.

    python benchmarks/training_results.py --dense runs/dense/seed-0 runs/dense/seed-1 \
        runs/dense/table.json --sparse runs/sparse/run runs/sparse/sparse.json \
        --gradient runs/gradient.json --static runs/static/table.json \
        --synonyms runs/synonyms/synonyms.json \
        --hybrid runs/hybrid.json runs/hybrid-korean.json

Figures of parts that are not given are kept from docs/training-results.json. The folder of a dense
or sparse run stands for its dev and floor sets, the table of dense runs for their test sets.
"""

import argparse
import json
import statistics
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.evaluation.significance import holm

ROOT = Path(__file__).parent.parent
PAGE_FILE = ROOT / "docs" / "training-results.md"
FIGURES = ROOT / "docs" / "training-results.json"
PARTS = ("dense", "sparse", "gradient", "synonyms", "static", "hybrid")
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
            found = (row for path in options[part] for row in rows_of(part, path))
            figures[part] = [compact(part, row) for row in found]
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    PAGE_FILE.write_text(render(figures))


def rows_of(part: str, path: Path) -> list[dict[str, Any]]:
    """The rows of a figures file, or of a run's folder."""
    if path.is_dir():
        return list(RUNS[part](path))
    found = json.loads(path.read_text())
    if part in ("gradient", "synonyms"):
        return [found]
    if part == "dense":
        return [row for row in found if row["role"] == "test"]
    return list(found["sets"] if isinstance(found, dict) else found)


def dense_run(folder: Path) -> Iterator[dict[str, Any]]:
    """Dev and floor sets of a dense run, as it measured them."""
    config = tomllib.loads((folder / "config.toml").read_text())
    result = json.loads((folder / "result.json").read_text())
    training = config["training"]
    run = f"{training['steps']} steps of {training['batch_size']}, share {result['merge']['scale']}"
    for row in result["sets"]:
        name = labelled(row["set"], [*config["data"]["dev"], *config["data"]["floor"]])
        yield {**row, "set": name, "seed": training["seed"], "run": run}


def sparse_run(folder: Path) -> Iterator[dict[str, Any]]:
    """Dev sets of a sparse run, as it measured them."""
    config = tomllib.loads((folder / "config.toml").read_text())
    result = json.loads((folder / "result.json").read_text())
    for name, after in result["after"]["dev"].items():
        sides = {"untrained": result["before"]["dev"][name], "trained": after}
        measured = {s: {**v, "ndcg": v["metrics"][METRIC]} for s, v in sides.items()}
        label = labelled(name, config["data"]["dev"])
        yield {"set": label, "queries": None, "bm25": None, **measured}


RUNS = {"dense": dense_run, "sparse": sparse_run}


def labelled(name: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """A set's name, and how far its corpus was drawn down."""
    (entry,) = (e for e in entries if name == f"{Path(e['path']).name}/{e.get('split', 'test')}")
    drawn = ((entry.get(f"max_{what}"), what) for what in ("documents", "queries"))
    limits = ", ".join(f"{count} {what}" for count, what in drawn if count)
    return f"{name} ({limits})" if limits else name


def compact(part: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of a row."""
    if part in ("gradient", "hybrid", "synonyms"):
        return dict(row)
    if part == "sparse":
        kept = ("ndcg", "document_dims", "max_document_dims", "query_dims", "flops")
        sides = {s: {k: row[s][k] for k in kept} for s in ("untrained", "trained")}
        return {**{k: row[k] for k in ("set", "queries", "bm25")}, **sides}
    wanted = (
        "seed",
        "set",
        "role",
        "leg",
        "untrained",
        "entries",
        "run",
        "strength",
        "corpora",
        "steps",
    )
    kept = {k: row[k] for k in wanted if k in row}
    p = row["comparison"]["p_holm"]
    return {**kept, "base": row["base"][METRIC], "tuned": row["tuned"][METRIC], "p": p}


def render(figures: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The page."""
    makers = {
        "dense": dense,
        "sparse": sparse,
        "gradient": gradient,
        "synonyms": synonyms,
        "static": static,
        "hybrid": hybrid,
    }
    parts = ["\n".join(makers[name](figures[name])) for name in PARTS if figures.get(name)]
    return INTRODUCTION + "\n\n".join(parts) + "\n"


def dense(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Base against tuned, mean over the seeds."""
    lines = [
        DENSE,
        "| set | part | run | seeds | untuned | tuned | change | p |",
        "| --- " * 8 + "|",
    ]
    for key, found in grouped(rows, ("set", "role")):
        # Drawn-down sets are drawn by the seed: each run has its own base.
        base = statistics.fmean(row["base"] for row in found)
        tuned = [row["tuned"] for row in found]
        lines.append(
            f"| {key[0]} | {key[1]} | {listed(row.get('run') for row in found)} | {len(found)} "
            f"| {base:.3f} "
            f"| {spread(tuned)} "
            f"| {change(tuned, base)} | {worst(found)} |"
        )
    return lines


def sparse(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """BM25, untrained, trained."""
    lines = [
        SPARSE,
        "| set | queries | BM25 | untrained | trained | change | against BM25 "
        "| entries (longest) | FLOPS |",
        "| --- " * 9 + "|",
    ]
    for (name,), found in grouped(rows, ("set",)):
        bm25, trained = found[0]["bm25"], [row["trained"]["ndcg"] for row in found]
        last = found[-1]["trained"]
        against = "–" if bm25 is None else change(trained, bm25)
        lines.append(
            f"| {name} | {found[0]['queries'] or '–'} | {'–' if bm25 is None else f'{bm25:.3f}'} "
            f"| {found[0]['untrained']['ndcg']:.3f} | {spread(trained)} "
            f"| {change(trained, found[0]['untrained']['ndcg'])} | {against} "
            f"| {last['document_dims']:.0f} ({last['max_document_dims']}) | {last['flops']:.2f} |"
        )
    return lines


def static(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """BM25 over pairs of characters, untrained, trained."""
    lines = [
        STATIC,
        "| leg | set | further corpora | steps | seeds | BM25 pairs | untrained | trained | change "
        "| p | entries | taken |",
        "| --- " * 12 + "|",
    ]
    for key, found in grouped(rows, ("leg", "set", "corpora", "steps")):
        base, tuned = found[0]["base"], [row["tuned"] for row in found]
        untrained = statistics.fmean(row["untrained"] for row in found)
        entries = found[0]["entries"]
        lines.append(
            f"| {' | '.join(map(str, key))} | {len(found)} | {base:.3f} | {untrained:.3f} "
            f"| {spread(tuned)} | {change(tuned, base)} | {worst(found)} "
            f"| {'–' if entries is None else f'{entries:.0f}'} "
            f"| {listed(share(row.get('strength')) for row in found)} |"
        )
    return lines


def share(strength: float | None) -> str | None:
    """How much of what was learned was taken."""
    return None if strength is None else f"{100 * strength:.0f} %"


def gradient(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Time and memory of a SPLADE step, as shares of those of CachedSpladeLoss."""
    lines = [
        GRADIENT,
        "| queries and documents | tokens | vocabulary | device | way | time | peak memory |",
        "| --- " * 7 + "|",
    ]
    for row in rows:
        base = row["ways"]["cached"]
        size = f"{row['texts']} | {row['tokens']} | {row['vocabulary']:,} | {row['device']}"
        for way, found in row["ways"].items():
            shares = (f"{found[key] / base[key]:.2f}" for key in ("seconds", "mib"))
            lines.append(f"| {size} | {way} | {' | '.join(shares)} |")
    return lines


def synonyms(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Source Preservation and Synonym Activation on anchors that were held back."""
    lines = [
        SYNONYMS,
        "| thesaurus | anchors (held back) | model | Source Preservation | Synonym Activation "
        "| combined |",
        "| --- " * 6 + "|",
    ]
    for row in rows:
        for system, found in row["systems"].items():
            lines.append(
                f"| {row['thesaurus']} | {found['anchors']} | {system} "
                f"| {found['source_preservation']:.3f} | {found['synonym_activation']:.3f} "
                f"| {found['combined']:.0f} |"
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
    corrected = holm([row["against_bm25"]["p"] for row in rows])
    for row, p_holm in zip(rows, corrected, strict=True):
        values, bm25, best = row[METRIC], row["against_bm25"], row["against_best_leg"]
        legs = " | ".join(f"{values.get(leg, 0):.3f}" for leg in ("bm25", "dense", "sparse"))
        words = row["sparse_against_bm25"]
        lines.append(
            f"| {row['set']} | {row['split']} | {row['queries']} | {legs} "
            f"| **{values['hybrid']:.3f}** | {percent(bm25['relative'])} | {p_holm:.2g} "
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


def listed(values: Iterable[str | None]) -> str:
    """Distinct values, in the order they came."""
    return "; ".join(dict.fromkeys(value for value in values if value)) or "–"


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
otherwise; in brackets how far a set was drawn down (relevant documents always stay, so figures are
higher than on the whole set). p: paired randomisation test over queries, Holm-corrected where
several are compared, the largest over the seeds. Sets that lose are shown like those that gain.
One seed unless a line says more; no GPU was to be had. What is in no table was not measured.

"""
DENSE = """## Dense: LoRA on the embedded MiniLM

`python benchmarks/train_dense.py DATA --records RECORDS --output runs/dense
--config benchmarks/configs/dense-minilm-short.toml`. One model for all sets. *share*: how much of
the change is taken, chosen on dev sets and on the floor, which was not trained on. Dev and floor
sets are drawn down by the seed; the test sets are whole and chose nothing.
"""
SPARSE = """## Sparse: SPLADE with a lexical prior on the embedded MiniLM

`python benchmarks/train_sparse.py --data DATA --work runs/sparse`. Inference-free queries, at most
150 entries a document; BM25 is OpenSearch's with the English analyzer (docs/results.md).
"""
GRADIENT = """## The exact gradient of a vocabulary, cheaper

`python benchmarks/splade_gradient.py --texts 48 --output runs/gradient.json`. One step of a masked
language model (InfoNCE and FLOPS; the loss is the same in all ways), as a share of Sentence
Transformers' CachedSpladeLoss with 16 texts at a time. *exact*: the maximum over positions without
gradient, then the pairs of text and word that the loss looks at; *autograd*: everything at once.
"""
SYNONYMS = """## Synonyms that were held back

`python benchmarks/train_synonyms.py DATA --work runs/synonyms`. Triplets of single terms, split by
anchor. Source Preservation: share of an anchor's own pieces among its 15 heaviest tokens; Synonym
Activation: share of anchors with a piece of the synonym, not their own, among them.
"""
STATIC = """## Static encoders for Korean, no pretrained model

`python benchmarks/train_static.py DATA --config benchmarks/configs/static-korean.toml --each
--output runs/static`. A model for each set, trained on its training queries. The baseline is BM25
over overlapping pairs of characters, uncapped; a sparse document keeps at most 150 entries.
*Further corpora* (`--corpora`): other sets whose documents, without their questions, shaped the
vocabulary and the first vectors. *taken*: share of what was learned (0 is BM25 over capped pairs).
Step and share were chosen on the sets shown, so small gains are worth nothing.
"""
HYBRID = """## Hybrid on a real node, all legs trained

`python benchmarks/trained_hybrid.py DATA --dense MODEL --sparse MODEL --output runs/hybrid.json
SET …`. English sets: the dense and the sparse model of the tables above, which saw training queries
of en_tatqa, en_bankfaq and en_msmarco alone. Korean sets: their own static models. Fusion fitted on
dev queries and measured on test queries, or, without these, cross-validated on dev (each query is
fused by a choice made without it); a set without dev queries is fused by the defaults. BM25 is
OpenSearch's own, with the analyzer of the index, over the same passages.
"""


if __name__ == "__main__":
    main()
