"""Metadata filters: ``field=value`` expressions turned into query clauses."""

import re
from collections.abc import Iterable
from typing import Any

from opensearch.errors import SettingsError

_EXPRESSION = re.compile(
    r"(?P<field>[^=<>!\s]+)\s*(?P<operator>!=|>=|<=|=|>|<)\s*(?P<value>.+)\Z", re.DOTALL
)
_RANGES = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
# Fields of the index itself; every other name is looked up under `metadata`.
_OWN_FIELDS = frozenset({"doc_id", "level", "parent", "ordinal"})


def parse_filters(expressions: Iterable[str]) -> list[dict[str, Any]]:
    """Parse filter expressions; all of them must hold.

    Args:
        expressions: ``lang=ko``, ``category=cards,loans`` (any of), ``lang!=en``, ``fee<=1000``,
            ``updated>=2026-01-01``.

    Returns:
        Clauses for a ``bool.filter``.

    Raises:
        SettingsError: An expression has no operator or no value.
    """
    return [_clause(expression) for expression in expressions]


def _clause(expression: str) -> dict[str, Any]:
    match = _EXPRESSION.match(expression.strip())
    values = [part.strip() for part in match["value"].split(",") if part.strip()] if match else []
    if match is None or not values:
        msg = (
            f"cannot read the filter {expression!r}; write field=value, field=a,b, field!=value, "
            "or field>=value (also >, <=, <)"
        )
        raise SettingsError(msg)
    name, operator, value = match["field"], match["operator"], match["value"].strip()
    path = name if name in _OWN_FIELDS or name.startswith("metadata.") else f"metadata.{name}"
    if operator in _RANGES:
        return {"range": {path: {_RANGES[operator]: value}}}
    wanted = any_of(path, values)
    return {"bool": {"must_not": [wanted]}} if operator == "!=" else wanted


def any_of(path: str, values: list[str]) -> dict[str, Any]:
    """One of several values, none of them analyzed.

    A SEISMIC field cannot be filtered by `terms`, nor by `term` where no document has the field;
    `match` is the same on keywords, numbers and dates, and never fails.
    """
    matches = [{"match": {path: value}} for value in values]
    return matches[0] if len(matches) == 1 else {"bool": {"should": matches}}
