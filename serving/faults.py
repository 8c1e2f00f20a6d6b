"""Exceptions to answers: one form, no texts."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from encoders.errors import EncoderServiceError
from serving.answers import error_response, explain
from serving.errors import ClientGoneError, RequestError
from serving.records import record_of

_CODES = {400: "unreadable", 404: "not_found", 405: "method_not_allowed"}


def add_fault_handlers(app: FastAPI) -> None:
    """Give every exception its answer."""

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> Response:
        wait = error.retry_after
        headers = {} if wait is None else {"retry-after": str(wait)}
        return _answer(request, error.status, error.code, str(error), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        message = explain(error.errors())
        if "json" not in request.headers.get("content-type", ""):
            message = f"Send JSON, with the header content-type: application/json ({message})"
        return _answer(request, 422, "invalid", message)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        message = str(error.detail)
        if error.status_code == 404:
            message = f"There is no such path; served here: {', '.join(_paths(app))}"
        code = _CODES.get(error.status_code, "http")
        return _answer(request, error.status_code, code, message, dict(error.headers or {}))

    @app.exception_handler(EncoderServiceError)
    async def upstream(request: Request, _: EncoderServiceError) -> Response:
        message = "The service behind this server does not answer; ask again later."
        return _answer(request, 503, "upstream", message, {"retry-after": "5"})

    @app.exception_handler(ClientGoneError)
    async def gone(request: Request, _: ClientGoneError) -> Response:
        return _answer(request, 499, "client_gone", "The client closed the connection.")

    @app.exception_handler(Exception)
    async def failed(request: Request, _: Exception) -> Response:
        name = record_of(request.scope).id
        message = f"The encoder failed; the server's log says more about request {name}."
        return _answer(request, 500, "failed", message, {"x-request-id": name})


def _answer(
    request: Request, status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> Response:
    record_of(request.scope).code = code
    return error_response(status, code, message, headers)


def _paths(app: FastAPI) -> list[str]:
    return sorted(app.openapi()["paths"])
