"""``tandem train static``."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors

if TYPE_CHECKING:
    from training.static.config import StaticConfig

LINE_EVERY_S = 10.0


@click.command()
@click.argument(
    "config", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False
)
@click.option("--preset", help="Packaged recipe to start from, e.g. static-korean.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one setting, e.g. training.steps=200. Repeatable.",
)
@click.option(
    "--train",
    "train_sets",
    multiple=True,
    metavar="PATH",
    help="Records to train on: JSONL file or BEIR folder. Repeatable.",
)
@click.option(
    "--dev",
    "dev_sets",
    multiple=True,
    metavar="FOLDER",
    help="BEIR folder whose dev split chooses the best weights. Repeatable.",
)
@click.option("-o", "--output", help="Folder of the run.")
@click.option("--resume", is_flag=True, help="Go on with the run in the output folder.")
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
    import json

    # A JSON string is a TOML string.
    if options["output"]:
        yield f"output={json.dumps(options['output'])}"
    for key, split in (("train", None), ("dev", "dev")):
        if options[f"{key}_sets"]:
            tables = ", ".join(_set_table(path, split) for path in options[f"{key}_sets"])
            yield f"data.{key}=[{tables}]"


def _set_table(path: str, split: str | None) -> str:
    import json

    chosen = f", split = {json.dumps(split)}" if split else ""
    return f"{{path = {json.dumps(path)}{chosen}}}"


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
        parts = [
            ("loss", entry.get("loss"), ".4f"),
            ("lr", entry.get("learning_rate"), ".2e"),
            ("dev NDCG@10", entry.get("dev"), ".4f"),
        ]
        numbers = "".join(f"  {n} {v:{form}}" for n, v, form in parts if v is not None)
        note(f"{leg}: step {entry['step']} of {total}{numbers}")
