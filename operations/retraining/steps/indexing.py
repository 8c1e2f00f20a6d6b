"""Re-index and swap: the new index beside the old one, then the alias, then the tags."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from encoders.options import LoadOptions
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.workflows.query_encoders import default_fusion, open_searcher
from operations.reindexing.errors import CheckRefusedError
from operations.reindexing.job import Check, ReindexEvents, ReindexJob
from operations.reindexing.reindex import reindex
from operations.retraining.context import Context
from operations.retraining.errors import RefusedError, RetrainingError
from operations.retraining.job import IndexCheck
from operations.retraining.machine import Done
from operations.retraining.production import PRODUCTION
from operations.retraining.steps.publishing import version_models
from operations.retraining.steps.training import candidate_models
from training.evaluation.datasets import find_split, load_split
from training.evaluation.index_modes import EvaluationOptions, evaluate_index
from training.evaluation.metrics import PRIMARY

_NO_INDEX = "the job names no index"
_OFF = "reindex.swap is off"


def reindex_step(context: Context, folder: Path) -> Done:
    """Build the new index beside the old one and check it; nobody searches it yet.

    Raises:
        RefusedError: The new index answers the judged queries worse.
        ReindexError: The build cannot go on.
        SearchBackendError: The cluster refuses.
    """
    if context.job.index is None:
        return Done({}, skipped=_NO_INDEX)
    report = _reindex(context, swap=False)
    summary = f"{report['to']}: {report['copied']:,} passages, {report['encoded']:,} encoded anew"
    return Done(report, summary=summary)


def swap_step(context: Context, folder: Path) -> Done:
    """Carry over what was written since, swap the alias, and move the tag ``production``.

    Raises:
        RetrainingError: Production is another version than the one the candidate was held against.
        ReindexError: The swap cannot be done.
        RegistryError: The tag cannot be moved.
    """
    job = context.job
    if job.index is not None and not job.reindex.swap:
        return Done({}, skipped=_OFF)
    version = context.result("publish")["version"]
    _refuse_other_production(context, version)
    report = _reindex(context, swap=True) if job.index else {}
    context.registry.promote(job.name, version)
    where = f"{job.index} → {report['to']}, " if report else ""
    return Done(report, summary=f"{where}{job.name} {version} is in production")


def _reindex(context: Context, *, swap: bool) -> dict[str, Any]:
    job, models = context.job, version_models(context)
    trained = candidate_models(context)
    request = ReindexJob(
        index=str(job.index),
        version=context.result("publish")["version"],
        dense=models["dense"] if "dense" in trained else None,
        sparse=models["sparse"] if "sparse" in trained else None,
        load=context.load,
        rate=job.reindex.rate,
        swap=swap,
        keep=job.reindex.keep,
        # Asked once: the swap follows at once, and its last passes change little.
        check=_check(context, job.reindex.check) if job.reindex.check and not swap else None,
    )
    events = ReindexEvents(stage=lambda _, text: context.tell(f"reindex: {text}"))
    try:
        report = reindex(context.client, request, events)
    except CheckRefusedError as error:
        raise RefusedError(str(error)) from error
    for warning in report.warnings:
        context.tell(f"reindex: {warning}")
    return report.as_dict()


def _refuse_other_production(context: Context, version: str) -> None:
    """Somebody promoted another version meanwhile: the comparison no longer holds."""
    evaluated = context.result("collect")["production"]["version"]
    tags = context.registry.tags(context.job.name)
    now = str(tags[PRODUCTION]) if PRODUCTION in tags else None
    if now not in (evaluated, version):
        msg = (
            f"production is {now} by now; the candidate was held against {evaluated or 'none'}. "
            "Start the job with --force to hold it against the version in production."
        )
        raise RetrainingError(msg)


def _check(context: Context, check: IndexCheck) -> Check:
    """Compares the new index with the one in service on judged queries."""

    def look(client: Any, info: IndexInfo) -> str | None:
        current = read_index_info(client, str(context.job.index))
        before = _index_ndcg(client, current, check, context.load)
        after = _index_ndcg(client, info, check, context.load)
        context.tell(f"reindex: {check.mode} NDCG@10 {before:.4f} in service, {after:.4f} anew")
        if after >= before * (1 - check.max_loss):
            return None
        return (
            f"the new index has NDCG@10 {after:.4f} ({check.mode}), the one in service "
            f"{before:.4f}; a loss of at most {100 * check.max_loss:.1f} % is allowed"
        )

    return look


def _index_ndcg(client: Any, info: IndexInfo, check: IndexCheck, load: LoadOptions) -> float:
    judged = load_split(find_split(check.path, check.split))
    searcher = open_searcher(client, info, load)
    options = EvaluationOptions(modes=[check.mode], fusion=default_fusion(info))
    report = evaluate_index(client, replace(info, name=info.physical), searcher, judged, options)
    return report.metric(check.mode, PRIMARY)
