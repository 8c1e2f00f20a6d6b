"""Read a pipeline file: TOML or YAML, all faults at once, unknown keys with the nearest name."""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from opensearch.errors import SettingsError
from opensearch.pipeline_files.schema import (
    SECTIONS,
    STEPS,
    BoundsPart,
    IngestPipeline,
    PipelineFile,
    SearchPipeline,
)


class PipelineFileError(SettingsError):
    """A pipeline file that cannot be used; the message lists every fault."""


def load_pipeline_file(path: Path) -> PipelineFile:
    """Read and check a file.

    Raises:
        PipelineFileError: It cannot be read, or says something it may not say.
    """
    values = _parse(path)
    try:
        found = PipelineFile.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        lines = "".join(f"\n  {_fault(fault)}" for fault in faults)
        msg = f"{path}:{lines}"
        raise PipelineFileError(msg) from error
    if not found.ingest and not found.search:
        msg = f"{path} declares no pipeline; it holds [ingest.NAME] and [search.NAME] tables"
        raise PipelineFileError(msg)
    return found


def _parse(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {error}"
        raise PipelineFileError(msg) from error
    return _yaml(text, path) if path.suffix in (".yaml", ".yml") else _toml(text, path)


def _toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is not valid TOML: {error}"
        raise PipelineFileError(msg) from error


def _yaml(text: str, path: Path) -> Any:
    import yaml  # type: ignore[import-untyped]

    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        msg = f"{path} is not valid YAML: {error}"
        raise PipelineFileError(msg) from error


def _fault(fault: ErrorDetails) -> str:
    place = ".".join(str(part) for part in _readable(fault["loc"])) or "the file"
    if fault["type"] != "extra_forbidden":
        return f"{place}: {fault['msg'].removeprefix('Value error, ')}"
    known = _keys_at(fault["loc"][:-1])
    near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    return f"{place}: unknown key; {hint}"


def _readable(place: Sequence[int | str]) -> list[int | str]:
    """The place without the tag of the union that pydantic adds behind a step's number."""
    return [p for i, p in enumerate(place) if not (i and isinstance(place[i - 1], int))]


def _keys_at(place: Sequence[int | str]) -> list[str]:
    """Keys that are allowed at a place of the file."""
    match place:
        case ("ingest", _, "steps", int(), str(step)) if step in STEPS:
            schema: Any = STEPS[step]
        case ("ingest", *_):
            schema = IngestPipeline
        case ("search", _, "fusion", "bounds", *_):
            schema = BoundsPart
        case ("search", _, str(section), *_) if section in SECTIONS:
            schema = SECTIONS[section]
        case ("search", *_):
            schema = SearchPipeline
        case _:
            schema = PipelineFile
    return list(schema.model_fields)
