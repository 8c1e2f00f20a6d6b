"""Logs as JSON lines that never hold a text.

An exception's message may quote what it is about, so only its type and where it was raised are
written. A log line of the event loop may hold an exception's representation; it is replaced, too.
"""

import asyncio
import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

FIELDS = "fields"


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, message and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().strip(),
        }
        line |= getattr(record, FIELDS, {})
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, trace = record.exc_info
            line |= {"error": kind.__name__, "at": _places(trace)}
            cause = error.__cause__ if error is not None else None
            if cause is not None:
                line |= {"cause": type(cause).__name__, "cause_at": _places(cause.__traceback__)}
        return json.dumps(line, ensure_ascii=False)


def _places(trace: TracebackType | None) -> list[str]:
    """Where it happened, innermost last: file, line and function, not the values."""
    return [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(trace)[-12:]]


def configure_logs(stream: TextIO | None = None) -> None:
    """Send every logger's records as JSON lines to ``stream`` (standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    logging.getLogger("serving").setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # It writes paths as they come; the request log writes routes.
    logging.getLogger("uvicorn.access").disabled = True


def quiet_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Log what the event loop reports without the representation of futures and exceptions."""

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        found = (type(error), error, error.__traceback__) if error is not None else None
        logging.getLogger("serving.loop").error("%s", context.get("message"), exc_info=found)

    loop.set_exception_handler(report)
