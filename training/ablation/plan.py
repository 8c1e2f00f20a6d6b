"""From an ablation's axes to its cells, every one checked before the first is trained."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.ablation.config import RECORDS, SCHEMAS, AblationConfig, Axis, read_axes
from training.config import (
    ConfigError,
    EvaluationSet,
    Section,
    TrainSet,
    check_values,
    load_config,
    merged,
    preset_path,
    read_values,
)
from training.run_folder import RunFolder

CELLS, DATA = "cells", "data"
ALL_RECORDS = 1.0
_MAX_NAME = 100


@dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        point: Name of its settings.
        seed: Its seed.
        amount: Share or number of records; None where the data is not varied.
        config: The run's configuration, checked.
        sources: Training sets before a part of them was drawn.
    """

    point: str
    seed: int
    amount: float | int | None
    config: Any
    sources: tuple[TrainSet, ...]

    @property
    def name(self) -> str:
        """Settings and seed."""
        return f"{self.point}, seed {self.seed}"

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        return RunFolder(self.config.output)


@dataclass(frozen=True)
class Point:
    """Cells that differ in nothing but the seed.

    Attributes:
        name: Its settings in words.
        settings: Axis -> value.
        base: Whether these are the base run's own settings.
        cells: One for each seed.
    """

    name: str
    settings: Mapping[str, Any]
    base: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Plan:
    """Everything an ablation trains.

    Attributes:
        config: What was asked for.
        axes: What is varied.
        points: The base first.
        sets: What is measured at the end.
    """

    config: AblationConfig
    axes: tuple[Axis, ...]
    points: tuple[Point, ...]
    sets: tuple[EvaluationSet, ...]

    @property
    def cells(self) -> list[Cell]:
        """All cells, the base's first."""
        return [cell for point in self.points for cell in point.cells]

    @property
    def base(self) -> Point:
        """What the others are compared with."""
        return next(point for point in self.points if point.base)


def build_plan(config: AblationConfig) -> Plan:
    """All cells of an ablation.

    The base run's own settings are always among them: in a full grid as the combination that has
    them, or beside it.

    Raises:
        ConfigError: A key or a value does not fit, or a finished cell has other settings.
    """
    axes = read_axes(config)
    values = _base_values(config)
    own = _checked(config, values, "the base run")
    base = {axis.name: _value_at(own, axis) for axis in axes}
    settings = _distinct([base, *_settings(config, axes, base)])
    points = tuple(
        _point(config, values, axes, one, is_base=number == 0)
        for number, one in enumerate(settings)
    )
    plan = Plan(config, tuple(axes), points, config.sets or tuple(own.data.dev))
    if not plan.sets:
        msg = "sets: the base run names no dev set, so name at least one set to measure on"
        raise ConfigError(msg)
    for cell in plan.cells:
        _refuse_other(cell, SCHEMAS[config.kind])
    return plan


def nested(key: str, value: Any) -> dict[str, Any]:
    """``a.b`` and a value as ``{"a": {"b": value}}``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _base_values(config: AblationConfig) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if config.preset is not None:
        values = read_values(preset_path(config.preset))
    return merged(values, read_values(config.base)) if config.base is not None else values


def _settings(
    config: AblationConfig, axes: Sequence[Axis], base: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    if config.design == "grid":
        names = [axis.name for axis in axes]
        for combination in itertools.product(*(axis.values for axis in axes)):
            yield dict(zip(names, combination, strict=True))
        return
    for axis in axes:
        for value in axis.values:
            yield {**base, axis.name: value}


def _distinct(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for i, one in enumerate(settings) if one not in settings[:i]]


def _value_at(config: Section, axis: Axis) -> Any:
    if axis.key == RECORDS:
        return ALL_RECORDS
    value: Any = config.model_dump(mode="json")
    for part in axis.key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _point(
    config: AblationConfig,
    values: Mapping[str, Any],
    axes: Sequence[Axis],
    settings: Mapping[str, Any],
    *,
    is_base: bool,
) -> Point:
    name = ", ".join(f"{axis}={_shown(value)}" for axis, value in settings.items())
    changed = dict(values)
    amount = None
    for axis in axes:
        if axis.key == RECORDS:
            amount = settings[axis.name]
        # The base's own settings stay unwritten: a key may have no value that a file can hold.
        elif not is_base and settings[axis.name] is not None:
            changed = merged(changed, nested(axis.key, settings[axis.name]))
    cells = tuple(_cell(config, changed, name, seed, amount) for seed in config.seeds)
    return Point(name, settings, is_base, cells)


def _cell(
    config: AblationConfig,
    values: Mapping[str, Any],
    name: str,
    seed: int,
    amount: float | int | None,
) -> Cell:
    slug = _slug(name)
    output = config.output / CELLS / slug / f"seed-{seed}"
    whole = merged(values, {"output": str(output), "training": {"seed": seed}})
    checked = _checked(config, whole, f"the cell {name}")
    sources = tuple(checked.data.train)
    if amount is not None:
        place = config.output / DATA / f"{_slug(str(amount))}-seed-{seed}"
        drawn = tuple(
            source.model_copy(update={"path": _drawn_path(place, number, source.path)})
            for number, source in enumerate(sources)
        )
        data = checked.data.model_copy(update={"train": drawn})
        checked = checked.model_copy(update={"data": data})
    return Cell(name, seed, amount, checked, sources)


def _drawn_path(place: Path, number: int, source: Path) -> Path:
    name = source.name if source.is_dir() else f"{source.name.partition('.')[0]}.jsonl"
    return place / f"{number}-{name}"


def _checked(config: AblationConfig, values: Mapping[str, Any], what: str) -> Any:
    named = " + ".join(str(name) for name in (config.preset, config.base) if name)
    return check_values(values, SCHEMAS[config.kind], source=f"{what} ({named})")


def _refuse_other(cell: Cell, schema: type[Section]) -> None:
    """A cell trained with other settings is no cell of this ablation."""
    folder = cell.folder
    if not folder.config.is_file():
        return
    before = load_config(folder.config, schema).model_dump(mode="json")
    now = cell.config.model_dump(mode="json")
    changed = [key for key in now if before.get(key) != now[key]]
    if changed:
        msg = (
            f"{folder.root} was trained with other settings ({', '.join(changed)}). Choose another "
            "output for this ablation, or remove that folder."
        )
        raise ConfigError(msg)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _slug(text: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._=-]+", "-", text).strip("-")
    if plain == text.replace(", ", "-") and len(plain) <= _MAX_NAME:
        return plain
    # Two values that differ only in what a file name cannot hold stay apart.
    return f"{plain[:_MAX_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
