"""Report: what came of the run, beside it and, if asked for, in the cluster."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from operations.retraining.context import Context
from operations.retraining.evaluation import LegEvaluation, SetFinding
from operations.retraining.machine import Done
from operations.retraining.report import SUMMARY, write_report
from operations.retraining.state import stamp
from operations.retraining.steps.evaluating import evaluated_legs

_METRICS = ("ndcg@10", "ndcg@100", "mrr@10", "recall@10", "recall@100", "map@10")


def report_step(context: Context, folder: Path) -> Done:
    """Write the report, and keep the measurements in the cluster where the job says so."""
    write_report(context.folder, context.job, context.state)
    stored = 0
    if context.job.store:
        from opensearch.measurements import QUALITY_INDEX, store_measurements

        stored = store_measurements(context.client, QUALITY_INDEX, measurements(context))
    return Done({"stored": stored}, summary=SUMMARY)


def measurements(context: Context) -> Iterator[dict[str, Any]]:
    """A document for each leg and set, in the form of ``opensearch.measurements``."""
    for leg in evaluated_legs(context) if context.result("evaluate") else ():
        for entry in leg.sets:
            yield _measurement(context, leg, entry)


def _measurement(context: Context, leg: LegEvaluation, entry: SetFinding) -> dict[str, Any]:
    values: dict[str, Any] = {
        "@timestamp": stamp(),
        "index": context.job.index or context.job.name,
        "set": entry.name,
        "mode": leg.leg,
        "baseline": "production",
        "p50_ms": leg.cost.query_ms,
        "version": context.result("publish").get("version"),
        **{name.replace("@", "_"): entry.metrics[name] for name in _METRICS},
    }
    if entry.finding is not None:
        values["queries"] = entry.finding.queries
        values["difference"] = entry.finding.difference
    return values
