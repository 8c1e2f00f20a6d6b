"""Models pushed to a real node: uploaded, resumed, deployed, verified, protected, removed."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from encoder_models import ENGLISH, model_folder

from encoders.lexical import LexicalEncoder
from encoders.registry import DEFAULT_DENSE, load_dense
from opensearch.capabilities import detect
from opensearch.cli.root import main
from opensearch.encoder_store import save_state
from opensearch.errors import SearchBackendError
from opensearch.index_spec import IndexSpec
from opensearch.mappings import index_body
from opensearch.ml.bundle import CHUNK_BYTES, Bundle
from opensearch.ml.catalogue import find_model, list_models, stored_chunks
from opensearch.ml.deployment import delete, deploy, undeploy
from opensearch.ml.errors import ModelError, VerificationError
from opensearch.ml.prediction import predict_dense, predict_sparse
from opensearch.ml.upload import Silent, upload
from opensearch.ml.usage import read_use, usage_of
from opensearch.workflows import push_model
from opensearch.workflows.connection import open_cluster
from opensearch.workflows.model_packages import Naming, Package, dense_package
from opensearch.workflows.push_model import Pushed, PushRequest, push

pytestmark = pytest.mark.node

QUERY = "annual fee of a credit card"


@pytest.fixture(scope="module")
def client(node_url: str) -> Iterator[Any]:
    """A client; whatever the tests push is removed in the end."""
    made = open_cluster(node_url)
    before = {model.id for model in list_models(made)}
    yield made
    for model in list_models(made):
        if model.id not in before:
            delete(made, model)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def dense(client: Any) -> Pushed:
    """The embedded dense model: nine chunks."""
    (pushed,) = push(client, PushRequest(model=DEFAULT_DENSE, naming=Naming("live-dense")))
    return pushed


@pytest.fixture(scope="module")
def sparse(client: Any, models: Path) -> list[Pushed]:
    """A tiny inference-free model: documents and queries."""
    folder = model_folder("bert-inference-free", models)
    naming = Naming("live-sparse")
    return push(client, PushRequest(model=str(folder), naming=naming, texts=ENGLISH))


@pytest.fixture(scope="module")
def tiny(models: Path) -> Package:
    """A tiny dense model with a prompt before queries, ready to push."""
    folder = model_folder("qwen3-lasttoken", models)
    naming = Naming("live-tiny")
    return dense_package(str(folder), PushRequest().options, naming, space_type=None)


def test_the_embedded_model_gives_on_the_node_what_it_gives_here(
    client: Any, dense: Pushed
) -> None:
    assert dense.model.deployed
    assert dense.model.size_bytes > 8 * CHUNK_BYTES
    assert dense.verification.lowest_cosine >= 0.999
    found = np.asarray(predict_dense(client, dense.model.id, [QUERY]))
    expected = load_dense().encode_queries([QUERY])
    assert float(found[0] @ expected[0]) >= 0.999
    assert dense.model.fingerprint == load_dense().identity.fingerprint


def test_a_sparse_model_becomes_documents_and_queries(client: Any, sparse: list[Pushed]) -> None:
    documents, queries = sparse
    assert (documents.model.function, documents.model.format) == ("SPARSE_ENCODING", "ONNX")
    assert queries.model.function == "SPARSE_TOKENIZE"
    assert queries.model.name == "live-sparse-query"
    for pushed in sparse:
        assert pushed.verification.largest_difference <= 1e-3
    assert documents.model.fingerprint is not None
    (row,) = predict_sparse(client, queries.model.id, ["fee [CLS] fee"])
    assert row
    assert not {"[CLS]", "[SEP]"} & row.keys()
    if detect(client).version < (3, 0):  # older versions know tokens by their names only
        with pytest.raises(SearchBackendError):
            predict_sparse(client, queries.model.id, ["fee"], token_ids=True)
        return
    (numbered,) = predict_sparse(client, queries.model.id, ["fee"], token_ids=True)
    assert all(name.isdigit() for name in numbered)


def test_torchscript_where_it_is_asked_for(client: Any, models: Path) -> None:
    folder = str(model_folder("bert-mean", models))
    naming = Naming("live-script")
    (pushed,) = push(client, PushRequest(folder, naming=naming, graph_format="torchscript"))
    assert pushed.model.format == "TORCH_SCRIPT"
    assert pushed.verification.passed


def test_pushing_again_changes_nothing(client: Any, dense: Pushed, sparse: list[Pushed]) -> None:
    (again,) = push(client, PushRequest(model=DEFAULT_DENSE, naming=Naming("live-dense")))
    assert (again.how, again.chunks_sent, again.model.id) == ("found", 0, dense.model.id)
    labels = [model.label for model in list_models(client)]
    assert labels.count("live-dense@1") == 1


class _Breaks(Silent):
    """Ends an upload after its second chunk, as Ctrl-C does."""

    def __init__(self) -> None:
        self.calls = 0

    def uploading(self, sent: int, total: int) -> None:
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt


def test_an_upload_that_broke_off_goes_on(
    client: Any, tiny: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opensearch.ml.bundle.CHUNK_BYTES", 20_000)
    assert tiny.bundle.chunks >= 4
    with pytest.raises(KeyboardInterrupt):
        upload(client, tiny.card, tiny.bundle, _Breaks())
    half = find_model(client, "live-tiny")
    assert half.incomplete
    settle(client)
    assert stored_chunks(client, half.id, tiny.bundle.chunks) == {0, 1}
    with pytest.raises(ModelError, match="partly uploaded"):
        deploy(client, half)
    done = upload(client, tiny.card, tiny.bundle, Silent())
    assert (done.how, done.model.id) == ("continued", half.id)
    assert done.chunks_sent == tiny.bundle.chunks - 2
    assert upload(client, tiny.card, tiny.bundle, Silent()).how == "found"
    deploy(client, done.model)
    found = push_model.verify(client, done.model.id, tiny, ENGLISH)
    assert found.passed, found


def test_a_damaged_upload_says_so(client: Any, tiny: Package, tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    other.write_bytes(b"x" + tiny.bundle.path.read_bytes()[1:])
    wrong = Bundle(other, tiny.bundle.size, tiny.bundle.sha256)
    card = replace(tiny.card, name="live-damaged")
    damaged = upload(client, card, wrong, Silent()).model
    with pytest.raises(ModelError, match=r"delete|log"):
        deploy(client, damaged)
    delete(client, damaged)


def test_a_model_that_gives_something_else_is_undeployed(
    client: Any, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(model_folder("qwen3-lasttoken", models))
    request = PushRequest(model=folder, naming=Naming("live-other"))

    def another(client: Any, model_id: str, texts: list[str], **_: Any) -> list[list[float]]:
        vectors = predict_dense(client, model_id, texts, content_type="passage")
        return [[-value for value in vector] for vector in vectors]

    monkeypatch.setattr(push_model, "predict_dense", another)
    with pytest.raises(VerificationError, match="undeployed"):
        push(client, request)
    assert find_model(client, "live-other").state == "UNDEPLOYED"


def test_queries_by_id_of_the_lexical_query_side(client: Any) -> None:
    encoder = LexicalEncoder.fit(ENGLISH)
    state = encoder.state()
    save_state(client, encoder.identity.fingerprint, "lexical", state)
    spec = IndexSpec(name="test-live-words", sparse=encoder.identity)
    client.indices.create(index="test-live-words", body={"mappings": index_body(spec)["mappings"]})
    vectors = encoder.encode_documents(ENGLISH)
    for number, vector in enumerate(vectors):
        tokens = dict(zip(encoder.tokens(vector.ids), vector.weights.tolist(), strict=True))
        client.index(index="test-live-words", id=str(number), body={"sparse": tokens})
    client.indices.refresh(index="test-live-words")
    try:
        (pushed,) = push(client, PushRequest(statistics_of="test-live-words"))
        assert pushed.verification.passed
        usage = usage_of(pushed.model, read_use(client))
        # Who may not see every index cannot be told; then it says so.
        assert usage.same_encoder == ("test-live-words",) or "mappings" in usage.unknown
        field = {"query_text": "the fee of a card", "model_id": pushed.model.id}
        answer = client.search(
            index="test-live-words", body={"query": {"neural_sparse": {"sparse": field}}}
        )
        (query,) = encoder.encode_queries([field["query_text"]])
        best = _scores(query, vectors)
        hits = answer["hits"]["hits"]
        assert [hit["_id"] for hit in hits] == [str(number) for number in best]
        field["query_text"] = "the of and"  # nothing but words without weight
        nothing = client.search(
            index="test-live-words", body={"query": {"neural_sparse": {"sparse": field}}}
        )
        assert nothing["hits"]["hits"] == []
    finally:
        client.indices.delete(index="test-live-words")


def _scores(query: Any, vectors: list[Any]) -> list[int]:
    weights = dict(zip(query.ids.tolist(), query.weights.tolist(), strict=True))
    scores = [
        sum(
            weights.get(number, 0.0) * weight
            for number, weight in zip(v.ids.tolist(), v.weights.tolist(), strict=True)
        )
        for v in vectors
    ]
    found = [number for number, score in enumerate(scores) if score > 0]
    return sorted(found, key=lambda number: -scores[number])


def settle(client: Any) -> None:
    """Wait until lists show what was just done; an unprivileged user may not have it refreshed."""
    from opensearchpy.exceptions import AuthorizationException

    try:
        client.indices.refresh(index=".plugins-ml-*")
    except AuthorizationException:
        time.sleep(1.5)


def run(node_url: str, *words: str) -> Any:
    return CliRunner().invoke(main, ["models", *words, "--url", node_url])


def test_a_model_that_a_pipeline_names_is_kept(
    client: Any, sparse: list[Pushed], node_url: str
) -> None:
    model = sparse[1].model
    processor = {"neural_query_enricher": {"default_model_id": model.id}}
    client.transport.perform_request(
        "PUT", "/_search/pipeline/live-enricher", body={"request_processors": [processor]}
    )
    try:
        for command in ("delete", "undeploy"):
            refused = run(node_url, command, model.label)
            assert refused.exit_code == 1
            assert "live-enricher" in refused.output
            assert "--force" in refused.output
        (row,) = [
            row
            for row in json.loads(run(node_url, "list", "--json").stdout)
            if row["id"] == model.id
        ]
        assert row["used_by"]["search_pipelines"] == ["live-enricher"]
        assert find_model(client, model.id).deployed
    finally:
        client.transport.perform_request("DELETE", "/_search/pipeline/live-enricher")


def test_the_commands(client: Any, sparse: list[Pushed], node_url: str) -> None:
    label = sparse[1].model.label
    assert label in run(node_url, "list").stdout
    shown = json.loads(run(node_url, "show", label, "--json").stdout)
    assert (shown["state"], shown["workers"]) == ("DEPLOYED", 1)
    assert shown["memory_bytes"] > 0
    assert "SPARSE_TOKENIZE" in run(node_url, "show", label).stdout
    assert run(node_url, "undeploy", label).exit_code == 0
    assert find_model(client, label).state == "UNDEPLOYED"
    assert json.loads(run(node_url, "deploy", label, "--json").stdout)["changed"]
    assert not json.loads(run(node_url, "deploy", label, "--json").stdout)["changed"]
    missing = run(node_url, "show", "no-such-model")
    assert missing.exit_code == 1
    assert label in missing.output
    deleted = run(node_url, "delete", label)
    assert deleted.exit_code == 0, deleted.output
    settle(client)
    assert label not in [model.label for model in list_models(client)]


def test_a_group_goes_with_its_last_model(client: Any, sparse: list[Pushed]) -> None:
    from opensearch.ml.groups import list_groups

    settle(client)
    names = {group.name for group in list_groups(client).values()}
    assert "live-sparse-query" not in names
    assert "live-sparse" in names


def test_faults_name_what_helps(client: Any) -> None:
    with pytest.raises(SearchBackendError):
        predict_dense(client, "no-such-id", ["a"])
    dense = find_model(client, "live-dense")
    undeploy(client, dense)
    with pytest.raises(ModelError, match="tandem models deploy"):
        predict_dense(client, dense.id, ["a"])
