"""Runs judged queries through a search, and puts the modes side by side."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from training.errors import EvaluationError
from training.evaluation.datasets import JudgedQueries
from training.evaluation.metrics import PRIMARY, evaluate_run
from training.evaluation.report import Context, Report
from training.evaluation.results import HYBRID, Load, ModeResult, Search, Searched
from training.evaluation.runs import ranked
from training.evaluation.significance import Pair, compare_all

BASELINE = "bm25"
COMPARED_METRICS = ("ndcg@10", "mrr@10", "recall@100")


def run_mode(
    judged: JudgedQueries,
    search: Search,
    *,
    load: Load | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ModeResult:
    """Send every judged query to a search, score and time what comes back.

    Args:
        judged: The evaluation set.
        search: Takes a query's text. Must be safe to call from several threads if ``load``
            asks for more than one.
        load: Warm-up and concurrency; by default 5 warm-up queries, one query at a time.
        progress: Called after each query with the number done and the number of queries.

    Raises:
        EvaluationError: The search returned a score that is no number.
        Exception: Whatever ``search`` raises; an evaluation with gaps would be misleading.
    """
    load = load or Load()
    for query in islice(judged, load.warm_up):
        search(query.text)
    started = time.perf_counter()
    answers: list[Searched] = []
    for answer in _answers(judged, search, load.threads):
        answers.append(answer)
        if progress is not None:
            progress(len(answers), len(judged))
    wall_s = time.perf_counter() - started
    run = {query.id: ranked(a.hits) for query, a in zip(judged, answers, strict=True)}
    return ModeResult(
        judged=judged,
        run=run,
        evaluated=evaluate_run(run, judged.qrels),
        encode_ms=tuple(a.encode_ms for a in answers),
        search_ms=tuple(a.search_ms for a in answers),
        wall_s=wall_s,
        load=load,
        notes=Counter(note for a in answers for note in a.notes),
    )


def compare_modes(
    results: Mapping[str, ModeResult],
    baseline: str | None = None,
    *,
    context: Context | None = None,
) -> Report:
    """Put modes side by side and test every difference from the baseline.

    Every mode is compared with the baseline, and ``hybrid``, if it is among them, with the best
    single leg too, and refined forms of it (``hybrid+…``) with it; all comparisons are corrected
    together.

    Args:
        results: Mode -> its result, all over the same queries; the order is kept.
        baseline: The mode to compare with; by default ``bm25`` if it is there, else the first.
        context: What the report says about where the numbers come from.

    Raises:
        EvaluationError: No result, an unknown baseline, or results over different queries.
    """
    baseline = _checked_baseline(results, baseline)
    best_leg = _best_leg(results)
    opponents = [(mode, baseline) for mode in results if mode != baseline]
    if best_leg is not None and best_leg != baseline:
        opponents.append((HYBRID, best_leg))
    if HYBRID in results:
        opponents += [(mode, HYBRID) for mode in results if mode.startswith(f"{HYBRID}+")]
    return Report(
        context=context or Context(),
        judged=results[baseline].judged,
        results=dict(results),
        baseline=baseline,
        best_leg=best_leg,
        comparisons=tuple(compare_all(list(_pairs(results, opponents)))),
    )


def _answers(judged: JudgedQueries, search: Search, threads: int) -> Iterable[Searched]:
    texts = [query.text for query in judged]
    if threads == 1:
        yield from map(search, texts)
        return
    pool = ThreadPoolExecutor(max_workers=threads)
    try:
        yield from pool.map(search, texts)
    finally:
        # After a failure the queries still waiting are dropped, not sent.
        pool.shutdown(cancel_futures=True)


def _checked_baseline(results: Mapping[str, ModeResult], baseline: str | None) -> str:
    if not results:
        msg = "no mode to compare; run at least one"
        raise EvaluationError(msg)
    if baseline is None:
        baseline = BASELINE if BASELINE in results else next(iter(results))
    if baseline not in results:
        msg = f"the baseline {baseline!r} was not run; modes there: {', '.join(results)}"
        raise EvaluationError(msg)
    expected = list(results[baseline].evaluated.per_query)
    for mode, result in results.items():
        if list(result.evaluated.per_query) != expected:
            msg = f"{mode} and {baseline} were run on different queries; run both on one set"
            raise EvaluationError(msg)
    return baseline


def _best_leg(results: Mapping[str, ModeResult]) -> str | None:
    """The best mode that is no hybrid; None without a ``hybrid`` to hold against it."""
    legs = [mode for mode in results if not mode.startswith(HYBRID)]
    if HYBRID not in results or not legs:
        return None
    return max(legs, key=lambda mode: results[mode].evaluated.aggregate[PRIMARY])


def _pairs(
    results: Mapping[str, ModeResult], opponents: Sequence[tuple[str, str]]
) -> Iterable[Pair]:
    for system, other in opponents:
        for metric in COMPARED_METRICS:
            ours, theirs = results[system].evaluated, results[other].evaluated
            yield Pair(system, other, metric, ours.values(metric), theirs.values(metric))


__all__ = [
    "Context",
    "Load",
    "ModeResult",
    "Report",
    "Search",
    "Searched",
    "compare_modes",
    "run_mode",
]
