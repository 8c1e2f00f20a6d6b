"""Collect: records, feedback as it is now, and what is in production."""

from pathlib import Path
from typing import Any

from operations.retraining.context import Context
from operations.retraining.errors import RetrainingError
from operations.retraining.feedback import FRESH, RECORDS, collect_feedback, feedback_probe
from operations.retraining.machine import Done
from operations.retraining.production import find_production
from training.data.sources import DataSource


def collect_step(context: Context, folder: Path) -> Done:
    """Count the records, take feedback as it is now, and note what is in production.

    Raises:
        RetrainingError: There are fewer records than the job asks for.
        TrainingDataError: A record is faulty.
        SearchBackendError: The index or the logged feedback cannot be read.
    """
    collect = context.job.collect
    counts = {
        str(source): sum(1 for _ in source.records())
        for source in (DataSource(entry.path, entry.split) for entry in collect.records)
    }
    probe = feedback_probe(collect.feedback, context.url)
    feedback = collect_feedback(context, folder)
    total = sum(counts.values()) + feedback.get("records", 0)
    if total < collect.minimum:
        msg = (
            f"{total:,} records are fewer than the {collect.minimum:,} that collect.minimum asks "
            "for. Start the job again when there are more."
        )
        raise RetrainingError(msg)
    production = find_production(context)
    result: dict[str, Any] = {
        "sources": counts,
        "records": total,
        "feedback": feedback,
        "fresh_queries": feedback.get("fresh_queries", 0),
        "probe": probe,
        "production": production.as_dict(),
    }
    names = (RECORDS, FRESH)
    files = tuple(name for name in names if (folder / name).exists())
    return Done(result, files, f"{total:,} records; in production: {production.named()}")
