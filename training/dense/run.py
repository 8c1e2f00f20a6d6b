"""A dense training run from configuration to finished model, each stage able to resume."""

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from encoders.errors import MissingExtraError
from encoders.model import QUERY_SIDE
from training.comparing import SetComparison, compare_sets
from training.config import load_config, save_config
from training.curves import draw_curves
from training.dense.base_model import BaseModel, prepare_weights
from training.dense.card import write_card
from training.dense.config import DenseConfig
from training.dense.examples import ExampleOptions, build_examples
from training.dense.fitting import Fitted, Job, Progress, Silence, fit
from training.dense.gates import Probes, check_reading
from training.dense.losses import build_loss
from training.dense.measuring import Measurer, mean, primary
from training.dense.merging import (
    ADAPTER_CONFIG,
    Choice,
    check_changed,
    check_merged,
    choose_scale,
    load_checkpoint,
    read_weights,
    scale_adapter,
)
from training.dev_sets import DevSet, load_sets
from training.errors import TrainingError
from training.evaluation.metrics import Evaluated
from training.precision import Precision, choose_precision
from training.run_folder import RunFolder, replacing_folder, write_atomically

logger = logging.getLogger(__name__)

BASELINE = "base.json"


@dataclass(frozen=True)
class Options:
    """How a run is carried out; nothing here changes what comes out.

    Attributes:
        resume: Go on with a run that was interrupted.
        allow_leak: Train on queries that are measured later, too.
        progress: Who is told.
    """

    resume: bool = False
    allow_leak: bool = False
    progress: Progress = field(default_factory=Silence)


@dataclass(frozen=True)
class DenseResult:
    """What came out.

    Attributes:
        folder: The run's folder.
        values: Content of ``result.json``.
    """

    folder: Path
    values: Mapping[str, Any]


@dataclass
class _Run:
    """The parts that every stage needs."""

    config: DenseConfig
    options: Options
    folder: RunFolder
    base: BaseModel
    dev: Sequence[DevSet]
    floor: Sequence[DevSet]
    measurer: Measurer
    probes: Probes
    precision: Precision

    @property
    def sets(self) -> list[DevSet]:
        return [*self.dev, *self.floor]

    @property
    def roles(self) -> dict[str, str]:
        return {s.name: "dev" for s in self.dev} | {s.name: "floor" for s in self.floor}


def train_dense(config: DenseConfig, options: Options | None = None) -> DenseResult | None:
    """Train a dense encoder.

    Args:
        config: What to train on what.
        options: Resuming, leaks, progress.

    Returns:
        What came out; ``None`` in all but the first of several processes.

    Raises:
        TrainingError: What is wrong, and what to do about it. Checkpoints stay.
        MissingExtraError: Libraries of the extra ``train`` are absent.
    """
    require_extra()
    from transformers import set_seed
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # ours shows what matters
    options = options or Options()
    folder = RunFolder(config.output)
    if options.resume and folder.result.is_file():
        return DenseResult(folder.root, folder.read_result())
    if is_first_process():
        _open(folder, config, resume=options.resume)
    set_seed(config.training.seed)
    run = _read(config, options, folder)
    baseline = _measure_base(run) if is_first_process() else None
    fitted = fit(_job(run, baseline), resume=options.resume)
    if not fitted.main or baseline is None:
        return None
    return DenseResult(folder.root, _finish(run, fitted, baseline))


def require_extra() -> None:
    """Refuse to begin without the libraries that only training needs.

    Raises:
        MissingExtraError: One is absent; the message names the extra that brings it.
    """
    for package in ("accelerate", "datasets"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "train")


def is_first_process() -> bool:
    """Whether this is the only process, or the first of those ``torchrun`` started."""
    return os.environ.get("RANK", "0") == "0"


def _open(folder: RunFolder, config: DenseConfig, *, resume: bool) -> None:
    folder.prepare(resume=resume)
    if resume and folder.config.is_file():
        _refuse_other_config(load_config(folder.config, DenseConfig), config)
    save_config(config, folder.config)


def _refuse_other_config(before: DenseConfig, now: DenseConfig) -> None:
    old, new = before.model_dump(mode="json"), now.model_dump(mode="json")
    changed = [key for key in new if old[key] != new[key] and key != "output"]
    if changed:
        msg = (
            f"a run is resumed with the configuration it began with, but {', '.join(changed)} "
            f"changed. Take {now.output / 'config.toml'}, or choose another output."
        )
        raise TrainingError(msg)


def _read(config: DenseConfig, options: Options, folder: RunFolder) -> _Run:
    options.progress.stage("reading data and model")
    dev = load_sets(config.data.dev, config.training.seed)
    floor = load_sets(config.data.floor, config.training.seed)
    _refuse_twice([*dev, *floor])
    return _Run(
        config=config,
        options=options,
        folder=folder,
        base=BaseModel.read(config),
        dev=dev,
        floor=floor,
        measurer=Measurer(config.evaluation.batch_size),
        probes=Probes.of(dev[0]),
        precision=choose_precision(config.training.precision),
    )


def _refuse_twice(sets: Sequence[DevSet]) -> None:
    names = [s.name for s in sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"data.dev and data.floor name {', '.join(twice)} twice; each set counts once"
        raise TrainingError(msg)


def _measure_base(run: _Run) -> dict[str, Evaluated]:
    """The base model on every set, before anything else; kept for a resumed run."""
    model = run.base.load()
    if run.config.adapter.side == "query":
        run.measurer.keep_documents(model, run.sets)
    path = run.folder.root / BASELINE
    if run.options.resume and path.is_file():
        return {n: Evaluated(**v) for n, v in json.loads(path.read_text("utf-8")).items()}
    check_reading(model, run.base.load_encoder(), run.probes)
    run.options.progress.stage("measuring the base model")
    measured = run.measurer.measure(model, run.sets)
    write_atomically(path, json.dumps({name: asdict(found) for name, found in measured.items()}))
    return measured


def _job(run: _Run, baseline: Mapping[str, Evaluated] | None) -> Job:
    config = run.config
    settings = ExampleOptions(
        negatives=config.training.negatives,
        objective=config.loss.objective,
        seed=config.training.seed,
        evaluation=run.sets,
        allow_leak=run.options.allow_leak,
    )
    # Several processes must not write the same files; each can make its rows anew.
    rows = run.folder.root / "rows" / os.environ.get("RANK", "0")
    examples = build_examples(config.data.train, settings, rows)
    model = run.base.load()
    trained = prepare_weights(model, config.adapter, run.base.model.folder)
    logger.info("%s numbers are trained", f"{trained:,}")
    return Job(
        config=config,
        run=run.folder,
        model=model,
        loss=build_loss(config, model, run.base.load),
        examples=examples,
        dev=run.dev,
        measurer=run.measurer,
        precision=run.precision,
        base_dev=_mean_dev(run, baseline) if baseline else None,
        progress=run.options.progress,
    )


def _mean_dev(run: _Run, measured: Mapping[str, Evaluated]) -> float:
    values = primary(measured)
    return mean({s.name: values[s.name] for s in run.dev})


def _finish(run: _Run, fitted: Fitted, baseline: Mapping[str, Evaluated]) -> dict[str, Any]:
    """Scale, save and check what was trained, and write down what it is."""
    started = time.monotonic()
    run.options.progress.stage("choosing how much of the change is taken")
    weights = read_weights(run.base, fitted.checkpoint)
    work = run.base.load()
    gates = _check_weights(run, fitted, weights, work)
    choice, measured = _choose(run, weights, work, baseline)
    weights.put(work, choice.scale)
    run.options.progress.stage("saving")
    _save_adapter(run, fitted, choice, work)
    _save_model(run, work)
    comparisons = compare_sets(run.roles, baseline, measured[choice.scale])
    values = _values(run, fitted, choice, comparisons) | {"gates": gates}
    values["finishing_seconds"] = round(time.monotonic() - started, 1)
    log = run.folder.read_log()
    title = f"{run.base.name} → {run.config.output.name}"
    curves = draw_curves(log, base_dev=_mean_dev(run, baseline), title=title)
    write_atomically(run.folder.curves, curves)
    write_card(run.folder, values, comparisons)
    shutil.rmtree(run.folder.root / "rows", ignore_errors=True)
    run.folder.write_result(values)
    return values


def _check_weights(run: _Run, fitted: Fitted, weights: Any, work: Any) -> dict[str, float]:
    before = run.probes.encode(work)
    attached = load_checkpoint(run.base, fitted.checkpoint)
    after = run.probes.encode(attached)
    gates = {"changed": check_changed(before, after), "largest_weight_change": weights.change()}
    weights.put(work, 1.0)
    gates["adapter_against_merged"] = check_merged(after, run.probes.encode(work))
    return gates


def _choose(
    run: _Run, weights: Any, work: Any, baseline: Mapping[str, Evaluated]
) -> tuple[Choice, dict[float, dict[str, Evaluated]]]:
    before = primary(baseline)
    measured, dev, floor = {}, {}, {}
    for scale in sorted(set(run.config.merge.scales)):
        weights.put(work, scale)
        measured[scale] = run.measurer.measure(work, run.sets)
        values = primary(measured[scale])
        dev[scale] = _mean_dev(run, measured[scale])
        floor[scale] = {
            s.name: values[s.name] / before[s.name] - 1 for s in run.floor if before[s.name]
        }
    return choose_scale(dev, floor, run.config.merge), measured


def _save_adapter(run: _Run, fitted: Fitted, choice: Choice, merged: Any) -> None:
    if not (fitted.checkpoint / ADAPTER_CONFIG).is_file():
        return
    model = load_checkpoint(run.base, fitted.checkpoint)
    scale_adapter(model, choice.scale)
    check_merged(run.probes.encode(model), run.probes.encode(merged))
    with replacing_folder(run.folder.adapter) as folder:
        model.save_pretrained(str(folder), create_model_card=False)


def _save_model(run: _Run, merged: Any) -> None:
    """Save the merged model, and read it back as a search will."""
    with replacing_folder(run.folder.model) as folder:
        merged.save_pretrained(str(folder), create_model_card=False)
        check_reading(merged, _saved(run, folder).load_encoder(), run.probes)
        if run.config.adapter.side == "query":
            pair = {"documents": run.base.identity.as_dict()}
            (folder / QUERY_SIDE).write_text(json.dumps(pair, indent=2) + "\n", encoding="utf-8")


def _saved(run: _Run, folder: Path) -> BaseModel:
    return BaseModel.read(run.config.model_copy(update={"model": str(folder)}))


def _values(
    run: _Run, fitted: Fitted, choice: Choice, comparisons: Sequence[SetComparison]
) -> dict[str, Any]:
    return {
        "kind": "dense",
        "base": run.base.identity.as_dict(),
        "model": _saved(run, run.folder.model).identity.as_dict(),
        "query_only": run.config.adapter.side == "query",
        "verdict": _verdict(fitted, choice, comparisons),
        "steps": fitted.steps,
        "best_step": fitted.best_step,
        "seconds": fitted.seconds,
        "seconds_per_step": fitted.seconds_per_step,
        "precision": run.precision.note,
        "merge": choice.as_dict(),
        "sets": [found.as_dict() for found in comparisons],
        "config": run.config.model_dump(mode="json", exclude_none=True),
        "libraries": _versions(),
    }


def _verdict(fitted: Fitted, choice: Choice, comparisons: Sequence[SetComparison]) -> str:
    dev = [found.ndcg for found in comparisons if found.role == "dev"]
    better = sum(c.verdict() == "better" for c in dev)
    worse = sum(c.verdict() == "worse" for c in dev)
    text = f"better on {better} of {len(dev)} dev sets, worse on {worse}"
    if not choice.keeps_floor:
        text += "; no merge scale keeps the floor sets: mix general data in, or train less"
    if not fitted.best_step:
        text += "; no checkpoint was better than the base model on dev: do not use this one"
    return text


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("torch", "transformers", "sentence-transformers", "peft", "accelerate")
    return {name: version(name) for name in names}
