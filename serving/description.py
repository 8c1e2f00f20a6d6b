"""The OpenAPI description, with this server's own limits in it."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from serving.config import Limits
from serving.schemas import TEXTS_MARK, WIDTH_MARK


def put_limits(app: FastAPI, limits: Limits, widths: range | None) -> None:
    """Replace the marks in the schemas by the limits, whenever the description is asked for.

    Args:
        app: Its description is changed.
        limits: What one request may be.
        widths: Widths of a dense vector that may be asked for, where there is a dense encoder.
    """
    plain = app.openapi

    def described() -> dict[str, Any]:
        schema = plain()
        for node in _nodes(schema.get("components", {}).get("schemas", {})):
            if node.pop(TEXTS_MARK, False):
                _limit_texts(node, limits)
            if node.pop(WIDTH_MARK, False) and widths is not None:
                number = node["anyOf"][0]
                number["minimum"], number["maximum"] = widths[0], widths[-1]
        return schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way


def _limit_texts(node: dict[str, Any], limits: Limits) -> None:
    text = node if node["type"] == "string" else node["items"]
    text["maxLength"] = limits.text_characters
    if node["type"] == "array":
        node["maxItems"] = limits.texts


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a JSON value."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, dict | list):
        for entry in list(node.values()) if isinstance(node, dict) else node:
            yield from _nodes(entry)
