"""Requests to ML Commons, with its faults turned into ours."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearch.ml.errors import ModelError
from opensearch.ml.faults import cure
from opensearch.translation import reason, translated

logger = logging.getLogger(__name__)

ROOT = "/_plugins/_ml"
# A model's chunks fill a small heap faster than its garbage is collected: 429 until it is.
PATIENCE_S = 60.0
_TOO_BUSY = 429
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: HTTP method.
        path: Below ``/_plugins/_ml``, with a leading slash.
        body: JSON-ready, or bytes.
        timeout_s: How long to wait for the answer; ``None`` is the client's own time.
    """

    method: str
    path: str
    body: Any = None
    timeout_s: float | None = None


def send(client: Any, request: Request, action: str) -> Any:
    """Send a request to ML Commons.

    Args:
        client: The OpenSearch client.
        request: What to send.
        action: What is being done, for messages: ``"deploying my-model"``.

    Raises:
        ModelError: ML Commons refused, for a reason that has a known cure.
        SearchBackendError: Anything else that went wrong.
    """
    from opensearchpy.exceptions import TransportError

    with translated(action):
        try:
            return _patiently(client, request)
        except TransportError as error:
            known = cure(reason(error))
            if known is None:
                raise
            msg = f"OpenSearch failed while {action}: {reason(error)}. {known}"
            raise ModelError(msg) from error


def _patiently(client: Any, request: Request) -> Any:
    """Send again what the cluster was too busy for: a refused request has had no effect."""
    from opensearchpy.exceptions import TransportError

    end = time.monotonic() + PATIENCE_S
    pause = _FIRST_PAUSE_S
    params = {} if request.timeout_s is None else {"request_timeout": request.timeout_s}
    while True:
        try:
            return client.transport.perform_request(
                request.method, ROOT + request.path, params=dict(params), body=request.body
            )
        except TransportError as error:
            if error.status_code != _TOO_BUSY or time.monotonic() + pause > end:
                raise
            logger.info("OpenSearch is too busy (%s); trying again", reason(error))
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def search(client: Any, path: str, body: Mapping[str, Any], action: str) -> list[dict[str, Any]]:
    """Hits of one of ML Commons' own searches; none where nothing was ever registered."""
    from opensearchpy.exceptions import NotFoundError

    with translated(action):
        try:
            answer = client.transport.perform_request("POST", f"{ROOT}{path}/_search", body=body)
        except NotFoundError:
            return []
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return hits
