"""Model servers connected to a real node: all wire formats, keys, updates, clear faults."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from conftest import CLUSTER_VARIABLE, SECURE
from connected_models import both_sides, connect_sides
from model_server import ModelServer, serving
from opensearch_samples import TinyDense, TinySparse
from pydantic import SecretStr
from secure_cluster import ADMIN, SecureCluster

from opensearch.client import connect
from opensearch.errors import SearchBackendError
from opensearch.ml.catalogue import find_model, list_models
from opensearch.ml.connectors.checking import ask_dense, ask_sparse
from opensearch.ml.connectors.registration import Registered, forget, remove
from opensearch.ml.connectors.spec import Connection, Limits
from opensearch.ml.connectors.trust import (
    ENDPOINTS,
    AdministratorNeededError,
    endpoint_regex,
    read_trust,
)
from opensearch.ml.errors import ModelError, VerificationError
from opensearch.ml.rest import Request, send
from opensearch.settings import load_settings
from opensearch.workflows.connect_model import ConnectJob, ConnectReport, connect_model

pytestmark = pytest.mark.node
SECRET = "quite-a-secret-key"


class QueryDense(TinyDense):
    """Queries are encoded otherwise than documents."""

    def encode_queries(self, texts: Any) -> Any:
        return self.encode_documents([f"query {text}" for text in texts])


class QuerySparse(TinySparse):
    def encode_queries(self, texts: Any) -> Any:
        return self.encode_documents([text.split()[0] for text in texts])


@pytest.fixture
def client(node_url: str) -> Any:
    return connect(load_settings(node_url))


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving(ModelServer(QueryDense(), QuerySparse())) as running:
        yield running


@pytest.fixture
def wanted(client: Any, server: ModelServer) -> Connection:
    """A dense model; where one for both sides cannot be, the one for documents."""
    return both_sides(client, connection(server))["document"]


@pytest.fixture
def administrator(client: Any, request: pytest.FixtureRequest) -> Any:
    """Who may change cluster settings; on a cluster without users, anybody."""
    if os.environ.get(CLUSTER_VARIABLE) != SECURE:
        return client
    cluster: SecureCluster = request.getfixturevalue("secure_cluster")
    return cluster.client(ADMIN)


@pytest.fixture
def done(client: Any) -> Iterator[list[Registered]]:
    """What a test registered, removed at its end."""
    registered: list[Registered] = []
    yield registered
    for one in registered:
        forget(client, one)


def connection(server: ModelServer, kind: Any = "dense", flavour: Any = "tandem") -> Connection:
    limits = Limits(connect_s=2, read_s=10, retries=0)
    name = f"test-{uuid.uuid4().hex[:10]}"
    model = "m" if flavour in ("openai", "vllm") else None
    return Connection(server.url, kind, flavour, name, model=model, limits=limits)


def test_a_dense_server_that_reads_both_sides(
    client: Any, server: ModelServer, done: list[Registered]
) -> None:
    sides = both_sides(client, connection(server))
    reports = connect_sides(client, sides, QueryDense())
    done += [report.registered for report in reports]
    for report in reports:
        assert report.registered.action == "created"
        assert report.check.dimension == 8
        assert report.check.agreement is not None
        assert report.check.agreement > 0.9999
    encoder = QueryDense()
    expected = {"document": encoder.encode_documents, "query": encoder.encode_queries}
    for side, one in sides.items():
        model = find_model(client, one.name)
        assert model.deployed
        assert model.id in {registered.model_id for registered in done}
        assert model.fingerprint == encoder.identity.fingerprint
        assert model.config["embedding_dimension"] == 8
        (vector,) = ask_dense(client, model.id, one, ["red fox"], side)
        assert vector == pytest.approx(expected[side](["red fox"])[0].tolist(), abs=1e-6)


def test_a_sparse_server_that_reads_both_sides(
    client: Any, server: ModelServer, done: list[Registered]
) -> None:
    sides = both_sides(client, connection(server, "sparse"))
    reports = connect_sides(client, sides, QuerySparse())
    done += [report.registered for report in reports]
    for report in reports:
        assert report.check.agreement is not None
        assert report.check.agreement < 1e-4
    weights = {
        side: ask_sparse(client, find_model(client, one.name).id, one, ["red fox"], side)[0]
        for side, one in sides.items()
    }
    assert {side: len(found) for side, found in weights.items()} == {"document": 2, "query": 1}


@pytest.mark.parametrize(
    ("kind", "flavour"),
    [
        ("rerank", "tandem"),
        ("dense", "openai"),
        ("rerank", "vllm"),
        ("dense", "tei"),
        ("rerank", "tei"),
    ],
)
def test_every_wire_format(
    client: Any, server: ModelServer, done: list[Registered], kind: str, flavour: str
) -> None:
    report = connect_model(client, ConnectJob(connection(server, kind, flavour)))
    done.append(report.registered)
    assert report.check.texts == 3
    assert report.check.dimension == (8 if kind == "dense" else None)


@pytest.mark.parametrize(("kind", "side"), [("dense", "query"), ("sparse", "document")])
def test_one_side_only(
    client: Any, server: ModelServer, done: list[Registered], kind: str, side: Any
) -> None:
    wanted = replace(connection(server, kind), side=side)
    encoder = QueryDense() if kind == "dense" else QuerySparse()
    done.append(connect_model(client, ConnectJob(wanted, encoder)).registered)
    said = [body.get("content_type", body.get("input_type")) for _, _, body in server.requests]
    assert set(said) == {"query" if side == "query" else "passage"}


def test_a_key_is_sent_and_never_shown(
    client: Any, server: ModelServer, wanted: Connection, done: list[Registered]
) -> None:
    server.key = SECRET
    bare = wanted
    before = len(list_models(client))
    with pytest.raises(ModelError, match=r"401.*key"):
        connect_model(client, ConnectJob(bare))
    assert len(list_models(client)) == before  # nothing is left behind
    report = connect_model(client, ConnectJob(replace(bare, key=SecretStr(SECRET))))
    done.append(report.registered)
    shown = [report, client.transport.perform_request("GET", _connector(report)), list_models]
    assert SECRET not in repr(shown)
    # Run again without the key: the stored one stays.
    again = connect_model(client, ConnectJob(bare))
    assert again.registered == replace(report.registered, action="unchanged")


def _connector(report: ConnectReport) -> str:
    return f"/_plugins/_ml/connectors/{report.registered.connector_id}"


def test_run_again_it_is_found_and_updated(
    client: Any, wanted: Connection, done: list[Registered]
) -> None:
    first = connect_model(client, ConnectJob(wanted)).registered
    done.append(first)
    assert connect_model(client, ConnectJob(wanted)).registered == replace(
        first, action="unchanged"
    )
    slower = replace(wanted, limits=replace(wanted.limits, read_s=20))
    assert connect_model(client, ConnectJob(slower)).registered == replace(first, action="updated")
    assert find_model(client, wanted.name).deployed
    with serving(ModelServer(QueryDense())) as other:
        moved = replace(wanted, url=other.url)
        with pytest.raises(ModelError, match="--replace"):
            connect_model(client, ConnectJob(moved))
        report = connect_model(client, ConnectJob(moved, replace=True))
        assert report.registered == replace(first, action="updated")
        assert other.requests
    assert find_model(client, wanted.name).notes["url"] == other.url


def test_another_model_than_the_encoder_is_refused(
    client: Any, server: ModelServer, wanted: Connection
) -> None:
    queries = replace(wanted, side="query") if wanted.side != "both" else wanted
    before = {model.id for model in list_models(client)}
    with pytest.raises(VerificationError, match="does not serve this encoder"):
        connect_model(client, ConnectJob(queries, TinyDense()))
    assert {model.id for model in list_models(client)} == before


def test_a_server_that_is_down_is_named(client: Any, wanted: Connection) -> None:
    with serving(ModelServer()) as gone:
        wanted = replace(wanted, url=gone.url)
    with pytest.raises(ModelError, match=r"no answer from http://127.0.0.1:\d+ .*Does the server"):
        connect_model(client, ConnectJob(wanted))


def test_an_address_must_be_trusted(
    client: Any, administrator: Any, wanted: Connection, done: list[Registered]
) -> None:
    elsewhere = "^https://elsewhere/.*$"
    job = ConnectJob(wanted)
    try:
        administrator.cluster.put_settings(body={"persistent": {ENDPOINTS: [elsewhere]}})
        with pytest.raises(AdministratorNeededError, match="PUT /_cluster/settings"):
            connect_model(client, job)
        if administrator is not client:
            with pytest.raises(AdministratorNeededError, match="may not change cluster settings"):
                connect_model(client, replace(job, apply_settings=True))
        report = connect_model(administrator, replace(job, apply_settings=True))
        forget(administrator, report.registered)
        now = read_trust(administrator)
        assert now is not None
        assert now.endpoints == (elsewhere, endpoint_regex(wanted.url))
        done.append(connect_model(client, job).registered)  # allowed once, allowed to all
    finally:
        administrator.cluster.put_settings(body={"persistent": {ENDPOINTS: None}})


def test_deleting_a_connected_model_removes_its_connector(
    client: Any, wanted: Connection, done: list[Registered]
) -> None:
    report = connect_model(client, ConnectJob(wanted, apply_settings=True))
    done.append(report.registered)
    remove(client, find_model(client, wanted.name))
    assert report.registered.model_id not in {model.id for model in list_models(client)}
    with pytest.raises(SearchBackendError):
        send(client, Request("GET", f"/connectors/{report.registered.connector_id}"), "reading")
