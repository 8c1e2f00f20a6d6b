"""Prompt templates: texts with ``{name}`` fields, from the package or from a user's own file."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Formatter

from encoders.errors import EncoderError


def read_prompt(name: str, fields: Mapping[str, str], file: Path | None = None) -> str:
    """A prompt with its fields filled in.

    Args:
        name: Template of the package, e.g. ``hyde``.
        fields: Value of each field; the values may hold braces.
        file: A user's own template instead.

    Raises:
        EncoderError: The template cannot be read, or has a field that is not to be had.
    """
    template = _own(file) if file is not None else _packaged(name)
    wanted = {field for _, field, _, _ in _parsed(template, name) if field is not None}
    if unknown := wanted - set(fields):
        msg = (
            f"the prompt {file or name} has the field {{{sorted(unknown)[0]}}}; "
            f"it may use {', '.join(f'{{{field}}}' for field in fields)} (write {{{{ for a brace)"
        )
        raise EncoderError(msg)
    return template.format(**fields).strip()


def _parsed(template: str, name: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(template))
    except ValueError as error:
        msg = f"the prompt {name} has an odd brace: {error}; write {{{{ for a brace"
        raise EncoderError(msg) from error


def _packaged(name: str) -> str:
    return files("encoders.llm").joinpath("prompts", f"{name}.txt").read_text(encoding="utf-8")


def _own(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the prompt {file} cannot be read: {error}"
        raise EncoderError(msg) from error
