"""The outcome of an evaluation: every number of it, and what it means in words."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from training.evaluation.datasets import NO_RELEVANT, JudgedQueries
from training.evaluation.metrics import DEEPEST_CUTOFF, LABELS, PRIMARY
from training.evaluation.results import HYBRID, ModeResult
from training.evaluation.significance import Comparison

# Below this many queries a difference of a few hundredths is rarely told from chance.
FEW_QUERIES = 50
_PACKAGES = ("tandem-search", "ir-measures", "numpy", "scipy", "opensearch-py")


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


@dataclass(frozen=True)
class Context:
    """Where the numbers of a report come from.

    Attributes:
        index: Name of the index that was searched.
        settings: What was asked for: encoders, weights, depths; JSON-ready, without secrets.
        warnings: What the caller knows and a reader must.
        versions: Of the software; the caller adds the cluster's.
        timestamp: When the evaluation ended, UTC.
    """

    index: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Report:
    """Modes side by side over one evaluation set.

    Attributes:
        context: Index, settings, versions, time.
        judged: The evaluation set.
        results: Mode -> its result, in the order asked for.
        baseline: The mode that the others are compared with.
        best_leg: The best mode that is no hybrid; None if ``hybrid`` was not run.
        comparisons: Each mode against the baseline, then hybrid against the best leg.
    """

    context: Context
    judged: JudgedQueries
    results: Mapping[str, ModeResult]
    baseline: str
    best_leg: str | None
    comparisons: tuple[Comparison, ...]

    @property
    def dataset(self) -> str:
        """Name of the evaluation set."""
        return self.judged.name

    @property
    def best_mode(self) -> str:
        """The mode with the highest NDCG@10; the first of equals."""
        return max(self.results, key=lambda mode: self.metric(mode, PRIMARY))

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        return [*self.context.warnings, *_own_warnings(self)]

    def metric(self, mode: str, metric: str) -> float:
        """A mode's mean of a metric."""
        return self.results[mode].evaluated.aggregate[metric]

    def comparison(
        self, system: str, metric: str = PRIMARY, *, baseline: str | None = None
    ) -> Comparison | None:
        """A mode against the baseline (or another); None where they were not compared."""
        other = baseline or self.baseline
        return next(
            (
                c
                for c in self.comparisons
                if (c.system, c.baseline, c.metric) == (system, other, metric)
            ),
            None,
        )

    def headline(self) -> str:
        """The outcome in two or three plain sentences."""
        return " ".join(_headline(self))

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values: ``index``, ``queries`` and ``modes`` first."""
        return {
            "index": self.context.index,
            "queries": len(self.judged),
            "modes": {mode: _mode_dict(result) for mode, result in self.results.items()},
            "dataset": self.dataset,
            "baseline": self.baseline,
            "best_mode": self.best_mode,
            "best_single_leg": self.best_leg,
            "summary": self.headline(),
            "significance": [comparison.as_dict() for comparison in self.comparisons],
            "warnings": self.warnings,
            "left_out": dict(self.judged.left_out),
            "settings": dict(self.context.settings),
            "versions": dict(self.context.versions),
            "timestamp": self.context.timestamp.astimezone(UTC).isoformat(timespec="seconds"),
        }


def _mode_dict(result: ModeResult) -> dict[str, Any]:
    metrics = {name: round(value, 6) for name, value in result.evaluated.aggregate.items()}
    return {
        **metrics,
        "latency_ms": result.latency.as_dict(),
        "encode_ms": result.encode_latency.as_dict(),
        "search_ms": result.search_latency.as_dict(),
        "queries_per_second": round(result.queries_per_second, 2),
        "threads": result.load.threads,
    }


def _headline(report: Report) -> list[str]:
    best, leg = report.best_mode, report.best_leg
    over = f"Over {len(report.judged)} judged queries"
    over += f" of {report.dataset}" if report.dataset else ""
    score = f"{LABELS[PRIMARY]} {report.metric(best, PRIMARY):.3f}"
    sentences = [f"{over}, {best} ranks best: {score}{_against_baseline(report)}."]
    rivals = _rivals_within_noise(report)
    if rivals:
        sentences.append(f"The distance to {' and '.join(rivals)} is within noise.")
    hybrid = report.comparison(HYBRID, baseline=leg) if leg else None
    if hybrid is not None and leg != report.baseline:
        sentences.append(f"Against the best single leg, {hybrid.sentence()}")
    return sentences


def _against_baseline(report: Report) -> str:
    found = report.comparison(report.best_mode)
    if found is None:
        return ""
    noise = ", within noise" if found.verdict() == "within noise" else ""
    return f" against {found.baseline_mean:.3f} for {found.baseline}{noise} ({found.evidence()})"


def _rivals_within_noise(report: Report) -> list[str]:
    """Where the baseline itself ranks best: the modes that may be as good."""
    return [
        c.system
        for c in report.comparisons
        if c.metric == PRIMARY
        and c.baseline == report.best_mode == report.baseline
        and c.verdict() == "within noise"
    ]


def _own_warnings(report: Report) -> list[str]:
    return [
        *_warnings_of_the_set(report.judged),
        *(w for mode, result in report.results.items() for w in _warnings_of_a_mode(mode, result)),
        *_warnings_of_depth(report),
        *_warnings_of_the_hybrid(report),
    ]


def _warnings_of_the_set(judged: JudgedQueries) -> list[str]:
    # Queries without judgements are no fault: a BEIR folder holds those of all its splits.
    warnings = []
    if irrelevant := judged.left_out.get(NO_RELEVANT):
        warnings.append(f"{irrelevant} judged queries are left out: {NO_RELEVANT}.")
    if len(judged) < FEW_QUERIES:
        warnings.append(
            f"Only {len(judged)} queries: small differences cannot be told from chance; "
            f"judge {FEW_QUERIES} or more."
        )
    return warnings


def _warnings_of_a_mode(mode: str, result: ModeResult) -> list[str]:
    total = len(result.judged)
    warnings = [f"{mode}: {note} ({n} of {total} queries)." for note, n in result.notes.items()]
    empty = sum(not hits for hits in result.run.values())
    if empty:
        warnings.append(f"{mode}: {empty} of {total} queries found nothing and count as 0.")
    return warnings


def _warnings_of_depth(report: Report) -> list[str]:
    deepest = max(len(hits) for r in report.results.values() for hits in r.run.values())
    if deepest >= DEEPEST_CUTOFF:
        return []
    return [
        f"No query returned more than {deepest} documents, so metrics at 100 are measured at "
        f"depth {deepest}; ask for 100 hits if the corpus has them."
    ]


def _warnings_of_the_hybrid(report: Report) -> list[str]:
    found = report.comparison(HYBRID, baseline=report.best_leg) if report.best_leg else None
    if found is None or found.difference >= 0:
        return []
    how = "significantly" if found.significant() else "within noise"
    return [
        f"{HYBRID} is below its best leg, {found.baseline}, by {-found.difference:.3f} NDCG@10 "
        f"({how}): give that leg more weight, or leave the weak leg out."
    ]
