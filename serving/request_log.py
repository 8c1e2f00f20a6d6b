"""Middleware: one log line, one count and one id per request."""

import logging
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.lifecycle import Lifecycle
from serving.logs import FIELDS
from serving.metrics import Metrics
from serving.recording import Recorder
from serving.records import RequestRecord, begin_record

logger = logging.getLogger(__name__)

_CLIENT_GONE = 499  # nginx's number for a client that closed the connection
_FAILED = 500


class RequestLog:
    """The outermost middleware.

    Args:
        app: What lies inside.
        metrics: Counts the request.
        lifecycle: Knows how many are in work.
        recorder: Is told of the request.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, lifecycle: Lifecycle, recorder: Recorder
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._lifecycle = lifecycle
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request and write down what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = begin_record(scope)
        started = time.perf_counter()
        failed = True
        self._lifecycle.enter()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = [(b"x-request-id", record.id.encode())]
                if record.texts:
                    headers.append((b"x-cut-texts", str(record.cut).encode()))
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        try:
            await self._app(scope, receive, noting)
            failed = False
        finally:
            self._lifecycle.leave()
            record.status = record.status or (_FAILED if failed else _CLIENT_GONE)
            self._write(scope, record, time.perf_counter() - started)

    def _write(self, scope: Scope, record: RequestRecord, seconds: float) -> None:
        route = _route(scope)
        self._metrics.request(route, record.status, seconds)
        self._recorder.note(route, record, seconds)
        if record.code is not None:
            self._metrics.refused(record.code)
        line = {
            "request_id": record.id,
            "method": scope["method"] if scope["method"] in _METHODS else "other",
            "route": route,
            "status": record.status,
            "ms": round(seconds * 1000, 1),
            "texts": record.texts,
            "tokens": record.tokens,
            "cut": record.cut,
            "batch": record.batch,
        }
        line |= {"code": record.code} if record.code else {}
        logger.info("request", extra={FIELDS: line})


_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"}


def _route(scope: MutableMapping[str, Any]) -> str:
    """The route's pattern, never the path: a path is the client's, and of any kind."""
    return str(getattr(scope.get("route"), "path", "other"))
