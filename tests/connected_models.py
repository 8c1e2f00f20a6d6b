"""Model servers connected as the version of a cluster wants it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from encoders.base import DenseEncoder, SparseEncoder
from opensearch.capabilities import detect
from opensearch.ml.connectors.registration import ASYMMETRIC_SINCE
from opensearch.ml.connectors.spec import Connection
from opensearch.ml.connectors.wire import wire_format
from opensearch.workflows.connect_model import ConnectJob, ConnectReport, connect_model

Sides = Mapping[Literal["document", "query"], Connection]


def both_sides(client: Any, wanted: Connection) -> Sides:
    """A connection for documents and one for queries.

    The same one where the cluster says which it is, or where there are no sides (re-ranking).
    """
    version = detect(client).version
    assert version is not None
    if version >= ASYMMETRIC_SINCE or not wire_format(wanted).asymmetric:
        return {"document": wanted, "query": wanted}
    return {
        "document": replace(wanted, side="document", name=f"{wanted.name}-document"),
        "query": replace(wanted, side="query", name=f"{wanted.name}-query"),
    }


def connect_sides(
    client: Any, sides: Sides, encoder: DenseEncoder | SparseEncoder | None = None
) -> list[ConnectReport]:
    """Connect what :func:`both_sides` gave: one report, or one for each side."""
    different = {connection.name: connection for connection in sides.values()}
    return [connect_model(client, ConnectJob(one, encoder)) for one in different.values()]
