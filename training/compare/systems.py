"""What is compared: run folders, model folders, names of models, BM25."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import ValidationError

from encoders.base import EncoderIdentity
from encoders.export.folder import is_export, read_description
from encoders.lexical import NAME as LEXICAL
from encoders.model import QUERY_SIDE
from encoders.options import LoadOptions
from encoders.prior import is_prior
from encoders.service_address import is_service
from opensearch.workflows.model_packages import model_kind
from training.config import EvaluationSet, read_values
from training.errors import TrainingError
from training.run_folder import RunFolder
from training.sparse.run import START

Kind: TypeAlias = Literal["dense", "sparse", "lexical", "bm25"]
BM25 = "bm25"
# Folders that say nothing of the run they belong to.
_PLAIN_NAMES = frozenset({"model", "adapter"})


@dataclass(frozen=True)
class System:
    """Something that ranks documents.

    Attributes:
        label: What it is called in tables.
        kind: How it ranks.
        model: What loads it: folder, preset, hub id or service.
        documents: The model that encodes its documents, where queries alone were tuned.
        log: Folder with the log of its training.
        run: Folder of the run it came from.
        best_step: The step its weights are from.
        base: What it was trained from, where that can be measured.
    """

    label: str
    kind: Kind
    model: str
    documents: str | None = None
    log: RunFolder | None = None
    run: RunFolder | None = None
    best_step: int | None = None
    base: str | None = None

    @property
    def sparse(self) -> bool:
        """Whether it gives token weights."""
        return self.kind in ("sparse", "lexical")


@dataclass(frozen=True)
class RunSets:
    """The judged sets of a run.

    Attributes:
        dev: They chose its checkpoint.
        floor: They watched what was lost.
        seed: Of the drawing of documents and queries.
    """

    dev: tuple[EvaluationSet, ...]
    floor: tuple[EvaluationSet, ...]
    seed: int


def read_systems(
    names: Sequence[str], options: LoadOptions, *, with_base: bool = False
) -> list[System]:
    """Find out what names stand for; a static run is two systems.

    Args:
        names: Run folders, model folders, presets, hub ids, services, ``bm25``, ``lexical``.
        options: How models are loaded.
        with_base: Put what the runs were trained from before them.

    Raises:
        TrainingError: A run is not complete, or a folder is neither run nor model.
        EncoderError: There is no such model.
    """
    found = [system for name in names for system in _read(name, options)]
    if with_base:
        bases = dict.fromkeys(s.base for s in found if s.base is not None and s.base not in names)
        found = [*(system for base in bases for system in _read(base, options)), *found]
    return _with_distinct_labels(found)


def run_sets(systems: Sequence[System]) -> RunSets | None:
    """The sets of the first system that came out of a run; None where there is none.

    Raises:
        TrainingError: The run's configuration names no sets as it should.
    """
    run = next((system.run for system in systems if system.run is not None), None)
    return None if run is None else sets_of_run(run)


def sets_of_run(run: RunFolder) -> RunSets:
    """Dev and floor sets of a run's saved configuration.

    Raises:
        TrainingError: The file cannot be read, or names no sets as it should.
    """
    values = read_values(run.config)
    data = values.get("data", {})
    try:
        return RunSets(
            dev=tuple(EvaluationSet.model_validate(entry) for entry in data.get("dev", ())),
            floor=tuple(EvaluationSet.model_validate(entry) for entry in data.get("floor", ())),
            seed=int(values.get("training", {}).get("seed", 0)),
        )
    except (ValidationError, AttributeError, TypeError) as error:
        msg = f"{run.config} does not name its dev and floor sets as a run does: {error}"
        raise TrainingError(msg) from error


def _read(name: str, options: LoadOptions) -> list[System]:
    if name == BM25:
        return [System(BM25, "bm25", BM25)]
    if name == LEXICAL:
        return [System(LEXICAL, "lexical", LEXICAL)]
    if is_service(name):
        return [System(name, "dense", name)]
    folder = Path(name).expanduser()
    if _is_run(folder):
        return _of_run(RunFolder(folder))
    _refuse_other_folder(folder)
    kind = _kind(folder, name, options)
    return [System(_label(folder) if folder.is_dir() else name, kind, name, _pair_of(folder))]


def _kind(folder: Path, name: str, options: LoadOptions) -> Kind:
    if is_export(folder):
        return read_description(folder).settings.graph.kind
    return model_kind(name, options)


def _is_run(folder: Path) -> bool:
    run = RunFolder(folder)
    return run.config.is_file() and not (folder / "modules.json").is_file()


def _refuse_other_folder(folder: Path) -> None:
    if not folder.is_dir():
        return
    signs = ("modules.json", "config.json", "adapter_config.json")
    known = is_export(folder) or is_prior(folder)
    if not known and not any((folder / sign).is_file() for sign in signs):
        msg = (
            f"{folder} is neither the folder of a run (config.toml, result.json) nor that of a "
            "model (modules.json or config.json). Name one of those, a preset, a hub id, bm25 or "
            "lexical."
        )
        raise TrainingError(msg)


def _of_run(run: RunFolder) -> list[System]:
    result = run.read_result()
    label = _label(run.root)
    if "legs" in result:
        return [_static_leg(run, label, leg) for leg in result["legs"]]
    if result.get("kind") == "dense":
        documents = result["base"]["model"] if result.get("query_only") else None
        base = result["base"]["model"]
        system = System(label, "dense", str(run.model), documents, base=base)
    elif "recipe" in result:
        start = run.root / START
        base = str(start) if start.is_dir() else None
        system = System(label, "sparse", str(run.model), base=base)
    else:
        msg = f"{run.result} is not what a training run writes; name its model's folder instead"
        raise TrainingError(msg)
    return [replace(system, log=run, run=run, best_step=result.get("best_step"))]


def _static_leg(run: RunFolder, label: str, leg: Mapping[str, Any]) -> System:
    kind = leg["leg"]
    return System(
        label=f"{label}/{kind}",
        kind=kind,
        model=str(run.root / kind),
        log=RunFolder(run.root / "training" / kind),
        run=run,
        best_step=leg.get("best_step"),
    )


def _pair_of(folder: Path) -> str | None:
    """The model whose documents a query-only model searches."""
    path = folder / QUERY_SIDE
    if not path.is_file():
        return None
    try:
        return str(EncoderIdentity(**json.loads(path.read_text("utf-8"))["documents"]).model)
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} does not say whose documents the model searches"
        raise TrainingError(msg) from error


def _label(folder: Path) -> str:
    folder = folder.resolve()
    if folder.name == START:
        return f"{folder.parent.name}/{START}"
    return folder.parent.name if folder.name in _PLAIN_NAMES else folder.name


def _with_distinct_labels(systems: Sequence[System]) -> list[System]:
    """Labels that come twice are replaced by what was named, then numbered."""
    counts = Counter(system.label for system in systems)
    named = [s if counts[s.label] == 1 else replace(s, label=_longer(s)) for s in systems]
    seen: Counter[str] = Counter()
    found = []
    for system in named:
        seen[system.label] += 1
        number = seen[system.label]
        label = system.label if number == 1 else f"{system.label} ({number})"
        found.append(replace(system, label=label))
    return found


def _longer(system: System) -> str:
    folder = system.run.root if system.run else Path(system.model)
    if not folder.is_dir():
        return system.label
    whole = folder.resolve()
    name = f"{whole.parent.name}/{whole.name}"
    return f"{name}/{system.kind}" if system.label.endswith(f"/{system.kind}") else name
