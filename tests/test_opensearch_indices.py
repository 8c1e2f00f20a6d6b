"""Creating, reading and dropping indices, without a server."""

import json

import pytest
from opensearch_samples import DENSE, SPARSE, RecordingClient, index_info
from opensearchpy.exceptions import AuthorizationException

from encoders.base import EncoderIdentity
from opensearch import indices
from opensearch.capabilities import Capabilities
from opensearch.encoder_store import STORE_INDEX, load_state, save_state
from opensearch.errors import (
    CapabilityError,
    EncoderMismatchError,
    ForbiddenError,
    IndexNotFoundError,
    SearchBackendError,
)
from opensearch.index_info import check_encoder, read_index_info
from opensearch.index_spec import IndexSpec
from opensearch.mappings import index_meta

ALL = Capabilities((3, 6, 0), frozenset({"opensearch-knn", "opensearch-neural-search"}), None)
SPEC = IndexSpec("docs", dense=DENSE, sparse=SPARSE)


def mapping(spec: IndexSpec) -> dict:
    return {spec.physical: {"mappings": {"_meta": {"tandem": index_meta(spec)}}}}


def cluster(spec: IndexSpec, existing=()) -> RecordingClient:
    def answer(name, /, **values):
        if name == "indices.exists":
            return values["index"] in existing
        return mapping(spec) if name == "indices.get_mapping" else {}

    return RecordingClient(answer)


@pytest.mark.parametrize(
    ("sparse_field", "created"),
    [
        ("rank_features", ["docs-v0-1"]),
        ("seismic", ["docs-v0-1", "docs-v0-1-seismic"]),
    ],
)
def test_the_alias_comes_last(sparse_field, created) -> None:
    spec = IndexSpec("docs", dense=DENSE, sparse=SPARSE, sparse_field=sparse_field)
    client = cluster(spec)
    info = indices.create_index(client, spec, ALL)
    assert [call["index"] for call in client.named("indices.create")] == created
    names = [name for name, _ in client.calls if name != "indices.exists"]
    assert names[0] == "http.put"
    assert names[-2:] == ["indices.put_alias", "indices.get_mapping"]
    assert client.named("indices.put_alias") == [{"index": "docs-v0-1", "name": "docs"}]
    assert indices.physical_indices(info) == created


def test_an_interrupted_creation_is_continued() -> None:
    client = cluster(SPEC, existing={"docs-v0-1"})
    indices.create_index(client, SPEC, ALL)
    assert not client.named("indices.create")
    assert client.named("indices.put_alias")


@pytest.mark.parametrize(
    ("spec", "capabilities", "message"),
    [
        pytest.param(
            SPEC,
            Capabilities(plugins=frozenset({"opensearch-neural-search"})),
            "dense field needs the plugin opensearch-knn",
            id="no k-NN",
        ),
        pytest.param(
            SPEC,
            Capabilities(plugins=frozenset({"opensearch-knn"})),
            "sparse field needs the plugin opensearch-neural-search",
            id="no neural search",
        ),
        pytest.param(
            IndexSpec("docs", sparse=SPARSE, sparse_field="seismic"),
            Capabilities(version=(2, 19, 0)),
            "needs OpenSearch 3.3",
            id="too old for SEISMIC",
        ),
        pytest.param(
            IndexSpec("docs", dense=DENSE, dense_engine="faiss"),
            Capabilities(knn_natives=False),
            "Use --dense-engine lucene",
            id="faiss without natives",
        ),
    ],
)
def test_what_the_cluster_lacks_is_refused_before_anything_is_sent(
    spec, capabilities, message
) -> None:
    client = cluster(spec)
    with pytest.raises(CapabilityError, match=message):
        indices.create_index(client, spec, capabilities)
    assert client.calls == []


def test_faiss_is_allowed_where_nothing_denies_it() -> None:
    spec = IndexSpec("docs", dense=DENSE, dense_engine="faiss")
    indices.check_capabilities(spec, ALL)
    indices.check_capabilities(spec, Capabilities())


@pytest.mark.parametrize("sparse_field", ["rank_features", "seismic"])
def test_every_physical_index_is_looked_after(sparse_field) -> None:
    info = index_info(sparse_field=sparse_field)
    client = RecordingClient()
    indices.refresh(client, info)
    indices.force_merge(client, info)
    indices.set_refresh_interval(client, info, "30s")
    indices.delete_index(client, info)
    for name in ("refresh", "forcemerge", "put_settings", "delete"):
        touched = [call["index"] for call in client.named(f"indices.{name}")]
        assert touched == indices.physical_indices(info)


def test_an_index_is_read_from_its_mapping() -> None:
    spec = IndexSpec(
        "docs", {"hangul": "cjk", "latin": "english"}, dense=DENSE, notes={"levels": ["coarse"]}
    )
    info = read_index_info(cluster(spec), "docs")
    assert (info.name, info.physical, info.dense, info.sparse) == ("docs", "docs-v0-1", DENSE, None)
    assert info.two_level
    assert info.seismic is None


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        pytest.param({}, IndexNotFoundError, "none", id="nothing"),
        pytest.param({"a": {}, "b": {}}, SearchBackendError, "stands for a, b", id="two indices"),
        pytest.param(
            {"a": {"mappings": {}}}, SearchBackendError, "not built by Tandem", id="another's index"
        ),
        pytest.param(
            {"a": {"mappings": {"_meta": {"other": 1}}}},
            SearchBackendError,
            "not built by Tandem",
            id="another's meta",
        ),
    ],
)
def test_names_that_stand_for_no_index_of_ours(answer, error, message) -> None:
    with pytest.raises(error, match=message):
        read_index_info(RecordingClient(lambda *_, **__: answer), "docs")


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        ("hangul", ["title", "text"]),
        ("latin", ["title.latin", "text.latin"]),
        ("han", ["title", "text"]),
        (None, ["title", "text"]),
    ],
)
def test_text_fields(script, fields) -> None:
    assert index_info(analyzers={"hangul": "cjk", "latin": "english"}).text_fields(script) == fields


def test_check_encoder_accepts_the_builder_by_its_fingerprint() -> None:
    check_encoder(DENSE, DENSE, "docs")
    moved = EncoderIdentity("dense", "/elsewhere", DENSE.fingerprint, DENSE.dimension)
    check_encoder(DENSE, moved, "docs")
    check_encoder(DENSE, None, "docs")
    check_encoder(None, None, "docs")


def test_check_encoder_names_both_sides_and_the_ways_out() -> None:
    other = EncoderIdentity("dense", "other-model", "f" * 16, 8)
    with pytest.raises(EncoderMismatchError) as raised:
        check_encoder(DENSE, other, "docs")
    for words in ("'docs'", "tiny-dense", "d" * 12, "other-model", "f" * 12, "index the corpus"):
        assert words in str(raised.value)


def test_check_encoder_refuses_a_leg_the_index_does_not_have() -> None:
    with pytest.raises(EncoderMismatchError, match="no sparse field; tiny-sparse"):
        check_encoder(None, SPARSE, "docs")


class Store:
    """Keeps what is indexed; the index is made at the first write."""

    def __init__(self) -> None:
        self.documents: dict[str, dict] = {}
        self.created: list[str] = []

    def __call__(self, name, /, **values):
        if name == "indices.exists":
            return values["index"] in self.created
        if name == "indices.create":
            self.created.append(values["index"])
        elif name == "index":
            self.documents[values["id"]] = json.loads(json.dumps(values["body"]))
        elif name == "get":
            found = self.documents.get(values["id"])
            return {"found": True, "_source": found} if found else {"found": False}
        return {}


def test_an_encoder_state_comes_back_as_it_was() -> None:
    client = RecordingClient(Store())
    state = {"idf": {"대출": 1.5, "fox": 2.25}, "unicode": "é\u0000😀", "n": [1, 2, 3]}
    save_state(client, "abc", "lexical", state)
    save_state(client, "abc", "lexical", state)
    assert load_state(client, "abc") == state
    assert len(client.named("indices.create")) == 1
    assert client.named("index")[0]["index"] == STORE_INDEX


def test_a_missing_encoder_state_says_what_to_do() -> None:
    with pytest.raises(SearchBackendError, match="holds no encoder unknown"):
        load_state(RecordingClient(Store()), "unknown")


@pytest.mark.parametrize(
    ("version", "portable"),
    [((3, 2, 0), False), ((3, 1, 9), True), ((2, 19, 1), True), (None, True)],
)
def test_an_index_is_portable_unless_the_version_certainly_fuses(version, portable) -> None:
    client = cluster(SPEC)
    indices.create_index(client, SPEC, Capabilities(version, ALL.plugins, None))
    (created,) = client.named("indices.create")
    assert ("passage" in created["body"]["mappings"]["properties"]) is portable


def test_who_may_not_ask_for_an_index_is_told_the_permission() -> None:
    def forbidden(name, /, **_):
        named = {"error": {"reason": "no permissions for [indices:admin/get]"}}
        raise AuthorizationException(403, "", named if name == "indices.get" else None)

    with pytest.raises(ForbiddenError, match="lacks the permission indices:admin/get"):
        indices.index_exists(RecordingClient(forbidden), "docs")
