"""Write encoded chunks by ``_bulk``: byte-aware requests, back-off, every failure attributed."""

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import numpy as np
import orjson

from ingest.records import EncodedChunk
from opensearch.bulk import MAX_BULK_BYTES, batches_by_size, item_reason
from opensearch.errors import BulkError, ForbiddenError, WritesBlockedError
from opensearch.exact_values import exact_values
from opensearch.index_info import IndexInfo
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD
from opensearch.translation import forbidden_message, refuse_errors, translated

logger = logging.getLogger(__name__)

RETRIES = 6
FIRST_PAUSE_S = 0.5
_BUSY = frozenset({429, 503})
_BLOCK = 64
# One longer id would make OpenSearch refuse the whole request.
MAX_ID_BYTES = 512
_TOO_LONG = f"the id is longer than {MAX_ID_BYTES} bytes"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """Outcome of one write: how many were stored, and which were refused and why."""

    stored: int
    failures: tuple[tuple[str, str], ...] = ()


def write_chunks(client: Any, info: IndexInfo, records: Sequence[EncodedChunk]) -> WriteResult:
    """Store chunks; the same chunk written again replaces itself.

    Raises:
        BulkError: OpenSearch stayed too busy after several pauses.
    """
    failures = {r.chunk.id: _TOO_LONG for r in records if _id_is_too_long(r.chunk.id)}
    storable = [record for record in records if record.chunk.id not in failures]
    # The companion first: a chunk counts as stored as soon as the main index holds it.
    for batch in _requests(_companion_writes(info, storable)):
        failures.update(_send(client, batch))
    whole = (record for record in storable if record.chunk.id not in failures)
    for batch in _requests(_main_writes(info, whole)):
        failures.update(_send(client, batch))
    return WriteResult(len(records) - len(failures), tuple(failures.items()))


def _id_is_too_long(chunk_id: str) -> bool:
    return len(chunk_id.encode()) > MAX_ID_BYTES


def document_body(info: IndexInfo, record: EncodedChunk) -> dict[str, Any]:
    """One document of the main index: pure."""
    chunk = record.chunk
    body: dict[str, Any] = {
        "doc_id": chunk.doc_id,
        "ordinal": chunk.ordinal,
        "level": chunk.level,
        "start": chunk.start,
        "end": chunk.end,
        "title": chunk.title,
        "text": chunk.text,
        "metadata": dict(chunk.metadata),
        "fingerprint": chunk.fingerprint(),
        "encoder": record.encoder,
    }
    if chunk.parent is not None:
        body["parent"] = chunk.parent
    for field, text in (("exact", chunk.passage), ("exact_title", chunk.title)):
        if values := exact_values(text):
            body[field] = values
    if record.dense is not None:
        body[DENSE_FIELD] = record.dense
    if record.sparse_named and info.sparse_field == "rank_features":
        body[SPARSE_FIELD] = dict(record.sparse_named)
    return body


def seismic_document(record: EncodedChunk) -> dict[str, Any]:
    """One document of the SEISMIC companion: pure; tokens are vocabulary ids."""
    chunk, sparse = record.chunk, record.sparse
    assert sparse is not None
    tokens = dict(zip(map(str, sparse.ids.tolist()), sparse.weights.tolist(), strict=True))
    return {
        "doc_id": chunk.doc_id,
        "level": chunk.level,
        TOKENS_FIELD: tokens,
        "metadata": dict(chunk.metadata),
    }


@dataclass(frozen=True, slots=True)
class _Write:
    """One index action, ready to send."""

    index: str
    chunk_id: str
    lines: bytes


def _main_writes(info: IndexInfo, records: Iterable[EncodedChunk]) -> Iterator[_Write]:
    for record in records:
        yield _write(info.physical, record.chunk.id, document_body(info, record))


def _companion_writes(info: IndexInfo, records: Iterable[EncodedChunk]) -> Iterator[_Write]:
    for record in records:
        if info.seismic and record.sparse is not None and len(record.sparse):
            yield _write(info.seismic, record.chunk.id, seismic_document(record))


def _write(index: str, chunk_id: str, body: Mapping[str, Any]) -> _Write:
    action = {"index": {"_index": index, "_id": chunk_id}}
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
    return _Write(index, chunk_id, orjson.dumps(action, option=options) + _document(body, options))


def _document(body: Mapping[str, Any], options: int) -> bytes:
    try:
        return orjson.dumps(body, default=str, option=options)
    except TypeError:  # an integer beyond 64 bits, which OpenSearch then refuses by name
        return json.dumps(body, default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else str(value)


def _requests(writes: Iterable[_Write]) -> Iterator[list[_Write]]:
    return batches_by_size(writes, lambda write: len(write.lines), MAX_BULK_BYTES)


def _send(client: Any, batch: list[_Write]) -> dict[str, str]:
    """Send one batch, items that were refused for lack of room again; return what failed."""
    failures: dict[str, str] = {}
    pause = FIRST_PAUSE_S
    for _ in range(RETRIES):
        outcomes = _bulk(client, batch)
        busy = [w for w in batch if outcomes[w.index, w.chunk_id]["status"] in _BUSY]
        waiting = {(w.index, w.chunk_id) for w in busy}
        for key, item in outcomes.items():
            _refuse_forbidden(item)
            if item["status"] >= 300 and key not in waiting:
                failures[key[1]] = item_reason(item)
        if not busy:
            return failures
        logger.warning("OpenSearch is busy: %d documents wait %.1f s", len(busy), pause)
        time.sleep(pause)
        batch, pause = busy, pause * 2
    msg = (
        f"OpenSearch stayed too busy for {len(batch)} documents after {RETRIES} tries. Start the "
        "same command again later: what is stored already is skipped."
    )
    raise BulkError(msg, [(write.chunk_id, "too busy") for write in batch])


def _bulk(client: Any, batch: Sequence[_Write]) -> dict[tuple[str, str], dict[str, Any]]:
    """Outcome of every action by index and id: the answer's order is not the request's."""
    from opensearchpy.exceptions import TransportError

    with translated("writing documents"):
        try:
            answer = client.bulk(body=b"".join(w.lines for w in batch), params=_PARAMS)
        except TransportError as error:
            if error.status_code not in _BUSY:
                raise
            return {(w.index, w.chunk_id): {"status": 429} for w in batch}
    items = (item["index"] for item in answer["items"])
    return {(item["_index"], item["_id"]): item for item in items}


_PARAMS = {
    "filter_path": "items.*._index,items.*._id,items.*.status,items.*.error.type,"
    "items.*.error.reason,items.*.error.caused_by",
    "pipeline": "_none",  # what is written here is encoded already
}


def _refuse_forbidden(item: Mapping[str, Any]) -> None:
    """A missing permission is nothing that a document could be set aside for, nor is a block.

    Raises:
        ForbiddenError: The user may not write to that index.
        WritesBlockedError: Nobody may, for a while.
    """
    if item["status"] == HTTPStatus.FORBIDDEN:
        if (item.get("error") or {}).get("type") == _BLOCKED:
            raise WritesBlockedError(blocked_message(item["_index"]))
        action = f"writing to {item['_index']}"
        raise ForbiddenError(forbidden_message(action, item_reason(item)))


_BLOCKED = "cluster_block_exception"


def blocked_message(index: str) -> str:
    """What to tell a writer whose index has been closed to writes."""
    return (
        f"Writes to {index} are refused: another version of the index is taking its place or has "
        "taken it, or somebody froze it. Start the same command again in a moment: it goes on with "
        "the version that is current then, and what is stored already is skipped."
    )


def stored_fingerprints(client: Any, info: IndexInfo, ids: Sequence[str]) -> dict[str, str]:
    """Which of the given chunk ids are stored already, with what fingerprint."""
    if not ids:
        return {}
    with translated(f"looking up what {info.name} holds"):
        answer = client.mget(
            index=info.physical, body={"ids": [*ids]}, params={"_source": "fingerprint"}
        )
    refuse_errors(answer["docs"], f"looking up what {info.name} holds")
    # A document that another client wrote has no fingerprint, so it counts as different.
    found = (d for d in answer["docs"] if d.get("found"))
    return {d["_id"]: d.get("_source", {}).get("fingerprint", "") for d in found}


def delete_surplus_chunks(client: Any, info: IndexInfo, chunk_counts: Mapping[str, int]) -> None:
    """Remove what is left of documents that have become shorter.

    Args:
        client: The client.
        info: The index.
        chunk_counts: How many chunks each document now has.
    """
    for doc_id, count in chunk_counts.items():
        # The last first, and the main index last: broken off anywhere, the next run finds the rest.
        for chunk_id in reversed(_surplus(client, info, doc_id, count)):
            for physical in (info.seismic, info.physical):
                if physical is not None:
                    _delete(client, physical, chunk_id)


def _delete(client: Any, physical: str, chunk_id: str) -> None:
    from opensearchpy.exceptions import AuthorizationException

    with translated(f"removing {chunk_id}"):
        try:
            client.delete(index=physical, id=chunk_id, params={"ignore": 404})
        except AuthorizationException as error:
            if error.error != _BLOCKED:
                raise
            raise WritesBlockedError(blocked_message(physical)) from error


def _surplus(client: Any, info: IndexInfo, doc_id: str, count: int) -> list[str]:
    """Stored chunks of a document from ``count`` on; ids count up without gaps."""
    found: list[str] = []
    while True:
        first = count + len(found)
        block = [f"{doc_id}#{ordinal}" for ordinal in range(first, first + _BLOCK)]
        stored = stored_fingerprints(client, info, block)
        found += [chunk_id for chunk_id in block if chunk_id in stored]
        if len(stored) < _BLOCK:
            return found
