"""Export: every trained leg in every form the job asks for, each compared with PyTorch."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from encoders.export.options import ExportOptions
from encoders.export.targets import ExportRequest, export_to
from encoders.options import LoadOptions
from encoders.registry import read_model
from operations.retraining.context import Context
from operations.retraining.gate import Verdict, parity_rule
from operations.retraining.machine import Done
from operations.retraining.steps.training import candidate_models
from training.dev_sets import DevSet

# Compared first, judged afterwards: the gate's own limit is a rule with a figure.
_ANY_LOSS = 1.0


def export_step(context: Context, folder: Path) -> Done:
    """Export the candidate; nothing is written where an export is not its model at all.

    Raises:
        GateError: The runtime of ML Commons refuses a graph.
        EncoderError: A model cannot be exported.
    """
    settings = context.job.export
    if not settings.targets:
        return Done({"exports": {}}, skipped="export.targets names none")
    options = ExportOptions(settings.precision, _ANY_LOSS, _texts(context))
    reports = {}
    for leg, model in candidate_models(context).items():
        for target in settings.targets:
            found = read_model(str(model), LoadOptions(), leg)
            report = export_to(found, folder / f"{leg}-{target}", ExportRequest(target, options))
            reports[f"{leg}-{target}"] = report.as_dict()
    return Done({"exports": reports}, tuple(reports), ", ".join(reports))


def parity_step(context: Context, folder: Path) -> Done:
    """Hold every export against the gate's limit."""
    rules = tuple(_rules(context))
    if not rules:
        return Done({}, skipped="nothing was exported")
    verdict = Verdict(rules)
    for rule in rules:
        context.tell(f"parity: {rule.result}: {rule.text}")
    return Done(verdict.as_dict(), summary="compared", refused=verdict.reason or None)


def exported_folders(context: Context) -> dict[str, Path]:
    """Name -> folder of each export."""
    folder = context.step_folder("export")
    return {name: folder / name for name in context.result("export")["exports"]}


def _rules(context: Context) -> Iterator[Any]:
    own = ExportOptions(context.job.export.precision).allowed_loss
    limit = context.job.gate.max_parity_loss
    for name, report in context.result("export")["exports"].items():
        loss = max(0.0, 1 - report["parity"]["min_cosine"])
        yield parity_rule(name, loss, own if limit is None else limit)


def _texts(context: Context) -> tuple[str, ...]:
    first = context.job.evaluate.frozen[0]
    dev_set = DevSet.load(first.path, first.split)
    count = context.job.export.texts
    return (*islice(dev_set.query_texts, count), *islice(dev_set.documents(), count))
