"""Register a connection with ML Commons, once, and keep it as it is described."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from opensearch.capabilities import Capabilities
from opensearch.errors import SearchBackendError
from opensearch.ml.catalogue import DEPLOYED, ModelInfo, list_models
from opensearch.ml.connectors.bodies import (
    connector_body,
    credential,
    model_body,
    model_config,
)
from opensearch.ml.connectors.spec import Connection
from opensearch.ml.connectors.trust import AdministratorNeededError
from opensearch.ml.connectors.wire import wire_format
from opensearch.ml.deployment import delete, deploy, model_state, undeploy
from opensearch.ml.errors import ModelDeadlineError, ModelError
from opensearch.ml.groups import ensure_group
from opensearch.ml.rest import Request, send

DEPLOY_S = 60.0
ASYMMETRIC_SINCE = (3, 5)
_UNTRUSTED = "not matching the trusted connector endpoint regex"
_PRIVATE_REFUSED = "private ip"
Action = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Registered:
    """A connection as the cluster holds it.

    Attributes:
        model_id: By which pipelines and queries name it.
        connector_id: The connector behind it.
        action: What had to be done.
    """

    model_id: str
    connector_id: str
    action: Action


def check_version(connection: Connection, capabilities: Capabilities) -> None:
    """Refuse what the cluster's version lacks, before anything is sent.

    Raises:
        CapabilityError: It does not tell models which side a text is from.
    """
    if wire_format(connection).asymmetric:
        capabilities.require_version(
            ASYMMETRIC_SINCE,
            "One model for both sides (without it: connect twice, with --side document and "
            "--side query)",
        )


def register(client: Any, connection: Connection, *, replace: bool = False) -> Registered:
    """Have a deployed model behind a connection; what stands there already is kept or updated.

    Args:
        client: The OpenSearch client.
        connection: What to connect.
        replace: Point a model of that name to another address.

    Raises:
        ModelError: A model of that name is something else.
        AdministratorNeededError: The cluster does not trust the address.
        SearchBackendError: OpenSearch refused; nothing new is left behind.
    """
    found = _find(client, connection.name)
    if found is None:
        return _create(client, connection)
    model, connector_id = found
    stored = send(client, Request("GET", f"/connectors/{connector_id}"), "reading the connector")
    _check_address(connection, stored, replace=replace)
    return _update(client, connection, Registered(model.id, connector_id, "updated"), stored)


def forget(client: Any, registered: Registered) -> None:
    """Remove a model and its connector."""
    model = next((m for m in list_models(client) if m.id == registered.model_id), None)
    if model is not None:
        delete(client, model)
    _delete_connector(client, registered.connector_id)


def remove(client: Any, model: ModelInfo) -> None:
    """Remove a model, and its connector where no other model speaks through it.

    Whether something uses the model is for the caller to ask.
    """
    connector = _connector_of(client, model)
    delete(client, model)
    others = (other for other in list_models(client) if other.id != model.id)
    if connector and connector not in {_connector_of(client, other) for other in others}:
        _delete_connector(client, connector)


def _connector_of(client: Any, model: ModelInfo) -> str | None:
    """Id of a remote model's connector; none for a model on the nodes."""
    if model.function != "REMOTE":
        return None
    answer = send(client, Request("GET", f"/models/{model.id}"), f"reading {model.label}")
    found = answer.get("connector_id")
    return str(found) if found else None


def set_dimension(client: Any, connection: Connection, model_id: str, dimension: int) -> None:
    """Note the width of the vectors, now that it is known."""
    body = {"model_config": model_config(connection, dimension)}
    send(client, Request("PUT", f"/models/{model_id}", body), f"updating {connection.name}")


def _find(client: Any, name: str) -> tuple[ModelInfo, str] | None:
    """The newest model of a name, with its connector."""
    named = [model for model in list_models(client) if model.name == name]
    if not named:
        return None
    model = named[-1]
    connector_id = _connector_of(client, model)
    if connector_id is None:
        msg = f"{name!r} is a model on the nodes, not a connection; choose another --name"
        raise ModelError(msg)
    return model, connector_id


def _check_address(connection: Connection, stored: Mapping[str, Any], *, replace: bool) -> None:
    old = str(stored["actions"][0]["url"])
    new = str(connector_body(connection)["actions"][0]["url"])
    if _place(old) != _place(new) and not replace:
        msg = (
            f"{connection.name!r} is connected to {old}. With --replace it is pointed to {new}, "
            "and every pipeline that uses it with it; or choose another --name."
        )
        raise ModelError(msg)


def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _create(client: Any, connection: Connection) -> Registered:
    body = {**connector_body(connection), **credential(connection)}
    connector_id = _send_connector(client, Request("POST", "/connectors/_create", body), connection)
    try:
        model_id = _register_model(client, connection, connector_id)
    except SearchBackendError:
        _delete_connector(client, connector_id)
        raise
    registered = Registered(model_id, connector_id, "created")
    try:
        _deploy(client, model_id)
    except SearchBackendError:
        forget(client, registered)
        raise
    return registered


def _register_model(client: Any, connection: Connection, connector_id: str) -> str:
    group = ensure_group(client, connection.name, f"Models at {connection.url}")
    request = Request("POST", "/models/_register", model_body(connection, connector_id, group))
    answer = send(client, request, f"registering {connection.name}")
    return str(answer["model_id"])


def _deploy(client: Any, model_id: str) -> None:
    for model in list_models(client):
        if model.id == model_id:
            deploy(client, model, deadline_s=DEPLOY_S)
    # The task ends a moment before the model's state does, and until then it cannot be changed.
    end = time.monotonic() + DEPLOY_S
    while model_state(client, model_id) not in DEPLOYED:
        if time.monotonic() > end:
            msg = f"The model {model_id} is not deployed after {DEPLOY_S:.0f} s. Try again."
            raise ModelDeadlineError(msg)
        time.sleep(0.1)


def _update(
    client: Any, connection: Connection, registered: Registered, stored: Mapping[str, Any]
) -> Registered:
    authorized = connection.key is not None or _is_authorized(stored)
    wanted = connector_body(connection, authorized=authorized)
    # A stored key cannot be read, so a given one may be new.
    if connection.key is None and _same(stored, wanted):
        _deploy(client, registered.model_id)
        return Registered(registered.model_id, registered.connector_id, "unchanged")
    key = credential(connection) if connection.key is not None else {}
    model = next(m for m in list_models(client) if m.id == registered.model_id)
    undeploy(client, model)  # ML Commons changes no connector that is in use
    request = Request("PUT", f"/connectors/{registered.connector_id}", {**wanted, **key})
    try:
        _send_connector(client, request, connection)
    finally:
        _deploy(client, registered.model_id)
    dimension = connection.dimension or model.config.get("embedding_dimension")
    if connection.kind != "dense" or dimension:
        set_dimension(client, connection, registered.model_id, dimension or 1)
    return registered


def _send_connector(client: Any, request: Request, connection: Connection) -> str:
    try:
        answer = send(client, request, f"connecting to {connection.url}")
    except SearchBackendError as error:
        if any(sign in str(error).lower() for sign in (_UNTRUSTED, _PRIVATE_REFUSED)):
            msg = (
                f"The cluster does not let its nodes call {connection.url}: {error} Run again "
                "with --apply-settings, or have an administrator allow it."
            )
            raise AdministratorNeededError(msg) from error
        raise
    return str(answer.get("connector_id", ""))


def _delete_connector(client: Any, connector_id: str) -> None:
    send(client, Request("DELETE", f"/connectors/{connector_id}"), "removing a connector")


def _is_authorized(stored: Mapping[str, Any]) -> bool:
    return "Authorization" in stored["actions"][0].get("headers", {})


def _same(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a stored connector says what is wanted; the server adds keys and changes cases."""
    flat = ("name", "description", "parameters")
    if any(stored.get(key) != wanted[key] for key in flat):
        return False
    limits = stored.get("client_config", {})
    if any(limits.get(key) != value for key, value in wanted["client_config"].items()):
        return False
    return _action(stored["actions"][0]) == _action(wanted["actions"][0])


def _action(action: Mapping[str, Any]) -> dict[str, Any]:
    return {**action, "action_type": str(action["action_type"]).lower()}
