"""Markdown files, with or without front matter."""

import datetime
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ingest.readers.checks import BadRecordError
from ingest.readers.options import ReadOptions
from ingest.readers.parsed import Parsed, read_text

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?\n|)\1[ \t]*(?:\n|\Z)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_SETEXT_LINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")


def parse_markdown(path: Path, options: ReadOptions) -> Parsed:
    """Title from the front matter or the first heading; the mark-up stays in the text.

    A heading that opens the document moves into the title, lest every passage repeat it.

    Raises:
        BadRecordError: Unreadable, too large, in another encoding, or broken front matter.
    """
    metadata, body = split_front_matter(read_text(path, options))
    heading, rest = first_heading(body)
    title = metadata.pop("title", None)
    if isinstance(title, str) and title.strip():
        return Parsed(body if title.strip() != heading else rest, title.strip(), metadata)
    return Parsed(rest if rest.strip() else body, heading, metadata)


def split_front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Front matter (YAML between ``---``, TOML between ``+++``) and what follows it."""
    match = _FRONT_MATTER.match(text)
    if match is None:
        return {}, text
    values = _load_yaml(match[2]) if match[1] == "---" else _load_toml(match[2])
    if values is None:
        return {}, text[match.end() :]
    if not isinstance(values, Mapping):
        # Two thematic breaks at the top of a page look like front matter.
        return {}, text
    return {str(key): _plain(value) for key, value in values.items()}, text[match.end() :]


def first_heading(body: str) -> tuple[str, str]:
    """The first heading outside code, and the body without it if it stands at the very top."""
    lines = body.split("\n")
    fence = ""
    for number, line in enumerate(lines):
        opened = _FENCE.match(line)
        if opened and (not fence or opened[1].startswith(fence)):
            fence = "" if fence else opened[1]
        length = 0 if fence or opened else _heading_lines(lines, number)
        if length:
            atx = _ATX_HEADING.match(line)
            title = (atx[1] if atx else line).strip()
            on_top = not any(earlier.strip() for earlier in lines[:number])
            return title, "\n".join(lines[number + length :]).lstrip("\n") if on_top else body
    return "", body


def _heading_lines(lines: list[str], number: int) -> int:
    """How many lines the heading at a line takes: 1, 2 when it is underlined, 0 for none."""
    line = lines[number]
    if (atx := _ATX_HEADING.match(line)) and atx[1].strip():
        return 1
    following = lines[number + 1] if number + 1 < len(lines) else ""
    opens_paragraph = number == 0 or not lines[number - 1].strip()
    is_prose = bool(line.strip()) and line.lstrip()[0] not in "-*+>|#=`~"
    return 2 if opens_paragraph and is_prose and _SETEXT_LINE.match(following) else 0


def _load_yaml(source: str) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        # A few lines of aliases can stand for gigabytes.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(source, yaml.SafeLoader)):
            msg = "bad front matter: aliases are not allowed"
            raise BadRecordError(msg)
        return yaml.safe_load(source)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        msg = f"bad front matter: {' '.join(str(error).split())}"
        raise BadRecordError(msg) from error


def _load_toml(source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        msg = f"bad front matter: {error}"
        raise BadRecordError(msg) from error


def _plain(value: Any) -> Any:
    """YAML and TOML values as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
