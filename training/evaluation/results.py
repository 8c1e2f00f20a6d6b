"""What a search gave for a query, and what a mode gave for all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from training.errors import EvaluationError
from training.evaluation.datasets import JudgedQueries
from training.evaluation.latency import LatencySummary
from training.evaluation.metrics import Evaluated
from training.evaluation.runs import Hit, Run

HYBRID = "hybrid"
"""The mode that joins the others, its legs."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search gave for one query.

    Attributes:
        hits: Document ids with scores, best first.
        encode_ms: Milliseconds spent on encoding the query.
        search_ms: Milliseconds spent on the search itself.
        notes: What was out of the ordinary, e.g. that a leg was left out. Equal notes are
            counted, and the report warns of them.
    """

    hits: Sequence[Hit]
    encode_ms: float
    search_ms: float
    notes: tuple[str, ...] = ()


Search = Callable[[str], Searched]


@dataclass(frozen=True, slots=True)
class Load:
    """How queries are sent.

    Attributes:
        warm_up: Queries sent first and not counted: they pay for caches and connections.
        threads: Queries under way at a time. With 1, latency is that of an idle system; with
            more, ``queries_per_second`` is a throughput and latency includes waiting.
    """

    warm_up: int = 5
    threads: int = 1

    def __post_init__(self) -> None:
        if self.warm_up < 0 or self.threads < 1:
            msg = f"warm_up {self.warm_up} must be 0 or more and threads {self.threads} 1 or more"
            raise EvaluationError(msg)


@dataclass(frozen=True)
class ModeResult:
    """One mode's run over all judged queries, scored and timed.

    Attributes:
        judged: The queries it was run on.
        run: What was returned.
        evaluated: Metrics, in the mean and per query.
        encode_ms: Per query, in file order.
        search_ms: Per query, in file order.
        wall_s: Seconds for all queries together, without warm-up.
        load: How the queries were sent.
        notes: Note -> number of queries that carried it.
    """

    judged: JudgedQueries
    run: Run
    evaluated: Evaluated
    encode_ms: tuple[float, ...]
    search_ms: tuple[float, ...]
    wall_s: float
    load: Load
    notes: Mapping[str, int]

    @property
    def total_ms(self) -> list[float]:
        """Encoding and search together, per query in file order."""
        return [e + s for e, s in zip(self.encode_ms, self.search_ms, strict=True)]

    @cached_property
    def latency(self) -> LatencySummary:
        """Encoding and search together, summed up."""
        return LatencySummary.from_samples(self.total_ms)

    @cached_property
    def encode_latency(self) -> LatencySummary:
        """Encoding alone, summed up."""
        return LatencySummary.from_samples(self.encode_ms)

    @cached_property
    def search_latency(self) -> LatencySummary:
        """Search alone, summed up."""
        return LatencySummary.from_samples(self.search_ms)

    @property
    def queries_per_second(self) -> float:
        """Queries answered per second of wall time."""
        return len(self.judged) / self.wall_s if self.wall_s > 0 else 0.0
