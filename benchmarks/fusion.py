"""The table behind the default fusion: docs/fusion.md.

    python benchmarks/fusion.py                    # the development sets that are indexed
    python benchmarks/fusion.py en_bankfaq:dev     # some of them

The sets are looked for in the folder that TANDEM_DATA names (default: ../shared/data), their
indices are the ones that benchmarks/results.py builds. The candidates of every leg are fetched
once per query and fused here, by the formulas of the server, for all variants.
"""

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from encoders.lexical import LexicalEncoder
from encoders.registry import LoadOptions, load_dense
from opensearch.fusion import (
    DEFAULT_WEIGHTS,
    LEGS,
    Bounds,
    Fusion,
    Leg,
    Method,
    Ranking,
    dense_bounds,
    fuse,
)
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.indices import index_exists
from opensearch.match_bounds import FULL_MATCH_SHARE
from opensearch.plan import QueryEncoders, SearchRequest, plan_search
from opensearch.requests import candidates_body
from opensearch.search import read_hits
from opensearch.workflows.connection import open_cluster
from opensearch.workflows.query_encoders import default_fusion, stored_sparse
from training.evaluation.datasets import JudgedQueries, find_split, load_split
from training.evaluation.metrics import PRIMARY, evaluate_run

ROOT = Path(__file__).parent.parent
PAGE_FILE = ROOT / "docs" / "fusion.md"
SERVER_FIGURES = ROOT / "docs" / "results.json"
DEVELOPMENT_SETS = (
    "en_bankfaq:dev",
    "en_tatqa:dev",
    "en_cranfield:test",
    "en_cisi:test",
    "en_cacm:test",
    "en_npl:test",
    "en_banking77:dev",
    "en_msmarco:dev",
)
# As deep as the evaluation in benchmarks/results.py, so that the figures are the same.
SIZE = 100
CUTOFF = 10

EQUAL: Mapping[Leg, float] = dict.fromkeys(LEGS, 1.0)
STRETCHED = Bounds(None, None)
FROM_ZERO = dense_bounds(0.0)
Run = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to fuse; what is not given is as in the defaults.

    Attributes:
        name: As the table calls it.
        weights: Weight per leg.
        method: ``minmax`` or ``rrf``.
        bounds: Bounds that replace those of the plan.
        match_share: Share of a query's information that counts as a full match.
    """

    name: str
    weights: Mapping[Leg, float] | None = None
    method: Method = "minmax"
    bounds: Mapping[Leg, Bounds] | None = None
    match_share: float = FULL_MATCH_SHARE

    def of(self, planned: Fusion) -> Fusion:
        """This variant of the fusion that was planned for a query."""
        bounds = {leg: self._rescaled(leg, b) for leg, b in planned.bounds.items()}
        bounds |= self.bounds or {}
        weights = self.weights or planned.weights
        return replace(planned, method=self.method, weights=weights, bounds=bounds)

    def _rescaled(self, leg: Leg, bounds: Bounds) -> Bounds:
        if leg == "dense" or bounds.high is None:
            return bounds
        return Bounds(bounds.low, bounds.high * self.match_share / FULL_MATCH_SHARE)


def _weighted(bm25: float, dense: float, sparse: float) -> Variant:
    weights: dict[Leg, float] = {"bm25": bm25, "dense": dense, "sparse": sparse}
    return Variant(f"weights {bm25:g}, {dense:g}, {sparse:g}", weights)


PLAIN: Mapping[Leg, Bounds] = dict.fromkeys(LEGS, STRETCHED)
DEFAULTS = "**defaults**"
VARIANTS = (
    Variant(DEFAULTS),
    Variant("equal weights", EQUAL),
    Variant("plain min-max", bounds=PLAIN),
    Variant("plain min-max, equal weights", EQUAL, bounds=PLAIN),
    Variant("words up to the best candidate", bounds={"bm25": Bounds(), "sparse": Bounds()}),
    Variant("dense stretched", bounds={"dense": STRETCHED}),
    Variant("dense from cosine 0", bounds={"dense": FROM_ZERO}),
    Variant("dense from cosine 0, full match at 1", bounds={"dense": FROM_ZERO}, match_share=1),
    Variant("RRF", method="rrf"),
    Variant("RRF, equal weights", EQUAL, method="rrf"),
    *(Variant(f"full match at {share:g}", match_share=share) for share in (0.4, 0.5, 0.6, 0.85, 1)),
    _weighted(0.5, 0.5, 0),
    _weighted(0.4, 0.4, 0.2),
    _weighted(0.4, 0.5, 0.1),
    _weighted(0.35, 0.55, 0.1),
    _weighted(0.3, 0.6, 0.1),
    _weighted(0.55, 0.35, 0.1),
    _weighted(0.65, 0.25, 0.1),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """NDCG@10 on one set.

    Attributes:
        name: Set and split.
        queries: How many were judged.
        legs: Figure of each leg alone.
        variants: Figures of each variant, query by query.
        server: What OpenSearch itself gave with the defaults, where that is on record.
    """

    name: str
    queries: int
    legs: Mapping[str, float]
    variants: Mapping[str, Sequence[float]]
    server: float | None

    @property
    def best_leg(self) -> str:
        """The leg that hybrid has to beat."""
        return max(self.legs, key=lambda leg: self.legs[leg])

    def gain(self, value: float) -> float:
        """How far a figure lies above the best single leg."""
        return value - self.legs[self.best_leg]

    def mean(self, variant: str) -> float:
        """Figure of a variant."""
        return fmean(self.variants[variant])

    def variance_of_mean(self, variant: str) -> float:
        """How unsure the difference between a variant and the defaults is, by paired queries."""
        pairs = zip(self.variants[variant], self.variants[DEFAULTS], strict=True)
        return variance([ours - theirs for ours, theirs in pairs]) / self.queries


def main() -> None:
    """Measure the sets that are there and write the page."""
    arguments = _arguments()
    data = Path(os.environ.get("TANDEM_DATA", ROOT.parent / "shared" / "data"))
    client = open_cluster(arguments.url)
    outcomes, missing = [], []
    for wanted in arguments.sets:
        name, _, split = wanted.partition(":")
        reason = _obstacle(client, data / name)
        if reason:
            missing.append(f"{name} {split}: {reason}")
            print(missing[-1], flush=True)
            continue
        outcomes.append(measure(client, data / name, split))
        print(_line_of(outcomes[-1]), flush=True)
    if not outcomes:
        sys.exit("Nothing to measure: `python benchmarks/results.py` builds the indices.")
    page = render(outcomes, missing, arguments.sets)
    PAGE_FILE.write_text(page, encoding="utf-8")
    print(page)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sets", nargs="*", default=[*DEVELOPMENT_SETS], metavar="SET:SPLIT")
    parser.add_argument("--url", help="OpenSearch to use; default: as `tandem` finds it")
    return parser.parse_args()


def _obstacle(client: Any, folder: Path) -> str | None:
    """Why a set cannot be measured."""
    if not folder.is_dir():
        return f"no such set; TANDEM_DATA names the folder that holds {folder.name}"
    if not index_exists(client, _index_name(folder)):
        return f"not indexed; run `python benchmarks/results.py {folder.name}` first"
    (settings,) = client.indices.get_settings(index=_index_name(folder)).values()
    # Set while an index is being built, and left behind only by a build that was killed.
    if "refresh_interval" in settings["settings"]["index"]:
        return "its index is still being built"
    return None


def _index_name(folder: Path) -> str:
    return f"results-{folder.name.replace('_', '-')}"


def measure(client: Any, folder: Path, split: str) -> Outcome:
    """Score every leg and every variant on one set."""
    info = read_index_info(client, _index_name(folder))
    judged = load_split(find_split(folder, split))
    runs: dict[str, Run] = {}
    for query_id, rankings in ranked(client, info, judged):
        for name, ranking in rankings.items():
            runs.setdefault(name, {})[query_id] = ranking
    scores = {name: _ndcg(run, judged) for name, run in runs.items()}
    return Outcome(
        name=f"{folder.name} {split}",
        queries=len(judged),
        legs={leg: fmean(scores[leg]) for leg in LEGS if leg in scores},
        variants={variant.name: scores[variant.name] for variant in VARIANTS},
        server=_server_figure(f"{folder.name} {split}"),
    )


def ranked(
    client: Any, info: IndexInfo, judged: JudgedQueries
) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Per query, the best documents of every leg and every variant, by name."""
    encoders = _encoders(client, info)
    for query in judged:
        request = SearchRequest(query.text, size=SIZE, fusion=default_fusion(info), ids_only=True)
        plan = plan_search(request, info, encoders)
        documents: dict[str, str] = {}
        candidates: dict[Leg, Ranking] = {}
        for leg, clause in plan.clauses.items():
            body = candidates_body(request, clause)
            hits = read_hits(client.search(index=info.physical, body=body))
            documents |= {hit["_id"]: hit["fields"]["doc_id"][0] for hit in hits}
            candidates[leg] = [(hit["_id"], hit["_score"]) for hit in hits if hit["_score"] > 0]
        planned = replace(plan.fusion, depth=request.depth)
        rankings: dict[str, Ranking] = dict(candidates.items())
        rankings |= {v.name: fuse(candidates, v.of(planned)) for v in VARIANTS}
        yield query.id, {name: _best(ranking, documents) for name, ranking in rankings.items()}


def _encoders(client: Any, info: IndexInfo) -> QueryEncoders:
    if info.dense is None:
        sys.exit(f"{info.name} has no dense leg; benchmarks/results.py builds one with both.")
    sparse = stored_sparse(client, info.sparse, None, LoadOptions())
    words = sparse if isinstance(sparse, LexicalEncoder) else None
    return QueryEncoders(load_dense(info.dense.model, LoadOptions()), sparse, words)


def _best(ranking: Ranking, documents: Mapping[str, str]) -> dict[str, float]:
    """The first documents of a ranking of passages, each with its best passage's score."""
    best: dict[str, float] = {}
    for chunk_id, score in ranking:
        best.setdefault(documents[chunk_id], score)
        if len(best) == CUTOFF:
            break
    return best


def _ndcg(run: Run, judged: JudgedQueries) -> list[float]:
    return evaluate_run(run, judged.qrels).values(PRIMARY)


def _server_figure(name: str) -> float | None:
    figures = json.loads(SERVER_FIGURES.read_text()) if SERVER_FIGURES.is_file() else {}
    return figures[name][PRIMARY]["hybrid"] if name in figures else None


def _line_of(outcome: Outcome) -> str:
    legs = ", ".join(f"{leg} {value:.4f}" for leg, value in outcome.legs.items())
    defaults = outcome.mean(DEFAULTS)
    server = "" if outcome.server is None else f" (server {outcome.server:.4f})"
    return f"{outcome.name}: {legs}, hybrid {defaults:.4f}{server}"


def render(outcomes: list[Outcome], missing: list[str], sets: list[str]) -> str:
    """The page, from the figures."""
    chosen = [] if tuple(sets) == DEVELOPMENT_SETS else sets
    heads = [outcome.name.removesuffix(" test") for outcome in outcomes]
    return PAGE.format(
        command=shlex.join(["python", "benchmarks/fusion.py", *chosen]),
        heads=" | ".join(heads),
        rule=" | ".join("---:" for _ in outcomes),
        best=" | ".join(f"{o.best_leg} {o.legs[o.best_leg]:.3f}" for o in outcomes),
        queries=" | ".join(str(o.queries) for o in outcomes),
        server=_server_row(outcomes),
        rows="\n".join(_row(variant.name, outcomes) for variant in VARIANTS),
        missing="".join(f"\n- Left out: {line}." for line in missing),
        weights=", ".join(f"{leg} {DEFAULT_WEIGHTS[leg]:g}" for leg in LEGS),
        share=FULL_MATCH_SHARE,
    )


def _row(name: str, outcomes: list[Outcome]) -> str:
    gains = [outcome.gain(outcome.mean(name)) for outcome in outcomes]
    figures = [f"{gain:+.3f}" for gain in gains]
    cells = [name, *figures, f"{fmean(gains):+.4f}", f"{min(gains):+.3f}"]
    return f"| {' | '.join([*cells, _against_defaults(name, outcomes)])} |"


def _against_defaults(name: str, outcomes: list[Outcome]) -> str:
    """Difference of the means over sets, and its standard error."""
    if name == DEFAULTS:
        return ""
    difference = fmean(outcome.mean(name) - outcome.mean(DEFAULTS) for outcome in outcomes)
    error = math.sqrt(sum(outcome.variance_of_mean(name) for outcome in outcomes)) / len(outcomes)
    return f"{difference:+.4f} ± {error:.4f}"


def _server_row(outcomes: list[Outcome]) -> str:
    return " | ".join("–" if o.server is None else f"{o.gain(o.server):+.3f}" for o in outcomes)


PAGE = """# How the legs are fused

    {command}

NDCG@10 of the hybrid query minus the best single leg of the set, for ways to fuse the same
candidates. Every figure is measured by that command on the sets that the defaults were chosen on,
so the first row is no proof of anything on other data: docs/results.md has sets that had no part
in it. The candidates are fused by `opensearch.fusion.fuse`; the row “defaults, by OpenSearch” is
what the server gave for the same query in docs/results.md, as a check.

| fusion | {heads} | mean | worst | against defaults |
| --- | {rule} | ---: | ---: | ---: |
| best single leg | {best} | | | |
| queries | {queries} | | | |
| defaults, by OpenSearch | {server} | | | |
{rows}

- *against defaults*: difference of the means, with the standard error over paired queries; what
  lies within two of them may be chance.
- *defaults*: weights {weights}; the bounds below; full match at {share:g}.
- Each row changes only what it names. Weights are those of bm25, dense and sparse.
- *plain min-max*: the lowest candidate of each leg is 0 and the best is 1, for every query.
- *words up to the best candidate*: BM25 and sparse run from 0 to the best candidate instead of to
  the score of a full match (`opensearch/match_bounds.py`).
- *dense stretched*: the dense leg alone as in plain min-max; *from cosine 0*: it starts there
  instead of at the similarity of unrelated passages that the index measured when it was built.
- *RRF*: 1 / (60 + rank), weighted; it has no bounds.
- *full match at x*: the share of the query's summed IDF that counts as 1.{missing}
"""


if __name__ == "__main__":
    main()
