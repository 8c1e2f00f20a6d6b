"""What a log says about each query and document: who saw it where, clicked it, passed it over."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from operations.feedback.events import JUDGEMENT, QueryEvent
from operations.feedback.exporting import DEFAULT_MIN_CLIENTS, UNKNOWN_CLIENT, client_of
from operations.feedback.log_files import LogSource
from operations.feedback.privacy import ClientCounts
from operations.feedback.propensity import RankCounts
from operations.feedback.windows import Window
from training.data.normalising import text_key

CLICKS = ("click", "click_through")
# More queries a day than a person types.
ROBOT_QUERIES = 1000
_GRADE = "grade"


@dataclass(frozen=True, slots=True)
class EvidenceOptions:
    """Whose evidence counts.

    Attributes:
        index: Only queries that this index answered; queries that name none count too.
        actions: Actions that say a result was wanted.
        min_clients: Queries that fewer clients issued are left out (k-anonymity).
        robot_queries: Clients with more queries on one day are left out.
        unidentified: Clients without an id count as ``one`` together, or as one ``each``.
    """

    index: str | None = None
    actions: tuple[str, ...] = CLICKS
    min_clients: int = DEFAULT_MIN_CLIENTS
    robot_queries: int = ROBOT_QUERIES
    unidentified: str = "one"


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """Evidence about one document for one query; each client counts once, by its first sight.

    Attributes:
        counts: Impressions and clicks by rank.
        skips: Clients who passed it over and clicked something below it.
        passage: The passage that was shown last, where the log says it.
        grade: Mean of explicit judgements.
    """

    counts: RankCounts
    skips: int = 0
    passage: str | None = None
    grade: float | None = None

    @property
    def impressions(self) -> int:
        """Clients who were shown it."""
        return sum(self.counts.shown)

    @property
    def clicks(self) -> int:
        """Clients who clicked it."""
        return sum(self.counts.clicked)


@dataclass(frozen=True, slots=True)
class QueryEvidence:
    """Evidence about one query.

    Attributes:
        key: Name of the query: equal for queries that differ only in case, signs and spaces.
        text: As it was typed first.
        documents: By object id.
    """

    key: str
    text: str
    documents: Mapping[str, PairEvidence]


@dataclass(frozen=True)
class Evidence:
    """Everything a log says.

    Attributes:
        queries: In the order in which they were first seen.
        counts: What was read and what was left out, by name.
    """

    queries: tuple[QueryEvidence, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    def pairs(self) -> Iterator[PairEvidence]:
        """All documents of all queries."""
        for query in self.queries:
            yield from query.documents.values()


def gather(log: LogSource, options: EvidenceOptions, window: Window | None = None) -> Evidence:
    """Read a log: once for the actions, twice for the queries.

    Memory grows with actions and with distinct (query, document, client) triples, not with the
    size of the log's lines.

    Raises:
        FeedbackError: The log cannot be read.
    """
    window = window or Window()
    counts: Counter[str] = Counter()
    actions = _Actions.read(log, options, window)
    counts["actions"] = actions.read_count
    trusted = _Trusted.read(log, options, window)
    gathering = _Gathering(actions)
    for query in _asked(log, options, window):
        counts["queries"] += 1
        client = _client(query, options)
        if trusted.is_robot(client, query.timestamp):
            counts["queries of robots"] += 1
        elif not trusted.clients.enough(text_key(query.user_query)):
            counts["queries of too few clients"] += 1
        else:
            gathering.add(query, client)
    counts["actions on what was not shown"] = gathering.astray
    return Evidence(tuple(gathering.evidence()), dict(counts))


def _asked(log: LogSource, options: EvidenceOptions, window: Window) -> Iterator[QueryEvent]:
    for query in log.queries(window.since, window.until):
        if options.index is None or query.index in (None, options.index):
            yield query


def _client(query: QueryEvent, options: EvidenceOptions) -> str:
    found = client_of(query)
    if found == UNKNOWN_CLIENT and options.unidentified == "each":
        return f"query {query.query_id}"
    return found


@dataclass(frozen=True)
class _Actions:
    """Actions by query: objects that were wanted, and judgements as (object, rater, grade)."""

    wanted: Mapping[str, set[str]]
    judged: Mapping[str, list[tuple[str, str, float]]]
    read_count: int

    @classmethod
    def read(cls, log: LogSource, options: EvidenceOptions, window: Window) -> "_Actions":
        wanted: dict[str, set[str]] = defaultdict(set)
        judged: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
        count = 0
        # What was done about a query of the window may have been done after it.
        for event in log.events(window.since):
            count += 1
            if event.query_id is None or event.object_id is None:
                continue
            if event.action_name in options.actions:
                wanted[event.query_id].add(event.object_id)
            grade = event.attributes.get(_GRADE)
            if event.action_name == JUDGEMENT and isinstance(grade, int | float):
                rater = event.client_id or event.session_id or UNKNOWN_CLIENT
                judged[event.query_id].append((event.object_id, rater, float(grade)))
        return cls(wanted, judged, count)


class _Trusted:
    """Which clients are people, and which queries enough of them issued."""

    def __init__(self, options: EvidenceOptions) -> None:
        self.clients = ClientCounts(options.min_clients)
        self._limit = options.robot_queries
        self._asked: Counter[tuple[str, int]] = Counter()

    @classmethod
    def read(cls, log: LogSource, options: EvidenceOptions, window: Window) -> "_Trusted":
        trusted = cls(options)
        for query in _asked(log, options, window):
            client = _client(query, options)
            trusted.clients.add(text_key(query.user_query), client)
            if client != UNKNOWN_CLIENT:
                trusted._asked[client, query.timestamp.toordinal()] += 1
        return trusted

    def is_robot(self, client: str, moment: datetime) -> bool:
        return self._asked[client, moment.toordinal()] > self._limit


@dataclass(slots=True)
class _Sight:
    """A client's first sight of a document for a query."""

    moment: datetime
    rank: int
    clicked: bool
    skipped: bool


class _Gathering:
    def __init__(self, actions: _Actions) -> None:
        self._actions = actions
        self._texts: dict[str, str] = {}
        self._sights: dict[str, dict[str, dict[str, _Sight]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._passages: dict[tuple[str, str], str] = {}
        # The last grade of each rater counts.
        self._grades: dict[str, dict[str, dict[str, float]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self.astray = 0

    def add(self, query: QueryEvent, client: str) -> None:
        key = text_key(query.user_query)
        self._texts.setdefault(key, query.user_query.strip())
        wanted = self._actions.wanted.get(query.query_id, set())
        self.astray += len(wanted - set(query.shown))
        lowest = max((i for i, doc in enumerate(query.shown) if doc in wanted), default=-1)
        first = _offset(query) + 1
        for place, doc in enumerate(query.shown):
            clicked = doc in wanted
            sight = _Sight(query.timestamp, first + place, clicked, not clicked and place < lowest)
            seen = self._sights[key][doc]
            if client not in seen or query.timestamp < seen[client].moment:
                seen[client] = sight
        for doc, passage in zip(query.shown, _passages(query), strict=False):
            self._passages[key, doc] = passage
        for doc, rater, grade in self._actions.judged.get(query.query_id, ()):
            self._grades[key][doc][rater] = grade

    def evidence(self) -> Iterator[QueryEvidence]:
        for key, text in self._texts.items():
            found = [*self._sights.get(key, ()), *self._grades.get(key, ())]
            yield QueryEvidence(key, text, {doc: self._pair(key, doc) for doc in found})

    def _pair(self, key: str, doc: str) -> PairEvidence:
        sights = self._sights.get(key, {}).get(doc, {}).values()
        shown = Counter(sight.rank for sight in sights)
        clicked = Counter(sight.rank for sight in sights if sight.clicked)
        ranks = tuple(sorted(shown))
        grades = self._grades.get(key, {}).get(doc, {}).values()
        return PairEvidence(
            counts=RankCounts(
                ranks, tuple(shown[r] for r in ranks), tuple(clicked[r] for r in ranks)
            ),
            skips=sum(sight.skipped for sight in sights),
            passage=self._passages.get((key, doc)),
            grade=sum(grades) / len(grades) if grades else None,
        )


def _offset(query: QueryEvent) -> int:
    """Results before the page that was shown."""
    offset = query.attributes.get("offset")
    return offset if isinstance(offset, int) and offset > 0 else 0


def _passages(query: QueryEvent) -> list[str]:
    passages = query.attributes.get("chunk_ids")
    return [str(p) for p in passages] if isinstance(passages, list) else []
