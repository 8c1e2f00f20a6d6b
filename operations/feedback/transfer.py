"""Many documents in, many documents out: ``_bulk`` and ``_search/scroll``."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import orjson

from opensearch.bulk import MAX_BULK_BYTES
from opensearch.errors import SearchBackendError
from opensearch.translation import innermost_reason, refuse_forbidden, translated
from opensearch.writer import MAX_ID_BYTES

logger = logging.getLogger(__name__)

MAX_BATCH = 1000
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_PAGE = 1000
_KEPT_ALIVE = "10m"

Documents = Iterable[tuple[str, Mapping[str, Any]]]


def store(client: Any, index: str, documents: Documents) -> Iterator[tuple[str, str | None]]:
    """Store documents; one that is there already is replaced.

    Args:
        client: The client.
        index: Its name.
        documents: Id and content.

    Yields:
        The id of each document, and why it was refused, or ``None``.

    Raises:
        SearchBackendError: The cluster failed, or stayed too busy.
    """
    for batch in _batches(documents):
        fitting = {name: lines for name, lines in batch.items() if _fits(name)}
        yield from ((name, _BAD_ID) for name in batch if name not in fitting)
        yield from _send(client, index, fitting)


_BAD_ID = f"the id is empty or longer than {MAX_ID_BYTES} bytes"


def scan(client: Any, index: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All hits of a search in its order, as the index stands at the first of them.

    Args:
        client: The client.
        index: Its name.
        body: Query and sort.

    Raises:
        SearchBackendError: The cluster failed, or the reader paused for more than ten minutes.
    """
    action = f"reading {index}"
    with translated(action):
        answer = client.search(
            index=index, body={"size": _PAGE, **body}, params={"scroll": _KEPT_ALIVE}
        )
    scroll = answer.get("_scroll_id")
    try:
        while hits := answer["hits"]["hits"]:
            _refuse_partial(answer, action)
            yield from hits
            with translated(action):
                answer = client.scroll(body={"scroll_id": scroll, "scroll": _KEPT_ALIVE})
            scroll = answer.get("_scroll_id", scroll)
    finally:
        if scroll:
            with translated(action):
                client.clear_scroll(body={"scroll_id": [scroll]}, params={"ignore": 404})


def _refuse_partial(answer: Mapping[str, Any], action: str) -> None:
    shards = answer.get("_shards", {})
    if shards.get("failed"):
        msg = f"{shards['failed']} of {shards['total']} shards failed while {action}"
        raise SearchBackendError(msg)


def _fits(name: str) -> bool:
    return 0 < len(name.encode()) <= MAX_ID_BYTES


def _batches(documents: Documents) -> Iterator[dict[str, bytes]]:
    """Lines of requests that are neither too long nor too many; the last of equal ids counts."""
    batch: dict[str, bytes] = {}
    size = 0
    for name, body in documents:
        action = {"index": {"_id": name}}
        lines = b"".join(
            orjson.dumps(part, default=str, option=orjson.OPT_APPEND_NEWLINE)
            for part in (action, body)
        )
        if batch and (size + len(lines) > MAX_BULK_BYTES or len(batch) >= MAX_BATCH):
            yield batch
            batch, size = {}, 0
        batch[name] = lines
        size += len(lines)
    if batch:
        yield batch


def _send(client: Any, index: str, batch: Mapping[str, bytes]) -> Iterator[tuple[str, str | None]]:
    waiting = dict(batch)
    action = f"writing to {index}"
    for pause in (*_PAUSES_S, None):
        if not waiting:
            return
        with translated(action):
            answer = client.bulk(body=b"".join(waiting.values()), index=index)
        for outcome in (item["index"] for item in answer["items"]):
            refuse_forbidden([outcome], action)
            if outcome["status"] not in _BUSY:
                waiting.pop(outcome["_id"], None)
                failed = outcome["status"] >= HTTPStatus.BAD_REQUEST
                reason = innermost_reason(outcome.get("error")) if failed else None
                yield outcome["_id"], reason
        if waiting and pause is not None:
            logger.warning("OpenSearch is busy: %d documents wait %.1f s", len(waiting), pause)
            time.sleep(pause)
    if waiting:
        msg = (
            f"OpenSearch stayed too busy for {len(waiting)} documents while {action}. Start the "
            "same command again later: it writes the same documents"
        )
        raise SearchBackendError(msg)
