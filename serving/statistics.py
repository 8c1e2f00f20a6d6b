"""Where the lexical encoder's statistics come from."""

import json
from pathlib import Path
from typing import Any

from opensearch.encoder_store import load_state
from opensearch.index_info import read_index_info
from opensearch.workflows.connection import open_cluster
from serving.errors import ServingError


def read_statistics(path: Path) -> dict[str, Any]:
    """The statistics in a JSON file.

    Raises:
        ServingError: It is no JSON object.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is not valid JSON: {error}"
        raise ServingError(msg) from error
    if not isinstance(state, dict):
        msg = f"{path} holds no statistics of the lexical encoder"
        raise ServingError(msg)
    return state


def statistics_of_index(index: str, url: str | None) -> dict[str, Any]:
    """The statistics an index was built with.

    Raises:
        SearchBackendError: The cluster does not answer, or there is no such index.
        ServingError: The index has no lexical encoder.
    """
    client = open_cluster(url)
    info = read_index_info(client, index)
    lexical = info.sparse is not None and info.sparse.model == "lexical"
    fingerprint = (
        info.sparse.fingerprint if lexical and info.sparse else info.notes.get("word_statistics")
    )
    if not fingerprint:
        msg = f"{index} was built without the lexical encoder: it keeps no statistics"
        raise ServingError(msg)
    return dict(load_state(client, str(fingerprint)))
