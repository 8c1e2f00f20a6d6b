"""Connect a model server to a cluster: trust, register, test, compare."""

from dataclasses import dataclass, replace
from typing import Any, cast

from encoders.base import DenseEncoder, SparseEncoder
from opensearch.capabilities import detect
from opensearch.errors import SearchBackendError, SettingsError
from opensearch.ml.connectors.bodies import connector_body, credential, model_body
from opensearch.ml.connectors.checking import Check, check_dense, check_rerank, check_sparse
from opensearch.ml.connectors.registration import (
    Registered,
    check_version,
    forget,
    register,
    set_dimension,
)
from opensearch.ml.connectors.spec import Connection
from opensearch.ml.connectors.trust import (
    ENDPOINTS,
    PRIVATE,
    AdministratorNeededError,
    Trust,
    apply_settings,
    missing_settings,
    read_trust,
    settings_call,
)
from opensearch.ml.connectors.wire import endpoint, wire_format


@dataclass(frozen=True, slots=True)
class ConnectJob:
    """What to connect, and how far to go.

    Attributes:
        connection: The server and its model.
        encoder: The local encoder it must agree with.
        apply_settings: Change cluster settings where the nodes may not call the server.
        replace: Point an existing model of that name to another address.
    """

    connection: Connection
    encoder: DenseEncoder | SparseEncoder | None = None
    apply_settings: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True)
class ConnectReport:
    """What was done.

    Attributes:
        registered: Ids, and whether the model is new.
        check: What the model answered.
        settings: Cluster settings that were changed.
    """

    registered: Registered
    check: Check
    settings: dict[str, Any]


def connect_model(client: Any, job: ConnectJob) -> ConnectReport:
    """Register a model server with ML Commons and see that it answers.

    A new model that does not answer is removed again.

    Raises:
        CapabilityError: The cluster's version lacks what the connection needs.
        AdministratorNeededError: The cluster must be told first to trust the server.
        ModelError: The server does not answer as its kind should.
        VerificationError: It serves another model than the local encoder.
    """
    connection = _identified(job)
    check_version(connection, detect(client))
    settings = _have_trust(client, connection, apply=job.apply_settings)
    registered = register(client, connection, replace=job.replace)
    try:
        check = _check(client, registered, connection, job.encoder)
        if connection.dimension is None and check.dimension is not None:
            set_dimension(client, connection, registered.model_id, check.dimension)
    except SearchBackendError:
        if registered.action == "created":
            forget(client, registered)
        raise
    return ConnectReport(registered, check, settings)


def planned(connection: Connection) -> dict[str, Any]:
    """What connecting would send to a cluster that trusts nothing, its key hidden."""
    address = endpoint(connection.url, wire_format(connection).path)
    nothing = Trust(layers={ENDPOINTS: "persistent", PRIVATE: "persistent"})
    return {
        "PUT /_cluster/settings (only what is missing)": missing_settings(nothing, address),
        "POST /_plugins/_ml/connectors/_create": {
            **connector_body(connection),
            **credential(connection, hidden=True),
        },
        "POST /_plugins/_ml/models/_register": model_body(
            connection, "<connector_id>", "<model_group_id>"
        ),
    }


def _identified(job: ConnectJob) -> Connection:
    """The connection with what its local encoder tells about it."""
    connection, encoder = job.connection, job.encoder
    if encoder is None:
        return connection
    identity = encoder.identity
    if identity.kind != connection.kind:
        msg = f"{identity.model} is a {identity.kind} encoder; the connection is {connection.kind}"
        raise SettingsError(msg)
    width = identity.dimension if identity.kind == "dense" else None
    return replace(
        connection,
        dimension=connection.dimension or width,
        fingerprint=identity.fingerprint,
    )


def _have_trust(client: Any, connection: Connection, *, apply: bool) -> dict[str, Any]:
    trust = read_trust(client)
    if trust is None:  # then the cluster itself says whether it trusts the address
        return {}
    missing = missing_settings(trust, endpoint(connection.url, wire_format(connection).path))
    if missing and not apply:
        msg = (
            f"The cluster does not let its nodes call {connection.url} yet. Run again with "
            f"--apply-settings if you may change cluster settings. {settings_call(missing)}"
        )
        raise AdministratorNeededError(msg)
    if missing:
        apply_settings(client, missing)
    return missing


def _check(
    client: Any,
    registered: Registered,
    connection: Connection,
    encoder: DenseEncoder | SparseEncoder | None,
) -> Check:
    model_id = registered.model_id
    if connection.kind == "dense":
        return check_dense(client, model_id, connection, cast("DenseEncoder | None", encoder))
    if connection.kind == "sparse":
        return check_sparse(client, model_id, connection, cast("SparseEncoder | None", encoder))
    return check_rerank(client, model_id, connection)
