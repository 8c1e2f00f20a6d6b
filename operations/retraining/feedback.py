"""Logged feedback as records to train on, and as a set of other queries to measure with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from opensearch.index_info import read_index_info
from opensearch.indices import index_exists
from opensearch.translation import translated
from opensearch.workflows.connection import open_cluster
from operations.feedback.collecting import EVALUATION, CollectOptions, collect
from operations.feedback.collecting import RECORDS as RECORDS_FILE
from operations.feedback.errors import NoEvidenceError
from operations.feedback.evidence import EvidenceOptions
from operations.feedback.log_files import FileLog, LogSource
from operations.feedback.relevance import RelevanceOptions
from operations.feedback.splitting import HashSplit, TimeSplit
from operations.feedback.stored_texts import FolderTexts, IndexTexts, TextSource
from operations.feedback.ubi import UbiLog
from operations.feedback.ubi_mappings import EVENTS_INDEX, QUERIES_INDEX
from operations.feedback.windows import Window, parse_moment
from operations.retraining.context import Context
from operations.retraining.digests import digest_of, path_digest
from operations.retraining.job import FeedbackSettings

COLLECTED = "feedback"
RECORDS = f"{COLLECTED}/{RECORDS_FILE}"
FRESH = f"{COLLECTED}/{EVALUATION}"


def collect_feedback(context: Context, folder: Path) -> dict[str, Any]:
    """Write records to learn from and a BEIR folder of other queries, from what is logged now.

    Raises:
        FeedbackError: The log cannot be read, or, where the job has no other records, no query
            has enough evidence.
        SearchBackendError: The cluster failed.
    """
    settings = context.job.collect.feedback
    if settings is None:
        return {}
    options = CollectOptions(
        texts=_texts(context, settings),
        output=folder / COLLECTED,
        window=Window(parse_moment(settings.since) if settings.since else None),
        split=_split(settings),
        evidence=_evidence(context, settings),
        relevance=_relevance(settings),
        eta=settings.eta,
    )
    try:
        found = collect(_source(context, settings), options)
    except NoEvidenceError as error:
        if not context.job.collect.records:
            raise
        context.tell(f"no feedback is used: {error}")
        return {"records": 0, "fresh_queries": 0, "left_out": str(error)}
    return {
        "records": found.training_queries,
        "fresh_queries": found.evaluation_queries,
        "judgements": found.judgements,
        "counts": dict(found.counts),
    }


def feedback_probe(settings: FeedbackSettings | None, url: str | None) -> str | None:
    """Digest of what is logged by now: whether a run would find more than the last one.

    Raises:
        RetrainingError: A log file is not there.
        SearchBackendError: The cluster failed.
    """
    if settings is None:
        return None
    if settings.files:
        return digest_of([path_digest(path) for path in settings.files])
    client = open_cluster(url)
    return digest_of([_extent(client, index) for index in (QUERIES_INDEX, EVENTS_INDEX)])


def _extent(client: Any, index: str) -> list[Any]:
    """How many documents an index of the log has, and when the newest is from."""
    if not index_exists(client, index):
        return []
    newest = {"newest": {"max": {"field": "timestamp"}}}
    body = {"size": 0, "track_total_hits": True, "aggs": newest}
    with translated(f"reading {index}"):
        answer = client.search(index=index, body=body)
    return [answer["hits"]["total"]["value"], answer["aggregations"]["newest"]["value"]]


def _source(context: Context, settings: FeedbackSettings) -> LogSource:
    return FileLog(settings.files) if settings.files else UbiLog(context.client)


def _texts(context: Context, settings: FeedbackSettings) -> TextSource:
    if settings.corpus is not None:
        return FolderTexts(settings.corpus)
    return IndexTexts(context.client, read_index_info(context.client, str(context.job.index)))


def _split(settings: FeedbackSettings) -> HashSplit | TimeSplit:
    if settings.fresh_since:
        return TimeSplit(parse_moment(settings.fresh_since))
    return HashSplit(settings.fresh)


def _evidence(context: Context, settings: FeedbackSettings) -> EvidenceOptions:
    options = EvidenceOptions(index=context.job.index)
    return replace(options, min_clients=settings.min_clients) if settings.min_clients else options


def _relevance(settings: FeedbackSettings) -> RelevanceOptions:
    names = ("min_impressions", "min_clicks")
    given = {name: value for name in names if (value := getattr(settings, name)) is not None}
    return replace(RelevanceOptions(), **given)
