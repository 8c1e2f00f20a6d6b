"""Where measurements are kept in the cluster: search quality over time, and the server's load."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from opensearch.errors import SearchBackendError
from opensearch.translation import refuse_forbidden, translated

QUALITY_INDEX = "tandem-quality"
SERVING_INDEX = "tandem-serving"

_KEYWORDS: Mapping[str, tuple[str, ...]] = {
    QUALITY_INDEX: ("index", "set", "mode", "baseline", "verdict", "dense", "sparse", "fusion"),
    SERVING_INDEX: ("server", "route", "dense", "sparse"),
}
_NUMBERS: Mapping[str, tuple[str, ...]] = {
    QUALITY_INDEX: (
        *("ndcg_10", "ndcg_100", "mrr_10", "recall_1", "recall_10", "recall_100", "map_10"),
        *("accuracy_1", "p_10", "p50_ms", "p95_ms", "p99_ms", "queries_per_second"),
        *("difference", "p_holm"),
    ),
    SERVING_INDEX: ("p50_ms", "p95_ms", "max_ms", "seconds"),
}
_COUNTS: Mapping[str, tuple[str, ...]] = {
    QUALITY_INDEX: ("queries",),
    SERVING_INDEX: ("requests", "errors", "refused", "texts", "tokens"),
}


def measurement_body(index: str) -> dict[str, Any]:
    """Settings and mapping of a measurement index; unknown fields are kept but not indexed."""
    fields: dict[str, Any] = {"@timestamp": {"type": "date"}}
    fields |= {name: {"type": "keyword"} for name in _KEYWORDS[index]}
    fields |= {name: {"type": "double"} for name in _NUMBERS[index]}
    fields |= {name: {"type": "long"} for name in _COUNTS[index]}
    return {
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
        "mappings": {"dynamic": False, "properties": fields},
    }


def store_measurements(client: Any, index: str, documents: Iterable[Mapping[str, Any]]) -> int:
    """Append measurements; the index is made on the first call.

    Args:
        client: The client.
        index: ``QUALITY_INDEX`` or ``SERVING_INDEX``.
        documents: Each with its ``@timestamp``.

    Returns:
        How many were written.

    Raises:
        SearchBackendError: The cluster refused; measurements that were refused are not kept.
    """
    lines = [line for document in documents for line in (_CREATE, orjson.dumps(document))]
    if not lines:
        return 0
    with translated(f"storing measurements in {index}"):
        if not client.indices.exists(index=index):
            # 400 is what the loser of a race to create it gets.
            client.indices.create(index=index, body=measurement_body(index), ignore=400)
        answer = client.bulk(body=b"\n".join(lines) + b"\n", index=index)
    parts = [item["create"] for item in answer["items"]]
    refuse_forbidden(parts, f"storing measurements in {index}")
    refused = [part["error"] for part in parts if "error" in part]
    if refused:
        msg = f"{len(refused)} measurements were refused by {index}: {refused[0].get('reason')}"
        raise SearchBackendError(msg)
    return len(lines) // 2


_CREATE = b'{"create":{}}'
