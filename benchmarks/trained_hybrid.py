"""All three legs with trained encoders: fusion fitted on dev, measured on test, on a real node.

    python benchmarks/trained_hybrid.py DATA --dense RUN/model --sparse RUN/model \
        --output runs/hybrid.json en_tatqa en_bankfaq
    python benchmarks/trained_hybrid.py DATA --dense RUN/dense --sparse RUN/sparse \
        --output runs/hybrid-korean.json ko_finlaw_statute xl_finphrase ko_bokdict

Each set is indexed with both models (a SPLADE with a lexical prior takes the statistics of the
set's corpus first), `tandem tune`'s search fits the fusion on the dev queries, and all modes are
measured on the test queries. A set without test queries shows cross-validated dev figures: each
query is fused by a choice made without it. A set without dev queries is fused by the defaults.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from encoders.registry import LoadOptions, read_model
from ingest.corpus import CorpusOptions
from opensearch.fusion import Fusion
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.indices import delete_index, index_exists
from opensearch.search import Searcher
from opensearch.workflows.build import BuildJob, build_index
from opensearch.workflows.connection import open_cluster
from opensearch.workflows.query_encoders import default_fusion, open_searcher
from training.evaluation.datasets import find_split, load_split
from training.evaluation.index_modes import EvaluationOptions, evaluate_index
from training.evaluation.metrics import PRIMARY
from training.evaluation.significance import Pair, compare, holm
from training.sparse.prior_student import PriorStudent
from training.tuning.pools import collect, legs_of
from training.tuning.search import Tuned, tune
from training.tuning.space import DEPTHS, Space, families, weight_grid

LEGS = ("bm25", "dense", "sparse")
MODES = (*LEGS, "hybrid")


def main() -> None:
    """Measure each set, write the figures."""
    options = arguments()
    client = open_cluster(options.url)
    rows = json.loads(options.output.read_text()) if options.output.is_file() else []
    for name in options.sets:
        rows = [row for row in rows if row["set"] != name]
        rows.append(measured(client, options.data / name, options))
        print(json.dumps(rows[-1]), flush=True)
        corrected = holm([row["against_bm25"]["p"] for row in rows])
        for row, p in zip(rows, corrected, strict=True):
            row["against_bm25"]["p_holm"] = p
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(rows, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder of the BEIR folders")
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--dense", required=True)
    parser.add_argument("--sparse", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--url", help="OpenSearch to use; default: as `tandem` finds it")
    return parser.parse_args()


def measured(client: Any, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One set: indexed, fused as fitted on dev, measured on test or cross-validated."""
    name = f"trained-{folder.name.replace('_', '-')}"
    if index_exists(client, name):
        delete_index(client, read_index_info(client, name))
    with TemporaryDirectory() as scratch:
        sparse = adapted(options.sparse, folder, Path(scratch) / "sparse")
        job = BuildJob(name, CorpusOptions(folder), dense=options.dense, sparse=sparse)
        info = build_index(client, job).info
        searcher = open_searcher(client, info, LoadOptions())
        splits = {path.stem for path in (folder / "qrels").glob("*.tsv")}
        fitted = fit(searcher, info, folder) if "dev" in splits else None
        if fitted is None or "test" in splits:
            fusion = fitted.best.fusion if fitted else default_fusion(info)
            values = on_test(client, info, searcher, folder, fusion)
        else:
            values = {**fitted.leg_values, "hybrid": fitted.best.held_out_values}
    choice = None if fitted is None else {"weights": dict(fitted.best.fusion.weights)}
    if fitted is not None and choice is not None:
        choice |= {"family": str(fitted.best.family), "variants": fitted.variants}
    how = "test" if "test" in splits else "dev, cross-validated"
    return {"set": folder.name, "split": how, "fitted": choice, **figures(values)}


def adapted(model: str, folder: Path, target: Path) -> str:
    """A copy of a SPLADE with a lexical prior, with the statistics of this corpus."""
    if read_model(model, LoadOptions(), "sparse").settings.graph.network != "prior":
        return model
    student = PriorStudent.load(Path(model), device="cpu")
    student.module().eval()
    student.use_corpus(folder / "corpus.jsonl")
    student.save(target)
    return str(target)


def fit(searcher: Searcher, info: IndexInfo, folder: Path) -> Tuned:
    """The best fusion on the dev queries."""
    judged = load_split(find_split(folder, "dev"))
    deep = replace(default_fusion(info, "minmax"), depth=max(DEPTHS))
    pools = list(collect(searcher, judged, deep))
    legs = tuple(legs_of(pools))
    space = Space(legs, tuple(families()), tuple(weight_grid(len(legs))))
    return tune(pools, space, default_fusion(info))


def on_test(
    client: Any, info: IndexInfo, searcher: Searcher, folder: Path, fusion: Fusion
) -> Mapping[str, Any]:
    """NDCG@10 of every mode, query by query, as the server fuses."""
    judged = load_split(find_split(folder, "test"))
    report = evaluate_index(
        client, info, searcher, judged, EvaluationOptions(modes=MODES, fusion=fusion)
    )
    return {mode: report.results[mode].evaluated.values(PRIMARY) for mode in MODES}


def figures(values: Mapping[str, Any]) -> dict[str, Any]:
    """Means; hybrid against BM25 and against the best leg, the sparse leg against BM25."""
    means = {mode: sum(found) / len(found) for mode, found in values.items()}
    best = max((leg for leg in LEGS if leg in means), key=lambda leg: means[leg])

    def against(system: str, leg: str) -> dict[str, Any]:
        found = compare(Pair(system, leg, PRIMARY, values[system], values[leg]))
        return {
            "leg": leg,
            "difference": found.difference,
            "relative": found.difference / means[leg] if means[leg] else None,
            "p": found.p_randomisation,
        }

    return {
        "queries": len(values["hybrid"]),
        "ndcg@10": {mode: round(mean, 4) for mode, mean in means.items()},
        "against_bm25": against("hybrid", "bm25"),
        "against_best_leg": against("hybrid", best),
        "sparse_against_bm25": against("sparse", "bm25"),
    }


if __name__ == "__main__":
    main()
