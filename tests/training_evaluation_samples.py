"""Small and large evaluations for the tests of training.evaluation."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from training.evaluation.datasets import JudgedQueries, Query
from training.evaluation.report import Context, Report
from training.evaluation.runner import Load, ModeResult, Search, Searched, compare_modes, run_mode

DOCUMENTS = [f"d{i}" for i in range(400)]


def synthetic_set(count: int, *, seed: int = 7) -> JudgedQueries:
    """Queries whose text is their number, each with one to four graded documents."""
    rng = random.Random(seed)
    queries = {f"q{i}": Query(f"q{i}", str(i)) for i in range(count)}
    qrels = {
        q: {d: rng.randint(1, 3) for d in rng.sample(DOCUMENTS, 1 + i % 4)}
        for i, q in enumerate(queries)
    }
    return JudgedQueries(queries, qrels, name="synthetic/test")


def noisy_search(judged: JudgedQueries, skill: float, *, depth: int = 100, seed: int = 1) -> Search:
    """A search that puts a relevant document among the first with probability ``skill``."""
    rng = random.Random(seed)

    def search(text: str) -> Searched:
        relevant = [d for d in judged.qrels[f"q{text}"] if rng.random() < skill]
        others = rng.sample(DOCUMENTS, depth)
        order = list(dict.fromkeys([*others[:2], *relevant, *others[2:]]))[:depth]
        return Searched([(d, 1.0 / (i + 1)) for i, d in enumerate(order)], 1.0, 2.0 + rng.random())

    return search


def synthetic_modes(judged: JudgedQueries) -> dict[str, ModeResult]:
    skills = {"bm25": 0.4, "dense": 0.5, "sparse": 0.41, "hybrid": 0.7}
    return {
        mode: run_mode(judged, noisy_search(judged, skill, seed=i), load=Load(warm_up=0))
        for i, (mode, skill) in enumerate(skills.items())
    }


def synthetic_report(
    count: int = 60, settings: Mapping[str, Any] | None = None, warnings: tuple[str, ...] = ()
) -> Report:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    context = Context(index="bank", settings=settings or {}, warnings=warnings, timestamp=moment)
    return compare_modes(_cached_modes(count), context=context)


@cache
def _cached_modes(count: int) -> dict[str, ModeResult]:
    return synthetic_modes(synthetic_set(count))


def single_query(text: str, hits: list[str], relevant: str = "good") -> ModeResult:
    """One query, one relevant document, and what was returned for it."""
    judged = JudgedQueries({"q": Query("q", text)}, {"q": {relevant: 1}})
    return run_mode(judged, lambda _: Searched([(d, 1.0) for d in hits], 0.0, 1.0))
