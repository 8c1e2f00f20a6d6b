"""An evaluation as documents for the cluster: one per mode, so that quality can be watched."""

from collections.abc import Iterator
from typing import Any

from training.evaluation.metrics import MEASURES
from training.evaluation.report import Report


def measurements(report: Report) -> Iterator[dict[str, Any]]:
    """One document per mode of a report, in the form of ``opensearch.measurements``."""
    context = report.context
    shared = {
        "@timestamp": context.timestamp.isoformat(),
        "index": context.index,
        "set": report.dataset,
        "queries": len(report.judged),
        "baseline": report.baseline,
        "fusion": context.settings.get("fusion"),
        "dense": context.settings.get("dense"),
        "sparse": context.settings.get("sparse"),
    }
    for mode, result in report.results.items():
        metrics = {_field(name): report.metric(mode, name) for name in MEASURES}
        latency = result.latency
        timing = {
            "p50_ms": latency.p50,
            "p95_ms": latency.p95,
            "p99_ms": latency.p99,
            "queries_per_second": result.queries_per_second,
        }
        yield {**shared, "mode": mode, **metrics, **timing, **_compared(report, mode)}


def _field(metric: str) -> str:
    """``ndcg@10`` as a field name that needs no escaping in a query."""
    return metric.replace("@", "_")


def _compared(report: Report, mode: str) -> dict[str, Any]:
    found = report.comparison(mode)
    if found is None:
        return {}
    return {"difference": found.difference, "p_holm": found.p_holm, "verdict": found.verdict()}
