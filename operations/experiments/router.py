"""``/search`` and ``/search/events``: the experiment's side of the encoder server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, Field

from encoders.errors import EncoderError
from opensearch.errors import SearchBackendError, SettingsError
from opensearch.filters import parse_filters
from operations.experiments.session import Answer, ExperimentSearch, Question
from operations.feedback.events import UserEvent
from serving.answers import json_response
from serving.config import Limits
from serving.errors import DeadlineError, RequestError
from serving.records import record_of
from serving.responses import error_responses
from serving.schemas import TEXTS_MARK, Number, Text
from serving.schemas import Request as Body

T = TypeVar("T")

_THREADS = 16
_ERRORS = error_responses(400, 401, 408, 413, 422, 500, 503)
_ID = Field(min_length=1, max_length=100, pattern=r"^\S+$")
Id = Annotated[Text, _ID]


class SearchBody(Body):
    """A user's query."""

    query: Text = Field(json_schema_extra={TEXTS_MARK: True})
    key: Id = Field(description="Who asks: a user or a session, always the same for the same one.")
    size: Annotated[Number, Field(le=1000)] = 10
    offset: Annotated[int, Field(ge=0, le=9000)] = 0
    mode: Literal["bm25", "dense", "sparse", "hybrid"] = "hybrid"
    filters: Annotated[tuple[Text, ...], Field(max_length=50, strict=False)] = ()
    query_id: Id | None = Field(None, description="Of an earlier answer, for a further page.")
    show_arm: bool = Field(False, description="Also say which arm answered; not for users.")


class EventBody(Body):
    """What a user did with a hit."""

    action: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,49}$")] = "click"
    object_id: Annotated[Text, Field(max_length=256)] | None = None
    position: Number | None = None
    grade: float | None = Field(
        None, ge=0, le=10, allow_inf_nan=False, description="Of a judgement."
    )
    timestamp: Annotated[AwareDatetime, Field(strict=False)] | None = None


class EventsBody(Body):
    """What a user did with the hits of a query."""

    query_id: Id
    key: Id
    events: Annotated[list[EventBody], Field(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """How the routes behave.

    Attributes:
        limits: Of the server.
        timeout_s: Seconds until a search is given up.
    """

    limits: Limits
    timeout_s: float


def search_router(search: ExperimentSearch, config: RouterConfig) -> APIRouter:
    """Routes that answer users' queries and take their clicks.

    They belong behind the server's token (``build_server(…, routers=[…])``); the search is opened
    and closed by whoever made it.

    Args:
        search: Answers the queries.
        config: Limits.
    """
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="search")

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        threads.shutdown(wait=False, cancel_futures=True)

    router = APIRouter(tags=["search"], lifespan=lifespan)

    @router.post("/search", responses={200: {"model": dict[str, Any]}, **_ERRORS})
    async def answer(request: Request, body: SearchBody) -> Response:
        """Hits for a query, from the arm the user is assigned to, and the id its clicks name."""
        record_of(request.scope).texts = 1
        question = _question(body, config.limits)
        found = await _within(threads, config.timeout_s, lambda: search.search(question))
        return json_response(_answer(found, show_arm=body.show_arm))

    @router.post(
        "/search/events", status_code=202, responses={202: {"model": dict[str, int]}, **_ERRORS}
    )
    async def events(body: EventsBody) -> Response:
        """Clicks and judgements; they are written within seconds, and dropped where none can be."""
        taken = [search.record(_event(body, event)) for event in body.events]
        found = json_response({"accepted": sum(taken), "dropped": len(taken) - sum(taken)})
        found.status_code = 202
        return found

    @router.get(
        "/search/status", responses={200: {"model": dict[str, Any]}, **error_responses(401)}
    )
    async def status() -> Response:
        """What is served, by which experiment, and what went wrong; not for users."""
        return json_response(search.status())

    return router


async def _within(threads: ThreadPoolExecutor, seconds: float, work: Callable[[], T]) -> T:
    """Do something in a thread, and put its faults into words."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(seconds):
            return await loop.run_in_executor(threads, work)
    except TimeoutError as error:
        raise DeadlineError(seconds) from error
    except SettingsError as error:
        raise _refused() from error
    except (SearchBackendError, EncoderError) as error:
        message = "The search behind this server does not answer; ask again later."
        raise RequestError(message, status=503, code="upstream", retry_after=5) from error


def _refused() -> RequestError:
    # What was wrong stands in the message, but so may the query: the rules are told instead.
    message = (
        "The query must not be empty, offset + size at most 10000, and filters be of the form "
        "field=value, field=a,b, field!=value or field>=value."
    )
    return RequestError(message, status=422, code="invalid")


def _question(body: SearchBody, limits: Limits) -> Question:
    longest = min(limits.text_characters, 10_000)
    if len(body.query) > longest:
        msg = f"The query has {len(body.query)} characters; at most {longest} are taken."
        raise RequestError(msg, status=422, code="too_long")
    try:
        filters = tuple(parse_filters(body.filters))
    except SettingsError as error:
        raise _refused() from error
    return Question(
        text=body.query,
        key=body.key,
        size=body.size,
        offset=body.offset,
        mode=body.mode,
        filters=filters,
        query_id=body.query_id,
    )


def _answer(found: Answer, *, show_arm: bool) -> dict[str, Any]:
    hits = []
    for number, hit in enumerate(found.hits):
        shown = hit.as_dict()
        shown.pop("legs")
        if show_arm and found.teams:
            shown["team"] = found.teams[number]
        hits.append(shown)
    answer = {"query_id": found.query_id, "hits": hits, "took_ms": round(found.took_ms, 3)}
    if show_arm:
        arm = {"experiment": found.experiment, "arm": found.group, "fallback": found.fallback}
        answer |= arm
    return answer


def _event(body: EventsBody, event: EventBody) -> UserEvent:
    return UserEvent(
        action_name=event.action,
        timestamp=event.timestamp or datetime.now(UTC),
        query_id=body.query_id,
        client_id=body.key,
        object_id=event.object_id,
        position=event.position,
        attributes={} if event.grade is None else {"grade": event.grade},
    )
