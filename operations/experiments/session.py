"""Search with an experiment, without a server: who sees which arm, and what is written down."""

import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from encoders.registry import LoadOptions
from opensearch.errors import IndexNotFoundError
from opensearch.hits import Hit, SearchResult
from opensearch.plan import Mode, SearchRequest
from opensearch.queries import Clause
from operations.experiments.assigning import Group, group_of
from operations.experiments.background_log import BackgroundLog
from operations.experiments.experiment import Experiment
from operations.experiments.interleaving import seed_of, team_draft
from operations.experiments.opening import ArmOpener, OpenArm
from operations.experiments.reading import ARM, EXPERIMENT, FALLBACK, LATENCY, TEAMS
from operations.experiments.routing import FAILURES, INTERVAL_S, Route, Routes, read_wanted
from operations.feedback.events import QueryEvent, UserEvent

logger = logging.getLogger(__name__)

_THREADS = 16


@dataclass(frozen=True, slots=True)
class Question:
    """A user's query.

    Attributes:
        text: What was asked.
        key: Who asked: a user or a session, always the same for the same one.
        size: Hits on the page.
        offset: Hits before the page.
        mode: Legs that search.
        filters: Clauses that every leg must satisfy.
        query_id: Its id, for a further page of the same query; made where it is absent.
    """

    text: str
    key: str
    size: int = 10
    offset: int = 0
    mode: Mode = "hybrid"
    filters: tuple[Clause, ...] = ()
    query_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a user sees.

    Attributes:
        query_id: Joins clicks with the query.
        hits: Best first.
        group: What the user was assigned to; ``None`` without an experiment.
        experiment: Name of the running experiment.
        teams: For interleaved hits, which arm brought each.
        fallback: Whether arm A answered in the place of B, which failed.
        took_ms: Time of the search.
    """

    query_id: str
    hits: tuple[Hit, ...]
    group: Group | None
    experiment: str | None
    teams: str
    fallback: bool
    took_ms: float


@dataclass(frozen=True, slots=True)
class _Found:
    hits: tuple[Hit, ...]
    teams: str = ""
    fallback: bool = False


@dataclass
class _Counts:
    lock: threading.Lock = field(default_factory=threading.Lock)
    counter: Counter[str] = field(default_factory=Counter)

    def add(self, name: str) -> None:
        with self.lock:
            self.counter[name] += 1


class ExperimentSearch:
    """Answers queries of users by the arm they are assigned to, and logs both.

    A failing arm B is replaced by A, a log that cannot be written never fails a search; both are
    counted.

    Args:
        index: Logical name of the index.
        routes: The arms.
        log: Takes what happened.
    """

    def __init__(self, index: str, routes: Routes, log: BackgroundLog) -> None:
        self.index = index
        self.log = log
        self._routes = routes
        self._counts = _Counts()
        # For the second list of interleaved queries.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="arm-b")
        self._inside = ExitStack()

    def __enter__(self) -> "ExperimentSearch":
        """Open the arms and begin to log.

        Raises:
            SearchBackendError: The index cannot be opened.
            EncoderError: Its encoders cannot be loaded.
        """
        with ExitStack() as stack:
            stack.enter_context(self._routes)
            stack.enter_context(self.log)
            stack.callback(self._threads.shutdown)
            self._inside = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._inside.close()

    def search(self, question: Question) -> Answer:
        """Answer a query, and log what was shown.

        Raises:
            SearchBackendError: The arm failed, and A as well.
            SettingsError: The query is empty or the page too far.
        """
        query_id = question.query_id or str(uuid.uuid4())
        try:
            return self._answer(self._routes.current, question, query_id)
        except IndexNotFoundError:
            # Swapped and deleted since the last look at the alias.
            self._routes.refresh()
            return self._answer(self._routes.current, question, query_id)

    def _answer(self, route: Route, question: Question, query_id: str) -> Answer:
        experiment = route.experiment
        group = group_of(experiment, question.key) if experiment else None
        started = time.perf_counter()
        found = self._found(route, group, question, query_id)
        answer = Answer(
            query_id=query_id,
            hits=found.hits,
            group=group,
            experiment=experiment.name if experiment else None,
            teams=found.teams,
            fallback=found.fallback,
            took_ms=(time.perf_counter() - started) * 1000,
        )
        self._note(answer, question, route)
        return answer

    def record(self, event: UserEvent) -> bool:
        """Log what a user did; whether there was room for it."""
        return self.log.put(event)

    def status(self) -> dict[str, Any]:
        """What is served and what went wrong, JSON-ready."""
        route = self._routes.current
        experiment = route.experiment
        log = self.log.counts
        return {
            "index": self.index,
            "serving": route.a.arm.physical,
            "experiment": experiment.name if experiment else None,
            "arm_b_open": route.b is not None if experiment else None,
            "searches": dict(self._counts.counter),
            "log": {"written": log.written, "waiting": log.waiting, "dropped": log.dropped},
        }

    def _found(
        self, route: Route, group: Group | None, question: Question, query_id: str
    ) -> _Found:
        request = SearchRequest(
            text=question.text,
            mode=question.mode,
            size=question.size,
            offset=question.offset,
            filters=question.filters,
            highlight=True,
        )
        if group in (None, "A") or route.experiment is None:
            return _Found(route.a.search(request).hits)
        if group == "B":
            return self._from_b(route, request)
        return self._interleaved(route, route.experiment, request, query_id)

    def _from_b(self, route: Route, request: SearchRequest) -> _Found:
        if route.b is not None:
            try:
                return _Found(route.b.search(request).hits)
            except FAILURES as error:
                self._failed(error)
        return _Found(route.a.search(request).hits, fallback=True)

    def _interleaved(
        self, route: Route, experiment: Experiment, request: SearchRequest, query_id: str
    ) -> _Found:
        whole = replace(request, offset=0, size=request.offset + request.size)
        other = self._threads.submit(route.b.search, whole) if route.b else None
        of_a = route.a.search(whole).hits
        of_b = self._second(other)
        if of_b is None:
            return _Found(of_a[request.offset :], fallback=True)
        seed = seed_of(experiment.name, query_id)
        mixed = team_draft([h.id for h in of_a], [h.id for h in of_b], whole.size, seed)
        hits = {"A": {h.id: h for h in of_a}, "B": {h.id: h for h in of_b}}
        page = [
            replace(hits[team][one], rank=rank)
            for rank, (one, team) in enumerate(zip(mixed.ids, mixed.teams, strict=True), start=1)
        ]
        return _Found(tuple(page[request.offset :]), mixed.teams[request.offset :])

    def _second(self, other: "Future[SearchResult] | None") -> tuple[Hit, ...] | None:
        if other is None:
            return None
        try:
            return other.result().hits
        except FAILURES as error:
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        self._counts.add("failures of B")
        # Its message may hold the query.
        logger.warning("arm B failed, arm A answers: %s", type(error).__name__)

    def _note(self, answer: Answer, question: Question, route: Route) -> None:
        self._counts.add(answer.group or "no experiment")
        if answer.fallback:
            self._counts.add("fallbacks")
        if question.offset:
            # A further page is no further query: what is shown first is what counts.
            return
        self.log.put(
            QueryEvent(
                query_id=answer.query_id,
                user_query=question.text,
                timestamp=datetime.now(UTC),
                client_id=question.key,
                index=self.index,
                shown=tuple(hit.id for hit in answer.hits),
                attributes=_attributes(answer, question, route),
            )
        )


def _attributes(answer: Answer, question: Question, route: Route) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "mode": question.mode,
        "version": _answering(answer, route).arm.physical,
        LATENCY: round(answer.took_ms, 3),
        "scores": [hit.score for hit in answer.hits],
        "chunk_ids": [hit.chunk_id for hit in answer.hits],
    }
    if answer.experiment is not None:
        found |= {EXPERIMENT: answer.experiment, ARM: answer.group}
    if answer.teams:
        found[TEAMS] = answer.teams
    if answer.fallback:
        found[FALLBACK] = True
    return found


def _answering(answer: Answer, route: Route) -> OpenArm:
    served_by_b = answer.group == "B" and not answer.fallback and route.b is not None
    return route.b if served_by_b and route.b is not None else route.a


def open_search(
    client: Any,
    index: str,
    log: BackgroundLog,
    *,
    options: LoadOptions | None = None,
    interval_s: float = INTERVAL_S,
) -> ExperimentSearch:
    """A search that follows an alias and its experiment; a context manager.

    Args:
        client: The client.
        index: Logical name of the index.
        log: Takes what happened, usually ``BackgroundLog(UbiLog(client).record)``.
        options: How models are loaded.
        interval_s: Seconds after which a swap or an experiment is noticed.
    """
    routes = Routes(lambda: read_wanted(client, index), ArmOpener(client, options), interval_s)
    return ExperimentSearch(index, routes, log)
