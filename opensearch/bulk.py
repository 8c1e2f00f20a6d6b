"""What one request of ``_bulk`` may hold, and why OpenSearch refused an item of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

# Well below http.max_content_length, large enough that the request itself costs nothing.
MAX_BULK_BYTES = 4_000_000


def batches_by_size(items: Iterable[T], size: Callable[[T], int], limit: int) -> Iterator[list[T]]:
    """Batches that stay below a limit; a larger item goes alone."""
    batch: list[T] = []
    total = 0
    for item in items:
        more = size(item)
        if batch and total + more > limit:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += more
    if batch:
        yield batch


def item_reason(item: Mapping[str, Any]) -> str:
    """Why an item was refused, in OpenSearch's words."""
    error = item.get("error") or {}
    cause = error.get("caused_by") or {}
    reasons = [part for part in (error.get("reason"), cause.get("reason")) if part]
    return ": ".join(reasons) or f"{error.get('type', 'no reason given')} ({item['status']})"
