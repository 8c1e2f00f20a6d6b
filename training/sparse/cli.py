"""``tandem train sparse``."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opensearch.cli.support import echo_json, json_option, note, reports_errors
from training.cli import trainer_options

if TYPE_CHECKING:
    from training.sparse.config import SparseConfig


@click.command()
@trainer_options
@json_option
@reports_errors
def sparse(
    config: Path | None,
    preset: str | None,
    overrides: tuple[str, ...],
    resume: bool,
    as_json: bool,
) -> None:
    """Train a sparse encoder (SPLADE) on your own records.

    CONFIG is a TOML or YAML file; every key is checked before anything is loaded. The run's
    folder gets the model, its card, the curves, the log and result.json.

    \b
    Examples:
      tandem train sparse sparse.toml
      tandem train sparse sparse.toml --resume
      tandem train sparse my.toml --preset sparse-minilm --set training.steps=200
    """
    from training.config import load_config
    from training.sparse.config import SparseConfig
    from training.sparse.run import train_sparse

    resolved = load_config(config, SparseConfig, preset=preset, overrides=overrides)
    with _progress(resolved) as tell:
        result = train_sparse(resolved, resume=resume, tell=tell)
    if as_json:
        echo_json(result)
        return
    _print(result, resolved.output)


@contextmanager
def _progress(config: "SparseConfig") -> Iterator[Any]:
    """A bar on stderr with loss, active entries and the dev metric."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("reading", total=config.training.steps)
        shown = {"dev": "", "loss": ""}

        def tell(entry: dict[str, Any]) -> None:
            if "metric" in entry:
                shown["dev"] = f"dev {entry['metric']:.4f}"
            if "loss" in entry:
                shown["loss"] = f"loss {entry['loss']:.3f}, {entry['active']:.0f} entries"
            bar.update(
                task, completed=entry["step"], description=" ".join(v for v in shown.values() if v)
            )

        yield tell


def _print(result: dict[str, Any], output: Path) -> None:
    for role, before, after in (
        ("dev", result["before"].get("dev", {}), result["after"].get("dev", {})),
        ("floor", result["floor_before"], result["floor_after"]),
    ):
        for name, entry in after.items():
            first = before[name]["metrics"]["ndcg@10"]
            last = entry["metrics"]["ndcg@10"]
            click.echo(
                f"{name:24} {role:6} NDCG@10 {first:.4f} -> {last:.4f}   "
                f"{result['comparisons'][name]['verdict']:14} "
                f"{entry['document_dims']:.0f} entries per document"
            )
    synonyms = result["after"].get("synonyms")
    if synonyms:
        click.echo(
            f"source preservation {synonyms['source_preservation']:.3f}, synonym activation "
            f"{synonyms['synonym_activation']:.3f}, combined {synonyms['combined']:.1f} of 200"
        )
    if result["best_step"] == 0:
        note("Note: nothing was better than the untrained model, so that was kept.")
    click.echo(f"\nModel: {output / 'model'}   (step {result['best_step']})")
    click.echo(f"  tandem index YOUR.jsonl --index docs --sparse {output / 'model'}")
