"""The one form of every error, and quick JSON for everything else."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

JSON = "application/json"


def json_response(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """JSON of anything, NumPy rows included, without a detour over Python numbers."""
    content = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type=JSON, headers=dict(headers or {}))


def error_response(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """An error as OpenAI's clients read it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = {"error": {"message": message, "type": kind, "code": code}}
    return Response(
        orjson.dumps(body), status_code=status, media_type=JSON, headers=dict(headers or {})
    )


def explain(errors: Sequence[Mapping[str, Any]], limit: int = 3) -> str:
    """Validation errors as one sentence, without the values they are about."""
    found = [f"{_place(error['loc'])}: {error['msg']}" for error in errors[:limit]]
    more = f" (and {len(errors) - limit} more)" if len(errors) > limit else ""
    return "; ".join(found) + more


def _place(parts: Sequence[Any]) -> str:
    """Where in the body; names that a client made up are cut short."""
    return ".".join(str(part)[:40] for part in parts if part != "body") or "body"
