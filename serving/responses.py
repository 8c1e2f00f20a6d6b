"""Errors that any encoding route may answer with, for the OpenAPI description."""

from typing import Any

from serving.schemas import ErrorAnswer

_RETRY: dict[str, Any] = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}
_MEANINGS: dict[int, str] = {
    400: "Not JSON that can be read, or something this model cannot do.",
    401: "The bearer token is missing or wrong.",
    404: "Another model was named than the one served here.",
    408: "The body did not arrive in time.",
    413: "The body is longer than the server takes.",
    422: "The body is not what this route expects, or holds too many or too long texts.",
    500: "The encoder failed.",
    503: "Too much is waiting, the request was not done in time, or the server is stopping.",
}

TEXTS_HEADERS: dict[str, Any] = {
    "X-Cut-Texts": {
        "description": "Texts that were longer than the encoder reads, and were cut.",
        "schema": {"type": "integer"},
    }
}


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The description of these errors."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        found[status] = {"model": ErrorAnswer, "description": _MEANINGS[status]}
        if status == 503:
            found[status]["headers"] = _RETRY
    return found


ENCODING_ERRORS = error_responses(*_MEANINGS)
