"""Experiments, arms and a cluster's memory for tests, without a cluster."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from opensearch.errors import SearchBackendError
from opensearch.fusion import Fusion
from opensearch.hits import Hit, SearchResult
from opensearch.plan import SearchRequest
from operations.experiments.experiment import Arm, Experiment, Phase, Plan
from operations.experiments.opening import OpenArm
from operations.feedback.events import QueryEvent, UserEvent

START = datetime(2026, 3, 1, tzinfo=UTC)


def experiment(
    method: str = "split", share: float = 0.5, name: str = "docs-ab1", **plan: Any
) -> Experiment:
    metric = "preference" if method == "interleaving" else "ctr"
    chosen = Plan(**{"metric": metric, "planned_users": 1000, **plan})
    return Experiment(
        name=name,
        index="docs",
        method=method,  # type: ignore[arg-type]
        a=Arm("docs-v1-1"),
        b=Arm("docs-v2-1"),
        salt="salt",
        created=START,
        plan=chosen,
        phases=(Phase(START, share, chosen.alpha),),
    )


@dataclass
class FakeSearcher:
    """Ranks documents as it was told."""

    name: str
    ids: list[str]
    error: Exception | None = None
    requests: list[SearchRequest] = field(default_factory=list)

    def search(self, request: SearchRequest) -> SearchResult:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        page = self.ids[request.offset : request.offset + request.size]
        hits = tuple(
            Hit(id=one, chunk_id=f"{one}-{self.name}", score=1 / rank, rank=rank, title=one)
            for rank, one in enumerate(page, start=request.offset + 1)
        )
        return SearchResult(hits, ("bm25",), {}, {}, 1.0, 2.0)


def open_fake(arm: Arm, ids: list[str], error: Exception | None = None) -> OpenArm:
    return OpenArm(arm, FakeSearcher(arm.physical, ids, error), Fusion())


BROKEN = SearchBackendError("the query stands here: secret words")


@dataclass
class MemoryLog:
    """What of the log's reader and writer is used."""

    stored_queries: list[QueryEvent] = field(default_factory=list)
    stored_events: list[UserEvent] = field(default_factory=list)
    error: Exception | None = None
    refused: tuple[object, ...] = ()

    def record(self, queries: Any, events: Any) -> "MemoryLog":
        if self.error is not None:
            raise self.error
        self.stored_queries += list(queries)
        self.stored_events += list(events)
        return self

    def queries(self, since: Any = None, until: Any = None) -> list[QueryEvent]:
        return [q for q in self.stored_queries if since is None or q.timestamp >= since]

    def events(self, since: Any = None, until: Any = None) -> list[UserEvent]:
        return [e for e in self.stored_events if since is None or e.timestamp >= since]


def query(
    number: int, user: str, arm: str = "A", *, shown: int = 10, **attributes: Any
) -> QueryEvent:
    return QueryEvent(
        query_id=f"q{number}",
        user_query="words",
        timestamp=START + timedelta(seconds=number),
        client_id=user,
        index="docs",
        shown=tuple(f"d{rank}" for rank in range(1, shown + 1)),
        attributes={"experiment": "docs-ab1", "arm": arm, "latency_ms": 20.0, **attributes},
    )


def click(number: int, document: str | None, second: float = 1, **values: Any) -> UserEvent:
    return UserEvent(
        action_name=values.pop("action", "click"),
        timestamp=START + timedelta(seconds=number + second),
        query_id=f"q{number}",
        object_id=document,
        **values,
    )


class MemoryCluster:
    """Documents with sequence numbers, as far as experiments need them."""

    def __init__(self) -> None:
        self.documents: dict[str, tuple[dict[str, Any], int]] = {}
        self.made: list[str] = []
        self.before_write: Any = None
        self.indices = self
        self._seq = 0

    def exists(self, index: str) -> bool:
        return index in self.made

    def create(self, index: str, body: Any, ignore: int) -> None:
        self.made.append(index)

    def get(self, index: str, id: str, ignore: int) -> dict[str, Any]:
        if id not in self.documents:
            return {"found": False}
        source, seq = self.documents[id]
        return {"found": True, "_source": source, "_seq_no": seq, "_primary_term": 1}

    def search(self, index: str, body: dict[str, Any], params: Any) -> dict[str, Any]:
        name = body["query"].get("term", {}).get("name")
        hits = [
            {"_source": source, "_seq_no": seq, "_primary_term": 1}
            for source, seq in self.documents.values()
            if name in (None, source["name"])
        ]
        return {"hits": {"hits": hits}}

    def index(self, index: str, id: str, body: dict[str, Any], params: dict[str, Any]) -> None:
        from opensearchpy.exceptions import ConflictError

        if self.before_write is not None:
            action, self.before_write = self.before_write, None
            action()
        there = self.documents.get(id)
        created = params.get("op_type") == "create" and there is not None
        changed = "if_seq_no" in params and (there is None or there[1] != params["if_seq_no"])
        if created or changed:
            raise ConflictError(409, "version_conflict_engine_exception", {})
        self._seq += 1
        self.documents[id] = (body, self._seq)
