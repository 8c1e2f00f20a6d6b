"""From a job to the configuration of a trainer: the trainer's own, with the job's data in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.retraining.job import Recipe, TrainSettings, rebased
from training.config import (
    ConfigError,
    EvaluationSet,
    Section,
    check_values,
    merged,
    preset_path,
    read_values,
)

# What the job itself says: these keys of a trainer's configuration are taken from it.
_DATA = ("train", "dev")
_PLACEHOLDER = {"path": "-"}


@dataclass(frozen=True)
class TrainingData:
    """What a trainer is given.

    Attributes:
        records: File of records.
        dev: Sets that choose the checkpoint.
        output: The run's folder.
        model: Model to start from, instead of the recipe's own.
    """

    records: Path
    dev: Sequence[EvaluationSet]
    output: Path
    model: str | None = None


def training_config(train: TrainSettings, data: TrainingData) -> Section:
    """The trainer's configuration.

    Args:
        train: Resolved by :func:`resolved_settings`.
        data: What is trained on.

    Raises:
        ConfigError: The trainer cannot do with this: a dense recipe without a dev set, say.
    """
    values: dict[str, Any] = {
        "output": str(data.output),
        "data": {
            "train": [{"path": str(data.records)}],
            "dev": [entry.model_dump(mode="json", exclude_none=True) for entry in data.dev],
        },
    }
    if data.model is not None:
        values["model"] = data.model
    schema = schema_of(train.recipe)
    return check_values(merged(train.settings, values), schema, source=f"train ({train.recipe})")


def resolved_settings(train: TrainSettings, base: Path) -> dict[str, Any]:
    """Preset, file and inline settings as one, checked, with paths below ``base``.

    Raises:
        ConfigError: Something in them cannot be read, or does not fit.
    """
    _refuse_own_data(train.settings)
    values: dict[str, Any] = read_values(preset_path(train.preset)) if train.preset else {}
    if train.config is not None:
        values = merged(values, read_values(train.config))
    values = merged(values, train.settings)
    placeholders = {"output": "-", "data": {name: [_PLACEHOLDER] for name in _DATA}}
    checked = check_values(
        merged(values, placeholders), schema_of(train.recipe), source="train.settings"
    )
    return _plain(rebased(checked, base), values, base)


def settings_paths(train: TrainSettings) -> Iterator[Path]:
    """Files and folders that the trainer's settings name."""
    data = train.settings.get("data", {})
    for text in _texts(data):
        if Path(text).is_absolute() and Path(text).exists():
            yield Path(text)


def schema_of(recipe: Recipe) -> type[Section]:
    """What a trainer's configuration must look like."""
    if recipe == "dense":
        from training.dense.config import DenseConfig

        return DenseConfig
    if recipe == "sparse":
        from training.sparse.config import SparseConfig

        return SparseConfig
    from training.static.config import StaticConfig

    return StaticConfig


def trained_legs(train: TrainSettings) -> tuple[str, ...]:
    """Which legs come out: ``dense``, ``sparse``, or both.

    Args:
        train: Resolved by :func:`resolved_settings`.
    """
    if train.recipe != "static":
        return (train.recipe,)
    return tuple(train.settings["model"]["legs"])


def _refuse_own_data(settings: Mapping[str, Any]) -> None:
    data = settings.get("data", {})
    own = [f"data.{name}" for name in _DATA if isinstance(data, Mapping) and name in data]
    own += ["output"] if "output" in settings else []
    if own:
        msg = (
            f"train.settings: {', '.join(own)} come from the job itself: records from [collect], "
            "dev sets from [prepare] and train.dev, the output from the run's folder. Leave them "
            "out."
        )
        raise ConfigError(msg)


def _plain(config: Section, given: Mapping[str, Any], base: Path) -> dict[str, Any]:
    values: dict[str, Any] = config.model_dump(mode="json", exclude_none=True)
    del values["output"]
    for name in _DATA:
        del values["data"][name]
    model = given.get("model")
    if isinstance(model, str) and (base / model).is_dir():
        values["model"] = str(base / model)
    return values


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _texts(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _texts(entry)
