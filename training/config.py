"""Configuration files of training runs: TOML or YAML, every key checked, all faults at once."""

import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from training.errors import TrainingError
from training.run_folder import write_atomically

PRESETS = Path(__file__).with_name("presets")
_UNKNOWN = "extra_forbidden"


class ConfigError(TrainingError):
    """A configuration that cannot be used; the message lists every fault."""


class Section(BaseModel):
    """A part of a configuration: frozen, and closed to keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


C = TypeVar("C", bound=Section)


class TrainSet(Section):
    """Records to train on.

    Attributes:
        path: JSON-lines file of records, or BEIR folder.
        split: Which judgements of a BEIR folder.
        weight: Share of the batches among all sets; by default a set's share of the records.
    """

    path: Path
    split: str | None = None
    weight: float | None = Field(default=None, gt=0)


class EvaluationSet(Section):
    """A BEIR folder to measure on.

    Attributes:
        path: Folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/``.
        split: Which judgements; by default ``test``, else ``dev``, else the only ones there.
        max_documents: Measure on so many documents: all relevant ones, and others drawn at random.
        max_queries: Measure on so many queries, drawn at random.
    """

    path: Path
    split: str | None = None
    max_documents: int | None = Field(default=None, ge=1)
    max_queries: int | None = Field(default=None, ge=1)


class DataSettings(Section):
    """What a run learns from and what it is measured on.

    Attributes:
        train: Records.
        dev: Chooses the best checkpoint and ends training early; never trained on.
        floor: Sets on which the tuned model must not lose: unlike the training data.
    """

    train: tuple[TrainSet, ...] = Field(min_length=1)
    dev: tuple[EvaluationSet, ...] = ()
    floor: tuple[EvaluationSet, ...] = ()


def load_config(
    path: Path | None,
    schema: type[C],
    *,
    preset: str | None = None,
    overrides: Sequence[str] = (),
) -> C:
    """Read, merge and check a configuration.

    Args:
        path: TOML or YAML file; its values come before the preset's.
        schema: What a configuration must look like.
        preset: Name of a packaged configuration, e.g. ``dense-minilm``.
        overrides: ``key.sub=value`` with the value in TOML (a bare word is a string); these come
            before everything else.

    Raises:
        ConfigError: A file cannot be read, or values do not fit: one line for each fault.
    """
    values: dict[str, Any] = {}
    names: list[str] = []
    for source in [preset_path(preset)] if preset else []:
        values = merged(values, read_values(source))
        names.append(f"preset {preset}")
    if path is not None:
        values = merged(values, read_values(path))
        names.append(str(path))
    for override in overrides:
        values = merged(values, parse_override(override))
    return check_values(values, schema, source=" + ".join(names) or "the options")


def check_values(values: Mapping[str, Any], schema: type[C], *, source: str) -> C:
    """Check values against a schema.

    Raises:
        ConfigError: One line for each fault; an unknown key comes with the nearest valid one.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        faults = [_fault(schema, detail) for detail in error.errors()]
        listed = "\n".join(f"  {fault}" for fault in dict.fromkeys(faults))
        msg = f"{source}: {len(faults)} fault{'s' if len(faults) > 1 else ''}\n{listed}"
        raise ConfigError(msg) from error


def save_config(config: Section, path: Path) -> None:
    """Write the resolved configuration as TOML; :func:`load_config` reads it back."""
    import tomli_w

    values = config.model_dump(mode="json", exclude_none=True)
    write_atomically(path, tomli_w.dumps(values))


def preset_names(prefix: str = "") -> list[str]:
    """Names of the packaged configurations, e.g. those that start with ``dense-``."""
    return sorted(path.stem for path in PRESETS.glob(f"{prefix}*.toml"))


def preset_path(name: str) -> Path:
    """File of a packaged configuration.

    Raises:
        ConfigError: There is none of this name; the message lists what there is.
    """
    path = PRESETS / f"{name}.toml"
    if path.is_file() and path.parent == PRESETS:
        return path
    kind = name.partition("-")[0] + "-"
    names = preset_names(kind) or preset_names()
    msg = f"no preset {name!r}{_did_you_mean(name, names)} There are: {', '.join(names)}"
    raise ConfigError(msg)


def read_values(path: Path) -> dict[str, Any]:
    """The values of a TOML or YAML file.

    Raises:
        ConfigError: It cannot be read, or is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise ConfigError(msg) from error
    found = _parsed(path, text)
    if not isinstance(found, dict):
        msg = f"{path}: a {type(found).__name__} instead of keys and values"
        raise ConfigError(msg)
    return found


def setting(key: str, value: Any) -> str:
    """An override as ``load_config`` takes it; a table's keys are written in order.

    Args:
        key: Dotted, e.g. ``data.train``.
        value: A string, number, list, or mapping of them.
    """
    return f"{key}={_as_toml(value)}"


def set_table(text: str, split: str | None = None) -> dict[str, str]:
    """``FOLDER[:SPLIT]`` as a table of ``data.dev`` or ``data.floor``.

    Args:
        text: What a person wrote.
        split: Judgements to take where none are named.
    """
    folder, colon, named = text.rpartition(":")
    if not colon or "/" in named or "\\" in named:
        return {"path": text, **({"split": split} if split else {})}
    return {"path": folder, "split": named}


def parse_override(text: str) -> dict[str, Any]:
    """``training.steps=5`` as ``{"training": {"steps": 5}}``.

    Raises:
        ConfigError: It has no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        msg = f"{text!r} is no setting; write key.sub=value, for example training.steps=100"
        raise ConfigError(msg)
    nested: Any = _toml_value(value.strip())
    for part in reversed(parts):
        nested = {part: nested}
    return dict(nested)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values with changes over them; a list or plain value replaces the one before."""
    result = dict(base)
    for key, value in changes.items():
        before = result.get(key)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        result[key] = merged(before, value) if both else value  # type: ignore[arg-type]
    return result


def _parsed(path: Path, text: str) -> Any:
    if path.suffix in (".yaml", ".yml"):
        import yaml  # type: ignore[import-untyped]

        try:
            return yaml.safe_load(text) or {}
        except yaml.YAMLError as error:
            msg = f"{path} is not YAML: {error}"
            raise ConfigError(msg) from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{path} is not TOML: {error}"
        raise ConfigError(msg) from error


def _as_toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {_as_toml(entry)}" for key, entry in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(value)  # a JSON string, number or truth value is TOML's


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _fault(schema: type[BaseModel], detail: ErrorDetails) -> str:
    location = detail["loc"]
    where = _dotted(location) or "the whole"
    if detail["type"] != _UNKNOWN:
        text = detail["msg"].removeprefix("Value error, ")
        return f"{where}: {text[:1].lower()}{text[1:]}"
    parent = _schema_at(schema, location[:-1])
    names = list(parent.model_fields) if parent else []
    listed = f" Keys here: {', '.join(names)}" if names else ""
    return f"{where}: no such key.{_did_you_mean(str(location[-1]), names)}{listed}"


def _dotted(location: Sequence[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _schema_at(schema: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    current: type[BaseModel] | None = schema
    for part in location:
        if isinstance(part, int) or current is None:
            continue
        field = current.model_fields.get(part)
        current = _section_of(field.annotation) if field else None
    return current


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section behind ``Section``, ``Section | None`` or ``tuple[Section, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple, list):
        found = (_section_of(entry) for entry in get_args(annotation))
        return next((section for section in found if section), None)
    return None


def _did_you_mean(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
