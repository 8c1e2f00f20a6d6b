"""Encoders whose state was learned from a corpus travel with the cluster.

A lexical encoder is a tokenizer and a table of statistics. The table is stored beside the indices,
so that any machine that reaches the cluster can encode queries for them.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from opensearch.errors import SearchBackendError
from opensearch.indices import index_exists
from opensearch.translation import translated

STORE_INDEX = "tandem-encoders"
_BODY = {
    "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "kind": {"type": "keyword"},
            "model": {"type": "keyword"},
            "state": {"type": "binary"},
        },
    },
}


def save_state(client: Any, fingerprint: str, kind: str, state: Mapping[str, Any]) -> None:
    """Store an encoder's state under its fingerprint; storing it again changes nothing."""
    packed = zlib.compress(json.dumps(state, separators=(",", ":"), ensure_ascii=False).encode(), 9)
    document = {"kind": kind, "model": kind, "state": base64.b64encode(packed).decode()}
    with translated("storing the encoder's state"):
        if not index_exists(client, STORE_INDEX):
            client.indices.create(index=STORE_INDEX, body=_BODY)
        client.index(index=STORE_INDEX, id=fingerprint, body=document, params={"refresh": "true"})


def load_state(client: Any, fingerprint: str) -> dict[str, Any]:
    """Read an encoder's state back.

    Raises:
        SearchBackendError: The cluster holds no encoder of that fingerprint.
    """
    with translated("reading the encoder's state"):
        answer = client.get(index=STORE_INDEX, id=fingerprint, params={"ignore": 404})
    if not answer.get("found"):
        msg = (
            f"The cluster holds no encoder {fingerprint[:12]} in {STORE_INDEX}. Was that index "
            "deleted? Index the corpus again."
        )
        raise SearchBackendError(msg)
    packed = base64.b64decode(answer["_source"]["state"])
    state: dict[str, Any] = json.loads(zlib.decompress(packed))
    return state
