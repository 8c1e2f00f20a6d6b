"""A static training run: both legs, what they reach, and the card."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.comparing import compare_sets
from training.config import load_config, save_config
from training.data.normalising import normalised
from training.dev_sets import DevSet, load_sets
from training.errors import TrainingError
from training.evaluation.metrics import Evaluated
from training.run_folder import RunFolder
from training.static.bigram_baseline import bigram_bm25
from training.static.card import write_card
from training.static.config import StaticConfig
from training.static.fitting import Progress
from training.static.legs import LegData, LegResult, leg_folder, train_leg
from training.static.sources import train_sources


@dataclass(frozen=True)
class StaticResult:
    """What came out.

    Attributes:
        folder: The run's folder.
        values: Content of ``result.json``.
    """

    folder: Path
    values: Mapping[str, Any]


def train_static(config: StaticConfig, progress: Progress, *, resume: bool = False) -> StaticResult:
    """Train a dense and a sparse model without any pretrained one.

    Args:
        config: What to train on what.
        progress: Who is told.
        resume: Go on with a run that was interrupted.

    Raises:
        TrainingError: What is wrong, and what to do about it. Checkpoints stay.
    """
    folder = RunFolder(config.output)
    if resume and folder.result.is_file():
        return StaticResult(folder.root, folder.read_result())
    _open(folder, config, resume=resume)
    _set_threads(config.training.threads)
    begun = time.monotonic()
    progress.stage("reading the dev sets, and BM25 over pairs of characters")
    sets = load_sets((*config.data.dev, *config.data.floor), config.training.seed)
    baseline = {entry.name: bigram_bm25(entry) for entry in sets}
    held_back = frozenset(normalised(text) for entry in sets for text in entry.query_texts)
    data = LegData(train_sources(config.data, held_back), sets)
    left_out = sum(source.left_out() for source in data.sources)
    # From here on the folder holds something worth resuming.
    folder.append_log({"step": 0, "legs": list(config.model.legs)})
    legs = [train_leg(config, leg, data, progress, resume=resume) for leg in config.model.legs]
    values = {**_values(config, sets, baseline, legs), "left_out": left_out}
    values["seconds"] = round(time.monotonic() - begun, 1)
    write_card(folder, values)
    folder.write_result(values)
    for leg in config.model.legs:  # several times the models' size, and of no use any more
        shutil.rmtree(leg_folder(config, leg).checkpoints, ignore_errors=True)
    return StaticResult(folder.root, values)


def _open(folder: RunFolder, config: StaticConfig, *, resume: bool) -> None:
    folder.prepare(resume=resume)
    if resume and folder.config.is_file():
        before = load_config(folder.config, StaticConfig).model_dump(mode="json")
        now = config.model_dump(mode="json")
        changed = [key for key in now if before[key] != now[key] and key != "output"]
        if changed:
            msg = (
                f"a run is resumed with the configuration it began with, but {', '.join(changed)} "
                f"changed. Take {folder.config}, or choose another output."
            )
            raise TrainingError(msg)
    save_config(config, folder.config)


def _set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


def _values(
    config: StaticConfig,
    sets: list[DevSet],
    baseline: Mapping[str, Evaluated],
    legs: list[LegResult],
) -> dict[str, Any]:
    dev = {entry.name for entry in sets[: len(config.data.dev)]}
    roles = {entry.name: "dev" if entry.name in dev else "floor" for entry in sets}
    return {
        "config": config.model_dump(mode="json"),
        "baseline": "BM25 over overlapping pairs of characters",
        "legs": [_leg_values(leg, roles, baseline) for leg in legs],
    }


def _leg_values(
    leg: LegResult, roles: Mapping[str, str], baseline: Mapping[str, Evaluated]
) -> dict[str, Any]:
    compared = compare_sets(roles, baseline, leg.trained)
    return {
        "leg": leg.leg,
        "best_step": leg.best_step,
        "strength": leg.strength,
        "vocabulary": leg.vocabulary,
        "sets": [
            {
                **entry.as_dict(),
                "untrained": leg.start[entry.name].aggregate["ndcg@10"],
                "entries": leg.entries.get(entry.name),
            }
            for entry in compared
        ],
    }
