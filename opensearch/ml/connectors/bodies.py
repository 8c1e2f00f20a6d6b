"""Request bodies that register a connection with ML Commons: pure functions."""

import json
from collections.abc import Mapping
from typing import Any

from opensearch.ml.catalogue import NOTES_KEY
from opensearch.ml.connectors.spec import Connection
from opensearch.ml.connectors.wire import endpoint, wire_format

# ML Commons wants a credential even where the server wants none.
NO_KEY = "none"
HIDDEN = "********"
_CONTENT_TYPES = {"query": "query", "document": "passage"}


def connector_body(connection: Connection, *, authorized: bool | None = None) -> dict[str, Any]:
    """The connector, without its credential.

    Args:
        connection: What to connect.
        authorized: Whether requests carry a key; by default where one is given.
    """
    wire = wire_format(connection)
    action: dict[str, Any] = {
        "action_type": "predict",
        "method": "POST",
        "url": endpoint(connection.url, wire.path),
        "headers": _headers(connection.key is not None if authorized is None else authorized),
        "request_body": wire.body,
    }
    if wire.before is not None:
        action["pre_process_function"] = wire.before
    if wire.after is not None:
        action["post_process_function"] = wire.after
    return {
        "name": connection.name,
        "description": f"{connection.kind} model at {connection.url} (connected by Tandem)",
        "version": "1",
        "protocol": "http",
        "parameters": {**wire.parameters, **_chosen(connection)},
        "client_config": connection.limits.as_client_config(),
        "actions": [action],
    }


def credential(connection: Connection, *, hidden: bool = False) -> dict[str, Any]:
    """The part of a connector that must not be shown."""
    if connection.key is None:
        return {"credential": {"key": NO_KEY}}
    return {"credential": {"key": HIDDEN if hidden else connection.key.get_secret_value()}}


def model_body(connection: Connection, connector_id: str, group_id: str) -> dict[str, Any]:
    """The model that asks the connector."""
    return {
        "name": connection.name,
        "function_name": "remote",
        "description": f"{connection.kind} model at {connection.url} (connected by Tandem)",
        "model_group_id": group_id,
        "connector_id": connector_id,
        "model_config": model_config(connection, connection.dimension),
    }


def model_config(connection: Connection, dimension: int | None) -> dict[str, Any]:
    """What the cluster knows of the model's output, and what Tandem notes of its origin."""
    wire = wire_format(connection)
    notes = {
        "url": connection.url,
        "kind": connection.kind,
        "flavour": connection.flavour,
        "model": connection.model,
        "side": connection.side if connection.flavour == "tandem" else None,
        "fingerprint": connection.fingerprint,
    }
    known = {name: value for name, value in notes.items() if value is not None}
    config: dict[str, Any] = {
        "model_type": "remote",
        "all_config": json.dumps({NOTES_KEY: known}, sort_keys=True),
        # 2.19 wants both of every remote model, whatever its kind.
        "embedding_dimension": dimension or 1,
        "framework_type": "sentence_transformers",
        "additional_config": {"is_asymmetric": wire.asymmetric},
    }
    if connection.kind == "dense":
        config["additional_config"]["space_type"] = "innerproduct"
    return config


def _headers(authorized: bool) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    return {**headers, "Authorization": "Bearer ${credential.key}"} if authorized else headers


def _chosen(connection: Connection) -> Mapping[str, str]:
    chosen = {"model": connection.model} if connection.model else {}
    if connection.flavour == "tandem" and connection.side != "both":
        chosen["content_type"] = _CONTENT_TYPES[connection.side]
    return chosen
