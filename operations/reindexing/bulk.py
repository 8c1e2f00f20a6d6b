"""Write and delete under conditions: a newer document is never overwritten."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

import orjson

from opensearch.bulk import MAX_BULK_BYTES, batches_by_size, item_reason
from operations.reindexing.errors import ReindexError
from operations.reindexing.patience import PASSING, Patience

# What is sent here is encoded already.
_PARAMS = {"pipeline": "_none"}
_DUMP = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Action:
    """One write or deletion.

    Attributes:
        kind: ``index`` or ``delete``.
        index: Physical index.
        id: Document.
        body: Its source; ``None`` for a deletion.
        routing: Its routing, if it has one.
        condition: When it may happen: a version, or a sequence number.
    """

    kind: Literal["index", "delete"]
    index: str
    id: str
    body: Mapping[str, Any] | None = None
    routing: str | None = None
    condition: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> bytes:
        """The action as lines of a bulk request."""
        routing = {"routing": self.routing} if self.routing else {}
        target = {"_index": self.index, "_id": self.id, **routing, **self.condition}
        head = orjson.dumps({self.kind: target}, option=_DUMP)
        if self.body is None:
            return head
        return head + orjson.dumps(self.body, default=str, option=_DUMP)


def as_of(seq: int) -> dict[str, Any]:
    """The condition that nothing newer was copied: a source's sequence number as the version."""
    return {"version": seq + 1, "version_type": "external_gte"}


def send(client: Any, patience: Patience, actions: Iterable[Action]) -> set[tuple[str, str]]:
    """Carry out actions, waiting where the cluster is away or too busy.

    Returns:
        Index and id of every action whose condition did not hold.

    Raises:
        ReindexError: OpenSearch refused a document.
    """
    superseded: set[tuple[str, str]] = set()
    for batch in by_bytes(actions):
        superseded |= _send_batch(client, patience, batch)
    return superseded


def by_bytes(actions: Iterable[Action]) -> Iterator[list[tuple[Action, bytes]]]:
    """Batches that stay below what one request may hold."""
    with_lines = ((action, action.lines()) for action in actions)
    return batches_by_size(with_lines, lambda pair: len(pair[1]), MAX_BULK_BYTES)


def _send_batch(
    client: Any, patience: Patience, batch: Sequence[tuple[Action, bytes]]
) -> set[tuple[str, str]]:
    waiting = {(a.index, a.id): lines for a, lines in batch}
    superseded: set[tuple[str, str]] = set()

    def attempt() -> None:
        answer = client.bulk(body=b"".join(waiting.values()), params=_PARAMS)
        failures = []
        for item in answer["items"]:
            ((_, outcome),) = item.items()
            key, status = (outcome["_index"], outcome["_id"]), outcome["status"]
            if status in PASSING:
                continue
            waiting.pop(key, None)
            if status == HTTPStatus.CONFLICT:
                superseded.add(key)
            elif status >= HTTPStatus.BAD_REQUEST and status != HTTPStatus.NOT_FOUND:
                failures.append(f"{key[1]}: {item_reason(outcome)}")
        _refuse(failures)
        if waiting:
            _try_again(len(waiting))

    patience("writing documents", attempt)
    return superseded


def _refuse(failures: Sequence[str]) -> None:
    if failures:
        shown = "; ".join(failures[:_SHOWN])
        msg = (
            f"OpenSearch refused {len(failures)} documents: {shown}. Mend or delete them in the "
            "current index and start the same command again: it continues."
        )
        raise ReindexError(msg)


def _try_again(count: int) -> None:
    from opensearchpy.exceptions import TransportError

    reason = f"{count} documents found no shard that takes them"
    raise TransportError(503, "unavailable_shards_exception", {"error": {"reason": reason}})
