"""Middleware: reads a request's body within bounds of size and time."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.answers import error_response
from serving.config import Limits
from serving.errors import ClientGoneError, RequestError
from serving.records import record_of

# So many times the limit is read and thrown away before the answer, because a client that is
# still sending does not listen: it would see a broken connection instead of the message.
_DISCARDED = 4


class BodyLimit:
    """Hands on bodies that are short enough, whether or not they announce their length.

    Args:
        app: What lies inside.
        limits: Bounds of size and time.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, then pass on the request."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except ClientGoneError:
            return
        except RequestError as error:
            record_of(scope).code = error.code
            headers = {"connection": "close"}
            answer = error_response(error.status, error.code, str(error), headers)
            await answer(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        limit = self._limits.request_bytes
        announced = dict(scope["headers"]).get(b"content-length", b"")
        too_long = announced.isdigit() and int(announced) > limit
        try:
            async with asyncio.timeout(self._limits.body_s):
                body, size = await _drain(receive, 0 if too_long else limit, _DISCARDED * limit)
        except TimeoutError as error:
            msg = f"The body did not arrive within {self._limits.body_s:g} s."
            raise RequestError(msg, status=408, code="body_timeout") from error
        if too_long or size > limit:
            msg = f"The body is longer than {limit} bytes (--max-request-bytes): send fewer texts."
            raise RequestError(msg, status=413, code="body_too_large")
        return body


async def _drain(receive: Receive, kept: int, read: int) -> tuple[bytes, int]:
    """Read a body up to ``read`` bytes, keeping ``kept``; the content and the size seen."""
    content = bytearray()
    size = 0
    while size <= read:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part = message.get("body", b"")
        size += len(part)
        if size <= kept:
            content += part
        if not message.get("more_body", False):
            break
    return bytes(content), size


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, then whatever else comes: the end of the connection."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
