"""Record templates: structured records as text that retrieves well.

A template is a TOML file with a ``title`` and a list of ``text`` lines. ``{name}`` stands for a
field, ``{outer.inner}`` for a nested one; a line is left out when one of its fields is absent, so
that a record with gaps reads like one that never had them.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ingest.errors import IngestError

ALLOWED_KEYS = ("title", "text")
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
# A path may hold what JSON keys and column names hold (":", "@", "#", spaces, brackets of units),
# but none of the marks by which other template languages start conversions and filters.
_FORBIDDEN_IN_PATH = re.compile(r"[!<>=|%\"'\[\]\n]|:\s*$")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a template: literal pieces and, between them, field paths."""

    literals: tuple[str, ...]
    paths: tuple[str, ...]

    @classmethod
    def parse(cls, source: str, place: str) -> Self:
        """Parse ``"Made in {country}"``; ``{{`` and ``}}`` stand for braces.

        Raises:
            IngestError: Unbalanced braces, an empty placeholder or unknown syntax in one.
        """
        literals, paths, last = [""], [], 0
        for match in _TOKEN.finditer(source):
            literals[-1] += source[last : match.start()]
            last = match.end()
            if match.group() in ("{{", "}}"):
                literals[-1] += match.group()[0]
            else:
                paths.append(_checked_path(match, place, source))
                literals.append("")
        literals[-1] += source[last:]
        return cls(tuple(literals), tuple(paths))

    def render(self, record: Mapping[str, Any]) -> str | None:
        """The line with its fields filled in, or None when one of them is absent."""
        values = [as_text(look_up(record, path)) for path in self.paths]
        if not all(values):
            return None
        pieces = [self.literals[0]]
        for value, literal in zip(values, self.literals[1:], strict=True):
            pieces += [value, literal]
        return "".join(pieces)


@dataclass(frozen=True, slots=True)
class RecordTemplate:
    """Title and text of a record; immutable, shared by all readers."""

    title: Line | None
    text: tuple[Line, ...]

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Load a template file.

        Raises:
            IngestError: The file is missing, not TOML, or not a template.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            msg = f"cannot read the template {path}: {error}"
            raise IngestError(msg) from error
        return cls.from_dict(values, str(path))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], name: str = "template") -> Self:
        """Build a template from ``{"title": str, "text": [str, ...]}``.

        Raises:
            IngestError: Unknown keys, wrong types, no text line, unknown placeholder syntax.
        """
        _check_shape(values, name)
        title = values.get("title")
        lines = [values["text"]] if isinstance(values["text"], str) else values["text"]
        return cls(
            title=None if title is None else Line.parse(title, f"{name}: title"),
            text=tuple(
                Line.parse(line, f"{name}: text line {number}")
                for number, line in enumerate(lines, start=1)
            ),
        )

    def render(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """Title and text of a record; either is empty when its fields are absent."""
        title = (self.title.render(record) if self.title else None) or ""
        rendered = (line.render(record) for line in self.text)
        return title, "\n".join(line for line in rendered if line is not None).strip()


def look_up(record: Any, path: str) -> Any:
    """The value at a dotted path, or None.

    A key that is spelled with dots wins over nesting. A number picks an element of a list; any
    other key is looked up in every element, and the values found come back as a list.
    """
    if isinstance(record, Mapping):
        if path in record:
            return record[path]
        head, _, rest = path.partition(".")
        return look_up(record[head], rest) if rest and head in record else None
    if isinstance(record, list):
        head, _, rest = path.partition(".")
        if head.isdecimal():
            item = record[int(head)] if int(head) < len(record) else None
            return look_up(item, rest) if rest else item
        found = [look_up(item, path) for item in record]
        return [value for value in found if value is not None] or None
    return None


def as_text(value: Any) -> str:
    """A field's value in words; lists joined by commas, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(text for text in map(as_text, value) if text)
    if isinstance(value, Mapping):
        pairs = ((key, as_text(inner)) for key, inner in value.items())
        return "; ".join(f"{key}: {text}" for key, text in pairs if text)
    return str(value).strip()


def _checked_path(match: re.Match[str], place: str, source: str) -> str:
    path = match.group(1)
    if path is None:
        msg = f"{place}: unbalanced {match.group()!r} in {source!r}; write {{{{ or }}}} for a brace"
        raise IngestError(msg)
    path = path.strip()
    if _FORBIDDEN_IN_PATH.search(path) or not all(part.strip() for part in path.split(".")):
        msg = (
            f"{place}: unknown placeholder {match.group()!r}; allowed: {{field}} and "
            "{outer.inner}, without conversions, formats or filters"
        )
        raise IngestError(msg)
    if any(part.rstrip().endswith(":") for part in path.split(".")):
        msg = f"{place}: unknown placeholder {match.group()!r}; formats after ':' are not supported"
        raise IngestError(msg)
    return path


def _check_shape(values: Mapping[str, Any], name: str) -> None:
    unknown = sorted(set(values) - set(ALLOWED_KEYS))
    if unknown:
        msg = f"{name}: unknown key {', '.join(unknown)}; allowed: {', '.join(ALLOWED_KEYS)}"
        raise IngestError(msg)
    if not isinstance(values.get("title", ""), str):
        msg = f"{name}: title must be a string such as '{{name}}'"
        raise IngestError(msg)
    text = values.get("text")
    lines = [text] if isinstance(text, str) else text
    if not (isinstance(lines, list) and lines and all(isinstance(line, str) for line in lines)):
        msg = f"{name}: text must be a list of lines such as ['Made in {{country}}']"
        raise IngestError(msg)
