"""What an ablation can be told: a base run, axes, seeds."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, Field, model_validator

from training.config import ConfigError, EvaluationSet, Section, load_config
from training.dense.config import DenseConfig
from training.sparse.config import SparseConfig
from training.static.config import StaticConfig

Kind: TypeAlias = Literal["dense", "sparse", "static"]
Metric: TypeAlias = Literal["ndcg@10", "ndcg@100", "recall@10", "recall@100", "mrr@10"]

SCHEMAS: Mapping[Kind, type[Section]] = MappingProxyType(
    {"dense": DenseConfig, "sparse": SparseConfig, "static": StaticConfig}
)
# The amount of training data: a share (up to 1.0) or a number of records.
RECORDS = "records"
SEED, OUTPUT = "training.seed", "output"
ALIASES: Mapping[Kind, Mapping[str, str]] = MappingProxyType(
    {
        "dense": {
            "negatives": "training.negatives",
            "learning_rate": "training.learning_rate",
            "rank": "adapter.rank",
        },
        "sparse": {"negatives": "training.negatives", "learning_rate": "training.rates.backbone"},
        "static": {"learning_rate": "training.learning_rate"},
    }
)


class AblationConfig(Section):
    """An ablation.

    Attributes:
        kind: Which trainer.
        base: Configuration file of the run that is varied; ``preset`` can stand for it or below it.
        preset: Packaged configuration.
        output: Folder of the cells and of the report.
        design: ``grid`` trains every combination, ``one-at-a-time`` changes one axis at a time.
        seeds: Every cell is trained with each.
        metric: What tables and plots show.
        sets: Measured at the end; by default the base run's dev sets.
        grid: Axis -> its values. An axis is ``records``, ``negatives``, ``learning_rate``, ``rank``
            or any key of the run's configuration.
    """

    kind: Kind
    base: Path | None = None
    preset: str | None = None
    output: Path = Path("runs/ablation")
    design: Literal["grid", "one-at-a-time"] = "grid"
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    metric: Metric = "ndcg@10"
    sets: tuple[EvaluationSet, ...] = ()
    grid: dict[str, Any] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> "AblationConfig":
        if self.base is None and self.preset is None:
            msg = "base: name the configuration file of the run that is varied, or a preset"
            raise ValueError(msg)
        if len(set(self.seeds)) < len(self.seeds):
            msg = "seeds: each seed counts once"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Axis:
    """What is varied.

    Attributes:
        name: As it stands in the file.
        key: Dotted key of the run's configuration, or ``records``.
        values: Its values, in order.
    """

    name: str
    key: str
    values: tuple[Any, ...]


def load_ablation(path: Path) -> AblationConfig:
    """Read an ablation file.

    Raises:
        ConfigError: It cannot be read, or values do not fit: one line for each fault.
    """
    return load_config(path, AblationConfig)


def read_axes(config: AblationConfig) -> list[Axis]:
    """The axes of the grid, each key checked against the trainer's configuration.

    Raises:
        ConfigError: A key is unknown (the message names the nearest), or has no list of values.
    """
    known = setting_names(SCHEMAS[config.kind])
    axes = [_axis(config.kind, name, value, known) for name, value in _flat(config.grid)]
    keys = [axis.key for axis in axes]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        msg = f"grid: {', '.join(twice)} is varied by two axes; keep one"
        raise ConfigError(msg)
    return axes


def setting_names(schema: type[BaseModel], prefix: str = "") -> list[str]:
    """Dotted names of all settings of a configuration."""
    names = []
    for name, entry in schema.model_fields.items():
        inner = _section_in(entry.annotation)
        names.append(prefix + name)
        if inner is not None:
            names += setting_names(inner, f"{prefix}{name}.")
    return names


def _axis(kind: Kind, name: str, values: Any, known: Sequence[str]) -> Axis:
    key = RECORDS if name == RECORDS else ALIASES[kind].get(name, name)
    if key in (SEED, OUTPUT):
        other = "seeds = [0, 1, 2]" if key == SEED else "output of the ablation"
        msg = f"grid.{name} cannot be varied; there is {other} for that"
        raise ConfigError(msg)
    if key != RECORDS and key not in known:
        raise ConfigError(_unknown(kind, name, known))
    if not isinstance(values, list) or not values:
        msg = (
            f"grid.{name}: write its values as a list, for example {name} = [1, 2], not {values!r}"
        )
        raise ConfigError(msg)
    if any(values[i] in values[:i] for i in range(len(values))):
        msg = f"grid.{name}: a value comes twice in {values!r}"
        raise ConfigError(msg)
    if key == RECORDS:
        _check_amounts(values)
    return Axis(name, key, tuple(values))


def _check_amounts(values: Sequence[Any]) -> None:
    for value in values:
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        share = isinstance(value, float) and 0 < value <= 1
        if not plain or not (share or (isinstance(value, int) and value >= 2)):
            msg = (
                f"grid.{RECORDS}: {value!r} is no amount; write a share such as 0.5 (1.0 is all) "
                "or a whole number of records from 2 on"
            )
            raise ConfigError(msg)


def _unknown(kind: Kind, name: str, known: Sequence[str]) -> str:
    short = [RECORDS, *ALIASES[kind]]
    near = difflib.get_close_matches(name, [*short, *known], n=1, cutoff=0.5)
    ends = [key for key in known if key.endswith(f".{name}")]
    found = [*ends, *near][:1]
    hint = f" Did you mean {found[0]!r}?" if found else ""
    return (
        f"grid.{name}: a {kind} run has no such setting.{hint} Short names: {', '.join(short)}; "
        "any key of the run's configuration can be varied, for example "
        f"{known[-1] if not found else found[0]!r}."
    )


def _flat(grid: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``training.steps = [1, 2]`` is a nested table in TOML; quoted or not, it means the same."""
    for name, value in grid.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section behind ``Section`` or ``Section | None``; lists of sections are values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        found = (_section_in(entry) for entry in get_args(annotation))
        return next((section for section in found if section), None)
    return None
