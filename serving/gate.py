"""Middleware: who may come in, and when."""

import hashlib
import hmac
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.answers import error_response
from serving.lifecycle import Lifecycle
from serving.records import record_of

_STATUS_PAGES = frozenset({"/health", "/ready", "/metrics"})


class Authentication:
    """Asks for the bearer token before anything of a request is read.

    Args:
        app: What lies inside.
        token: The token; ``None`` lets everybody in.
        open_paths: What needs no token.
    """

    def __init__(self, app: ASGIApp, token: str | None, open_paths: Collection[str]) -> None:
        self._app = app
        self._digest = None if token is None else _digest(token.encode())
        self._open = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request that carries the token."""
        if scope["type"] != "http" or scope["path"] in self._open or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        record_of(scope).code = "unauthorized"
        message = "This server needs the header 'Authorization: Bearer TOKEN' with its token."
        headers = {"www-authenticate": "Bearer"}
        await error_response(401, "unauthorized", message, headers)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        if self._digest is None:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, token = given.partition(b" ")
        # Digests are equally long, so that the comparison tells nothing about the token's length.
        return hmac.compare_digest(_digest(token.strip()), self._digest) and (
            scheme.lower() == b"bearer"
        )


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class Admission:
    """Refuses what comes while the server stops, and what is too much at once.

    Args:
        app: What lies inside.
        lifecycle: Knows whether the server stops.
        in_flight: Requests worked on at once.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle, in_flight: int) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request when there is room."""
        if scope["type"] != "http" or scope["path"] in _STATUS_PAGES:
            await self._app(scope, receive, send)
            return
        if self._lifecycle.stopping:
            code, wait = "stopping", 5
            message = "The server is stopping and takes nothing new; ask again in a moment."
        elif self._lifecycle.active > self._in_flight:
            code, wait = "overloaded", 1
            message = f"{self._in_flight} requests are in work already; ask again later."
        else:
            await self._app(scope, receive, send)
            return
        record_of(scope).code = code
        headers = {"retry-after": str(wait), "connection": "close"}
        await error_response(503, code, message, headers)(scope, receive, send)
