"""``tandem train static``."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors
from training.cli import data_options, step_numbers, trainer_options

if TYPE_CHECKING:
    from training.static.config import StaticConfig

LINE_EVERY_S = 10.0


@click.command()
@trainer_options
@data_options
@json_option
@reports_errors
def static(
    config: Path | None, preset: str | None, resume: bool, as_json: bool, **options: Any
) -> None:
    """Train static encoders from your corpus alone, in minutes, on a CPU.

    CONFIG is a TOML or YAML file; a preset and options can stand for it. The run folder gets
    dense/ and sparse/, two models that load like any other, curves, a card and result.json.

    \b
    Examples:
      tandem train static run.toml
      tandem train static run.toml --resume
      tandem train static --preset static-korean --train my-set --dev my-set -o runs/mine
      tandem index my-set --dense runs/mine/dense --sparse runs/mine/sparse
    """
    from training.static.run import train_static

    result = train_static(_config(config, preset, options), LineProgress(), resume=resume)
    if as_json:
        echo_json(result.values)
    else:
        _print(result.folder, result.values)


def _config(config: Path | None, preset: str | None, options: Mapping[str, Any]) -> "StaticConfig":
    from training.config import load_config
    from training.static.config import StaticConfig

    if config is None and not options["train_sets"]:
        msg = "give a configuration file, or --train with --dev and -o"
        raise click.UsageError(msg)
    overrides = [*_as_settings(options), *options["overrides"]]
    return load_config(config, StaticConfig, preset=preset, overrides=overrides)


def _as_settings(options: Mapping[str, Any]) -> Iterator[str]:
    from training.config import set_table, setting

    if options["output"]:
        yield setting("output", options["output"])
    if options["train_sets"]:
        yield setting("data.train", [{"path": path} for path in options["train_sets"]])
    if options["dev_sets"]:
        yield setting("data.dev", [set_table(text, "dev") for text in options["dev_sets"]])


def _print(folder: Path, values: Mapping[str, Any]) -> None:
    for leg in values["legs"]:
        click.secho(f"{leg['leg']} → {folder / leg['leg']}", bold=True)
        for entry in leg["sets"]:
            base, trained = entry["base"]["ndcg@10"], entry["tuned"]["ndcg@10"]
            change = f" ({100 * (trained / base - 1):+.1f} %)" if base else ""
            click.echo(
                f"  {entry['set']:32} NDCG@10 {trained:.4f}, untrained {entry['untrained']:.4f}, "
                f"BM25 over pairs {base:.4f}{change}"
            )
    click.echo(f"\nCard: {folder / 'README.md'}")


class LineProgress:
    """A line for each stage and measurement, and one every few seconds while training."""

    def __init__(self) -> None:
        self._last = 0.0

    def stage(self, text: str) -> None:
        """Print the stage."""
        note(text)

    def step(self, leg: str, entry: Mapping[str, Any], total: int) -> None:
        """Print now and then; measurements always."""
        now = time.monotonic()
        if "dev" not in entry and now - self._last < LINE_EVERY_S:
            return
        self._last = now
        note(f"{leg}: step {entry['step']} of {total}{step_numbers(entry)}")
