"""Two indices asked the same queries: how different are their answers, and how fast?

Nobody sees the candidate's answers, and nothing is logged.
"""

import heapq
import itertools
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import fmean, stdev
from typing import Any, Literal

from encoders.errors import EncoderError
from ingest.masking import mask_text
from opensearch.errors import SearchBackendError
from opensearch.fusion import Fusion
from opensearch.hits import SearchResult
from opensearch.plan import Mode, SearchRequest
from opensearch.reranking import Searches
from operations.shadow.errors import ShadowError
from operations.shadow.rank_overlap import DEFAULT_P, overlap_at, rank_biased_overlap
from training.evaluation.latency import LatencySummary

logger = logging.getLogger(__name__)

SideName = Literal["production", "candidate"]
PRODUCTION: SideName = "production"
CANDIDATE: SideName = "candidate"
_SIDES: tuple[SideName, SideName] = (PRODUCTION, CANDIDATE)
_WARM_UP = "warm-up"
_DIGITS = 4
_SHOWN_IDS = 10


@dataclass(frozen=True, slots=True)
class ShadowQuery:
    """A query to ask both.

    Attributes:
        text: The query.
        shareable: Whether a report may quote it.
    """

    text: str
    shareable: bool = True


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: What it is called in the report, such as its physical index.
        search: Answers its queries.
        mode: Which legs search.
        fusion: How it fuses them.
    """

    name: str
    search: Searches
    mode: Mode = "hybrid"
    fusion: Fusion = field(default_factory=Fusion)

    def answer(self, text: str, size: int) -> SearchResult:
        """Answer one query."""
        return self.search.search(
            SearchRequest(text=text, mode=self.mode, size=size, fusion=self.fusion)
        )


@dataclass(frozen=True, slots=True)
class ShadowOptions:
    """How much is asked and what is measured.

    Attributes:
        size: Hits per answer.
        depths: The k of overlap@k; those beyond ``size`` are left out.
        p: Persistence of the rank-biased overlap.
        rate: Most queries per second; ``None``: one after the other without a pause.
        limit: Most queries altogether.
        examples: Queries with the largest disagreement that are listed.
        warm_up: Whether both are asked once before anything is measured.
    """

    size: int = 10
    depths: tuple[int, ...] = (1, 3, 5, 10)
    p: float = DEFAULT_P
    rate: float | None = None
    limit: int = 1000
    examples: int = 10
    warm_up: bool = True

    def __post_init__(self) -> None:
        if self.size < 1 or self.limit < 1 or not 0 < self.p < 1:
            msg = (
                f"size ({self.size}) and limit ({self.limit}) must be at least 1, and p "
                f"({self.p:g}) between 0 and 1"
            )
            raise ShadowError(msg)
        if self.rate is not None and self.rate <= 0:
            msg = f"the rate is {self.rate:g} queries per second; it must be above 0"
            raise ShadowError(msg)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one side answered.

    Attributes:
        ids: Documents, best first.
        latency_ms: From request to answer, encoding included.
        encode_ms: Of which encoding the query.
    """

    ids: tuple[str, ...]
    latency_ms: float
    encode_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A query on which the two differ.

    Attributes:
        query: The query; ``None`` if it may not be quoted.
        rbo: Extrapolated rank-biased overlap.
        production: What production found.
        candidate: What the candidate found.
    """

    query: str | None
    rbo: float
    production: tuple[str, ...]
    candidate: tuple[str, ...]


@dataclass(frozen=True)
class ShadowReport:
    """What was found.

    Attributes:
        production: Name of the production side.
        candidate: Name of the candidate.
        queries: Queries that both answered.
        failed: Queries that a side failed on; they count nowhere else.
        overlap: Mean overlap@k by k.
        rbo: Mean extrapolated rank-biased overlap.
        rbo_error: Standard error of that mean.
        rbo_least: Mean of its lower bounds.
        p: Its persistence.
        same_first: Share of the queries with the same document on top.
        same_answer: Share with the same documents in the same order.
        nothing_found: Queries without any hit: on ``both`` sides, or on one only.
        latency: Latency of each side.
        encoding: Of which encoding.
        seconds: How long the check took.
        examples: The largest disagreements, worst first.
    """

    production: str
    candidate: str
    queries: int
    failed: Mapping[str, int]
    overlap: Mapping[int, float]
    rbo: float
    rbo_error: float
    rbo_least: float
    p: float
    same_first: float
    same_answer: float
    nothing_found: Mapping[str, int]
    latency: Mapping[str, LatencySummary]
    encoding: Mapping[str, LatencySummary]
    seconds: float
    examples: tuple[Disagreement, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        numbers = ("rbo", "rbo_error", "rbo_least", "p", "same_first", "same_answer", "seconds")
        return {
            **{name: getattr(self, name) for name in ("production", "candidate", "queries")},
            "failed": dict(self.failed),
            "overlap": {str(k): round(value, _DIGITS) for k, value in self.overlap.items()},
            **{name: round(getattr(self, name), _DIGITS) for name in numbers},
            "nothing_found": dict(self.nothing_found),
            "latency_ms": {name: found.as_dict() for name, found in self.latency.items()},
            "encoding_ms": {name: found.as_dict() for name, found in self.encoding.items()},
            "examples": [asdict(example) for example in self.examples],
        }


class Tally:
    """Gathers pairs of answers, from a check or from a sample of live traffic.

    Memory grows by some hundred bytes per query; examples are bounded.
    """

    def __init__(self, options: ShadowOptions) -> None:
        """Measure as the options say."""
        self._options = options
        self._depths = [k for k in options.depths if k <= options.size] or [options.size]
        self._overlaps: dict[int, list[float]] = {k: [] for k in self._depths}
        self._rbo: list[float] = []
        self._least: list[float] = []
        self._same: Counter[str] = Counter()
        self._nothing: Counter[str] = Counter({"both": 0, PRODUCTION: 0, CANDIDATE: 0})
        self._times: dict[str, list[float]] = {name: [] for name in _SIDES}
        self._encoding: dict[str, list[float]] = {name: [] for name in _SIDES}
        self._worst: list[tuple[float, int, Disagreement]] = []
        self.failed: Counter[str] = Counter(dict.fromkeys(_SIDES, 0))

    def add(self, query: ShadowQuery, production: Answer, candidate: Answer) -> None:
        """Compare two answers to one query."""
        first, second = production.ids, candidate.ids
        overlap = rank_biased_overlap(first, second, self._options.p)
        self._rbo.append(overlap.extrapolated)
        self._least.append(overlap.least)
        for k in self._depths:
            self._overlaps[k].append(overlap_at(first, second, k))
        self._same["first"] += first[:1] == second[:1]
        self._same["answer"] += first == second
        if not first or not second:
            self._nothing[_empty_side(first, second)] += 1
        for name, answer in zip(_SIDES, (production, candidate), strict=True):
            self._times[name].append(answer.latency_ms)
            self._encoding[name].append(answer.encode_ms)
        self._remember(query, overlap.extrapolated, first, second)

    def fail(self, side: SideName) -> None:
        """A side did not answer."""
        self.failed[side] += 1

    def report(self, production: str, candidate: str, seconds: float = 0.0) -> ShadowReport:
        """What was gathered.

        Raises:
            ShadowError: There was no query that both answered.
        """
        queries = len(self._rbo)
        if not queries:
            failed = ", ".join(f"{name} failed on {n}" for name, n in self.failed.items() if n)
            msg = f"no query was answered by both sides ({failed or 'no queries were given'})"
            raise ShadowError(msg)
        return ShadowReport(
            production=production,
            candidate=candidate,
            queries=queries,
            failed=dict(self.failed),
            overlap={k: fmean(values) for k, values in self._overlaps.items()},
            rbo=fmean(self._rbo),
            rbo_error=stdev(self._rbo) / math.sqrt(queries) if queries > 1 else 0.0,
            rbo_least=fmean(self._least),
            p=self._options.p,
            same_first=self._same["first"] / queries,
            same_answer=self._same["answer"] / queries,
            nothing_found=dict(self._nothing),
            latency={n: LatencySummary.from_samples(v) for n, v in self._times.items()},
            encoding={n: LatencySummary.from_samples(v) for n, v in self._encoding.items()},
            seconds=seconds,
            examples=tuple(found for *_, found in sorted(self._worst, reverse=True)),
        )

    def _remember(
        self, query: ShadowQuery, rbo: float, first: tuple[str, ...], second: tuple[str, ...]
    ) -> None:
        if rbo >= 1.0 or not self._options.examples:
            return
        text = mask_text(query.text).text if query.shareable else None
        found = Disagreement(text, round(rbo, _DIGITS), first[:_SHOWN_IDS], second[:_SHOWN_IDS])
        # A heap with the least disagreement on top; earlier queries win ties.
        entry = (-rbo, -len(self._rbo), found)
        if len(self._worst) < self._options.examples:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)


def shadow(
    production: Side,
    candidate: Side,
    queries: Iterable[ShadowQuery],
    options: ShadowOptions | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> ShadowReport:
    """Ask both sides every query and compare.

    The sides take turns in going first, so that neither profits from caches the other has warmed.

    Args:
        production: What people get.
        candidate: What they might get.
        queries: Asked in their order, up to the limit.
        options: How much is asked and what is measured.
        progress: Called with the number of queries asked so far.

    Raises:
        ShadowError: No query was answered by both sides.
    """
    options = options or ShadowOptions()
    tally = Tally(options)
    sides: Mapping[SideName, Side] = {PRODUCTION: production, CANDIDATE: candidate}
    if options.warm_up:
        for side in sides.values():
            _ask(side, _WARM_UP, options.size)
    started = time.perf_counter()
    for number, query in enumerate(itertools.islice(queries, options.limit)):
        _wait(started, number, options.rate)
        order = _SIDES if number % 2 == 0 else _SIDES[::-1]
        answers = {name: _ask(sides[name], query.text, options.size) for name in order}
        first, second = answers[PRODUCTION], answers[CANDIDATE]
        if first is not None and second is not None:
            tally.add(query, first, second)
        for name, answer in answers.items():
            if answer is None:
                tally.fail(name)
        if progress is not None:
            progress(number + 1)
    return tally.report(production.name, candidate.name, time.perf_counter() - started)


def _ask(side: Side, text: str, size: int) -> Answer | None:
    started = time.perf_counter()
    try:
        result = side.answer(text, size)
    except (SearchBackendError, EncoderError) as error:
        logger.warning("%s failed: %s", side.name, error)
        return None
    spent = (time.perf_counter() - started) * 1000
    return Answer(tuple(hit.id for hit in result.hits), spent, result.encode_ms)


def _wait(started: float, number: int, rate: float | None) -> None:
    """Until query ``number`` is due."""
    if rate is not None:
        time.sleep(max(0.0, started + number / rate - time.perf_counter()))


def _empty_side(first: Sequence[str], second: Sequence[str]) -> str:
    if not first and not second:
        return "both"
    return PRODUCTION if not first else CANDIDATE
