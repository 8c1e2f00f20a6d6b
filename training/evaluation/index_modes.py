"""Evaluate an index: every mode over the same judged queries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearch.capabilities import detect
from opensearch.fusion import Fusion
from opensearch.index_info import IndexInfo
from opensearch.plan import MODES, Mode, SearchRequest
from opensearch.reranking import Searches
from opensearch.translation import translated
from training.evaluation.datasets import JudgedQueries
from training.evaluation.report import Context, Report, installed_versions
from training.evaluation.report_html import example_documents
from training.evaluation.results import Load, ModeResult, Searched
from training.evaluation.runner import compare_modes, run_mode

# Recall@100 and NDCG@100 need as many.
EVALUATED_DEPTH = 100
_TEXTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How an index is evaluated.

    Attributes:
        modes: Modes to run, baseline first.
        fusion: How hybrid fuses.
        filters: Clauses every query is restricted by.
        load: Warm-up and concurrency.
        size: Hits per query.
        refined: Further searches by name, such as ``hybrid+rerank``, run in hybrid mode.
    """

    modes: Sequence[Mode] = MODES
    fusion: Fusion = field(default_factory=Fusion)
    filters: Sequence[dict[str, Any]] = ()
    load: Load = field(default_factory=Load)
    size: int = EVALUATED_DEPTH
    refined: Mapping[str, Searches] = field(default_factory=dict)


def evaluate_index(
    client: Any,
    info: IndexInfo,
    searcher: Searches,
    judged: JudgedQueries,
    options: EvaluationOptions,
) -> Report:
    """Run every mode over the judged queries and compare them.

    Args:
        client: The client.
        info: The index.
        searcher: Searches it.
        judged: Queries with judgements.
        options: Modes and fusion.

    Raises:
        SearchBackendError: A search failed; an evaluation with gaps would be misleading.
    """
    results: dict[str, ModeResult] = {
        mode: run_mode(judged, _search(searcher, mode, options), load=options.load)
        for mode in options.modes
    }
    for name, search in options.refined.items():
        results[name] = run_mode(judged, _search(search, "hybrid", options), load=options.load)
    return compare_modes(results, context=_context(client, info, options))


def _search(
    searcher: Searches, mode: Mode, options: EvaluationOptions
) -> Callable[[str], Searched]:
    def search(text: str) -> Searched:
        request = SearchRequest(
            text=text,
            mode=mode,
            size=options.size,
            filters=options.filters,
            fusion=options.fusion,
            ids_only=True,
        )
        result = searcher.search(request)
        left_out = result.left_out.items() if mode == "hybrid" else ()
        notes = tuple(f"the {leg} leg was left out: {why}" for leg, why in left_out)
        hits = [(hit.id, hit.score) for hit in result.hits]
        return Searched(hits, result.encode_ms, result.search_ms + result.rerank_ms, notes)

    return search


def _context(client: Any, info: IndexInfo, options: EvaluationOptions) -> Context:
    version = detect(client).version
    cluster = ".".join(map(str, version)) if version else "hidden"
    encoders = {"dense": info.dense, "sparse": info.sparse}
    settings = {
        **{leg: f"{e.model} ({e.fingerprint[:12]})" for leg, e in encoders.items() if e},
        "analyzers": dict(info.analyzers),
        "fusion": options.fusion.method,
        "weights": dict(options.fusion.weights),
        "depth": options.fusion.depth,
        "sparse_field": info.sparse_field,
    }
    versions = {**installed_versions(), "opensearch": cluster}
    return Context(index=info.name, settings=settings, versions=versions)


def example_texts(client: Any, info: IndexInfo, report: Report) -> dict[str, str]:
    """Texts of the documents that the report's examples show."""
    ids = example_documents(report)
    texts: dict[str, str] = {}
    for start in range(0, len(ids), _TEXTS_AT_ONCE):
        wanted = [f"{doc_id}#0" for doc_id in ids[start : start + _TEXTS_AT_ONCE]]
        with translated(f"reading documents of {info.name}"):
            answer = client.mget(
                index=info.physical, body={"ids": wanted}, params={"_source": "doc_id,title,text"}
            )
        found = (d["_source"] for d in answer["docs"] if d.get("found"))
        texts |= {s["doc_id"]: f"{s['title']}\n{s['text']}".strip() for s in found}
    return texts
