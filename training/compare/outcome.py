"""Systems side by side on several sets: every figure, and whether it is more than chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from training.compare.learning import Learning
from training.compare.measuring import Measured
from training.compare.systems import System
from training.dev_sets import DevSet
from training.errors import EvaluationError
from training.evaluation.metrics import PRIMARY
from training.evaluation.significance import Comparison, Pair, compare, holm

METRICS = ("ndcg@10", "ndcg@100", "recall@10", "recall@100", "mrr@10")
FEW_QUERIES = 50


@dataclass(frozen=True)
class SetOutcome:
    """All systems on one set.

    Attributes:
        dev_set: The set.
        measured: System's label -> what it reached.
        comparisons: System's label -> metric -> paired comparison with the baseline.
    """

    dev_set: DevSet
    measured: Mapping[str, Measured]
    comparisons: Mapping[str, Mapping[str, Comparison]]

    @property
    def name(self) -> str:
        """Folder and split."""
        return self.dev_set.name


@dataclass(frozen=True)
class Outcome:
    """What a comparison found.

    Attributes:
        systems: In the order named.
        baseline: Label of the system that the others are compared with.
        sets: By set.
        learning: How each system that was trained got there.
        notes: What a reader must know.
    """

    systems: tuple[System, ...]
    baseline: str
    sets: tuple[SetOutcome, ...]
    learning: tuple[Learning, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def others(self) -> list[System]:
        """All systems but the baseline."""
        return [system for system in self.systems if system.label != self.baseline]

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the figures."""
        few = [s for s in self.sets if len(s.dev_set.judged) < FEW_QUERIES]
        found = [*self.notes, *(f"{one.label}: {one.fault}" for one in self.learning if one.fault)]
        return found + [
            f"{s.name} has only {len(s.dev_set.judged)} queries: small differences cannot be told "
            f"from chance; judge {FEW_QUERIES} or more."
            for s in few
        ]

    def sentences(self) -> list[str]:
        """The finding for each set and system, in words."""
        return [
            f"{found.name}: {found.comparisons[system.label][PRIMARY].sentence()}"
            for found in self.sets
            for system in self.others
        ]

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON-ready values."""
        return {
            "baseline": self.baseline,
            "systems": [_system_dict(system) for system in self.systems],
            "sets": [_set_dict(found) for found in self.sets],
            "learning": [one.as_dict() for one in self.learning],
            "summary": self.sentences(),
            "warnings": self.warnings,
        }


def build_outcome(
    systems: Sequence[System],
    sets: Sequence[DevSet],
    measured: Mapping[str, Mapping[str, Measured]],
    *,
    baseline: str,
) -> Outcome:
    """Compare every system with the baseline on every set.

    The randomisation test's p values of a metric are corrected together, after Holm, over all
    systems and sets.

    Args:
        systems: In the order they are to be shown.
        sets: Judged sets.
        measured: System's label -> set's name -> what it reached.
        baseline: Label of one of the systems.
    """
    keys = [(s.name, system.label) for s in sets for system in systems if system.label != baseline]
    found: dict[str, dict[str, dict[str, Comparison]]] = {s.name: {} for s in sets}
    for metric in METRICS:
        compared = [_compare(measured, name, (label, baseline), metric) for name, label in keys]
        corrected = holm([comparison.p_randomisation for comparison in compared])
        for (name, label), comparison, p in zip(keys, compared, corrected, strict=True):
            found[name].setdefault(label, {})[metric] = replace(comparison, p_holm=p)
    outcomes = tuple(
        SetOutcome(s, {y.label: measured[y.label][s.name] for y in systems}, found[s.name])
        for s in sets
    )
    return Outcome(tuple(systems), baseline, outcomes)


def choose_baseline(systems: Sequence[System], wanted: str | None) -> str:
    """Label of the system that the others are compared with: the first, or the one named.

    Raises:
        EvaluationError: None of the systems is called so.
    """
    if wanted is None:
        return systems[0].label
    for system in systems:
        if wanted in (system.label, system.model, str(system.run.root) if system.run else None):
            return system.label
    labels = ", ".join(system.label for system in systems)
    msg = f"no system is called {wanted!r}; there are: {labels}"
    raise EvaluationError(msg)


def _compare(
    measured: Mapping[str, Mapping[str, Measured]], name: str, labels: tuple[str, str], metric: str
) -> Comparison:
    system, baseline = labels
    values = [measured[label][name].evaluated.values(metric) for label in labels]
    return compare(Pair(system, baseline, metric, *values))


def _system_dict(system: System) -> dict[str, Any]:
    return {
        "label": system.label,
        "kind": system.kind,
        "model": system.model,
        "run": str(system.run.root) if system.run else None,
        "documents": system.documents,
    }


def _set_dict(found: SetOutcome) -> dict[str, Any]:
    return {
        "set": found.name,
        "queries": len(found.dev_set.judged),
        "documents": len(found.dev_set.doc_ids),
        "systems": {label: _measured_dict(entry) for label, entry in found.measured.items()},
        "comparisons": {
            label: {metric: comparison.as_dict() for metric, comparison in metrics.items()}
            for label, metrics in found.comparisons.items()
        },
    }


def _measured_dict(entry: Measured) -> dict[str, Any]:
    values: dict[str, Any] = {
        metric: round(value, 6) for metric, value in entry.evaluated.aggregate.items()
    }
    if entry.sparsity is not None:
        sparsity = entry.sparsity
        values["query_dims"] = round(sparsity.query_dims, 3)
        values["document_dims"] = round(sparsity.document_dims, 3)
        values["flops"] = round(sparsity.flops, 4)
    return values
