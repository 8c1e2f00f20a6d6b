"""Clean and split: records to train on, and a dev set that shares nothing with them."""

from collections.abc import Iterator
from pathlib import Path

from operations.retraining.context import Context
from operations.retraining.feedback import FRESH, RECORDS
from operations.retraining.machine import Done
from training.config import EvaluationSet
from training.data.preparation import DEV, REPORT, TRAIN, Preparation, prepare
from training.data.sources import DataSource

_FILES = (TRAIN, DEV, REPORT)


def prepare_step(context: Context, folder: Path) -> Done:
    """Merge equal queries, take out what is measured later, split by documents, mix.

    Raises:
        TrainingDataError: Records are faulty, or nothing is left of them.
    """
    settings = context.job.prepare
    todo = Preparation(
        dev_share=settings.dev_share,
        seed=settings.seed,
        near=settings.near,
        against=[DataSource(entry.path, entry.split) for entry in measured_sets(context)],
        mixed={DataSource(entry.path, entry.split): entry.share for entry in settings.mixed},
    )
    found = prepare(list(_sources(context)), folder, todo)
    summary = (
        f"{found.read:,} records read, {found.train:,} to train on, {found.dev_queries:,} dev "
        f"queries, {sum(found.set_aside.values()):,} set aside"
    )
    for sentence in found.notes:
        context.tell(f"prepare: {sentence}")
    return Done(found.as_dict(), tuple(n for n in _FILES if (folder / n).exists()), summary)


def measured_sets(context: Context) -> list[EvaluationSet]:
    """Everything that production and candidate are measured on: never trained on."""
    evaluate = context.job.evaluate
    fresh = context.step_folder("collect") / FRESH
    extra = [EvaluationSet(path=fresh)] if context.result("collect").get("fresh_queries") else []
    return [*evaluate.frozen, *evaluate.guard, *extra]


def _sources(context: Context) -> Iterator[DataSource]:
    for entry in context.job.collect.records:
        yield DataSource(entry.path, entry.split)
    records = context.step_folder("collect") / RECORDS
    if records.is_file() and records.stat().st_size:
        yield DataSource(records)
