"""``tandem train dense``."""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors, stderr_is_terminal
from training.cli import data_options, step_numbers, trainer_options

if TYPE_CHECKING:
    from training.dense.config import DenseConfig
    from training.dense.fitting import Progress, StepReport

LINE_EVERY_S = 10.0


@click.command()
@trainer_options
@data_options
@click.option("--model", help="Model to start from: preset, folder or hub id.")
@click.option(
    "--floor",
    "floor_sets",
    multiple=True,
    metavar="FOLDER[:SPLIT]",
    help="BEIR folder on which nothing may be lost. Repeatable.",
)
@click.option(
    "--allow-leak", is_flag=True, help="Train even if evaluation queries are in the records."
)
@json_option
@reports_errors
def dense(
    config: Path | None,
    preset: str | None,
    resume: bool,
    allow_leak: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Tune a dense encoder by LoRA, and show what it gains and what it costs.

    CONFIG is a TOML or YAML file; a preset and options can stand for it. The run folder gets the
    adapter, the merged model, curves, a model card and result.json.

    \b
    Examples:
      tandem train dense run.toml
      tandem train dense run.toml --resume
      tandem train dense --preset dense-minilm --train my-set --dev my-set:dev -o runs/mine
      tandem train dense --preset dense-minilm --set training.steps=5 run.toml
    """
    from training.dense.run import Options, train_dense

    # Between two releases of the libraries below us; nothing that a user could mend.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    resolved = _config(config, preset, options)
    with _progress() as progress:
        chosen = Options(resume=resume, allow_leak=allow_leak, progress=progress)
        result = train_dense(resolved, chosen)
    if result is None:  # one of several processes: the first one reports
        return
    if as_json:
        echo_json(result.values)
    else:
        _print(result.folder, result.values)


def _config(config: Path | None, preset: str | None, options: Mapping[str, Any]) -> "DenseConfig":
    from training.config import load_config
    from training.dense.config import DenseConfig

    if config is None and preset is None and not options["train_sets"]:
        msg = "give a configuration file, or --preset with --train and --dev"
        raise click.UsageError(msg)
    return load_config(
        config,
        DenseConfig,
        preset=preset,
        overrides=[*_as_settings(options), *options["overrides"]],
    )


def _as_settings(options: Mapping[str, Any]) -> Iterator[str]:
    from training.config import set_table, setting

    for key in ("model", "output"):
        if options[key]:
            yield setting(key, options[key])
    if options["train_sets"]:
        yield setting("data.train", [{"path": path} for path in options["train_sets"]])
    for key in ("dev", "floor"):
        if options[f"{key}_sets"]:
            yield setting(f"data.{key}", [set_table(text) for text in options[f"{key}_sets"]])


def _print(folder: Path, values: Mapping[str, Any]) -> None:
    click.secho(f"{values['base']['model']} → {folder / 'model'}", bold=True)
    for entry in values["sets"]:
        found = entry["comparison"]
        base, tuned = entry["base"]["ndcg@10"], entry["tuned"]["ndcg@10"]
        change = "" if found["relative"] is None else f" {100 * found['relative']:+.1f} %"
        click.echo(
            f"  {entry['set']:32} {entry['role']:5}  NDCG@10 {base:.4f} → {tuned:.4f}{change}"
            f"  ({found['verdict']})"
        )
    click.echo(
        f"\n{values['verdict'].capitalize()}. Share of the change: {values['merge']['scale']}"
    )
    click.echo(f"Card: {folder / 'README.md'}   Curves: {folder / 'curves.png'}")


class PlainProgress:
    """A line for each stage, each measurement, and every few seconds while training."""

    def __init__(self) -> None:
        self._last = 0.0
        self._dev: float | None = None

    def stage(self, text: str) -> None:
        """Print the stage."""
        note(text)

    def step(self, report: "StepReport") -> None:
        """Print now and then."""
        now = time.monotonic()
        if now - self._last >= LINE_EVERY_S or report.dev != self._dev:
            self._last, self._dev = now, report.dev
            note(f"step {report.step} of {report.total}{numbers(report)}")


def numbers(report: "StepReport") -> str:
    """Loss, learning rate and dev metric, as far as there are any."""
    return step_numbers(
        {"loss": report.loss, "learning_rate": report.learning_rate, "dev": report.dev}
    )


class BarProgress:
    """A bar with loss, learning rate, dev metric and the time left."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task = bar.add_task("reading", total=None, numbers="")

    def stage(self, text: str) -> None:
        """Name the stage; a bar without an end until steps are counted."""
        self._bar.update(self._task, description=text, total=None)

    def step(self, report: "StepReport") -> None:
        """Move the bar."""
        self._bar.update(
            self._task, completed=report.step, total=report.total, numbers=numbers(report)
        )


@contextmanager
def _progress() -> Iterator["Progress"]:
    if not stderr_is_terminal():
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield BarProgress(bar)
