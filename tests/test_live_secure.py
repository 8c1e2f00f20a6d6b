"""OpenSearch 2.19.1 over TLS, as the users of docs/roles: what they may do, and nothing else."""

import copy
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opensearch_samples import DENSE, SPARSE, TinyDense, TinySparse, encode, passage
from secure_cluster import ADMIN, ROLES, SecureCluster, read_role

from encoders.lexical import LexicalEncoder
from ingest.records import Window
from opensearch.capabilities import FEATURES, Capabilities, detect
from opensearch.client import connect
from opensearch.encoder_store import STORE_INDEX, load_state, save_state
from opensearch.errors import (
    CapabilityError,
    ClusterUnreachableError,
    ForbiddenError,
    SearchBackendError,
)
from opensearch.filters import parse_filters
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.index_spec import IndexSpec
from opensearch.indices import (
    count_chunks,
    create_index,
    delete_index,
    force_merge,
    index_exists,
    refresh,
    set_refresh_interval,
    write_note,
)
from opensearch.measurements import QUALITY_INDEX, store_measurements
from opensearch.plan import MODES, QueryEncoders, SearchRequest
from opensearch.search import Searcher
from opensearch.settings import ClusterSettings
from opensearch.sink import IndexSink
from opensearch.translation import refuse_errors, translated
from opensearch.writer import stored_fingerprints, write_chunks

pytestmark = pytest.mark.secure

BOTH = QueryEncoders(TinyDense(), TinySparse())
WORDS = LexicalEncoder.fit(["wire transfer fee", "lost credit card"])
CORPUS = [
    passage("fee", "wire transfer fee", metadata={"lang": "en"}),
    passage("card", "lost credit card", 0, title="Cards"),
    passage("card", "credit card fee", 1, title="Cards"),
]


def build(client: Any, name: str) -> IndexInfo:
    """A small index."""
    info = create_index(client, IndexSpec(name, dense=DENSE, sparse=SPARSE), detect(client))
    write_chunks(client, info, encode(CORPUS))
    refresh(client, info)
    return info


@dataclass(frozen=True)
class Built:
    """An index that the indexing user built."""

    cluster: SecureCluster
    info: IndexInfo
    state: str


@pytest.fixture(scope="module")
def built(secure_cluster: SecureCluster) -> Iterator[Built]:
    client = secure_cluster.client("tandem_index")
    save_state(client, WORDS.identity.fingerprint, "lexical", WORDS.state())
    info = build(client, f"test-{uuid.uuid4().hex[:12]}")
    yield Built(secure_cluster, info, WORDS.identity.fingerprint)
    delete_index(client, info)


@pytest.fixture
def reader(built: Built) -> Any:
    return built.cluster.client("tandem_search")


@pytest.mark.parametrize("mode", MODES)
def test_the_searching_user_searches_in_every_mode(built: Built, reader: Any, mode: str) -> None:
    info = read_index_info(reader, built.info.name)
    request = SearchRequest(
        "credit card fee", mode=mode, leg_scores=True, highlight=True, tokens=True
    )
    result = Searcher(reader, info, BOTH).search(request)
    assert result.hits[0].chunk_id == "card#1"
    assert [hit.id for hit in result.hits] == ["card", "fee"]
    assert len(result.hits[0].legs) == (3 if mode == "hybrid" else 1)
    filters = parse_filters(["lang=en"])
    only = Searcher(reader, info, BOTH).search(SearchRequest("credit fee", mode, filters=filters))
    assert [hit.id for hit in only.hits] == ["fee"]


def test_the_searching_user_reads_the_encoder_of_the_corpus(built: Built, reader: Any) -> None:
    assert LexicalEncoder.from_state(load_state(reader, built.state)).knows(["fee"]) == [True]


FORBIDDEN: dict[str, tuple[str, Callable[[Any, IndexInfo], Any]]] = {
    "write": ("indices:data/write/bulk", lambda c, i: write_chunks(c, i, encode(CORPUS))),
    "create": ("cluster:admin/search/pipeline/put", lambda c, i: build(c, "test-forbidden")),
    "delete": ("indices:admin/delete", lambda c, i: delete_index(c, i)),
    "settings": ("indices:admin/settings/update", lambda c, i: set_refresh_interval(c, i, "1s")),
    "refresh": ("indices:admin/refresh", lambda c, i: refresh(c, i)),
    "merge": ("indices:admin/forcemerge", lambda c, i: force_merge(c, i)),
    "existence": ("indices:admin/get", lambda c, i: index_exists(c, i.name)),
    "encoder": ("indices:admin/get", lambda c, i: save_state(c, "f", "lexical", {})),
    "another index": ("indices:admin/mappings/get", lambda c, i: read_index_info(c, "secret")),
}


@pytest.mark.parametrize(("permission", "act"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_the_searching_user_does_nothing_else(
    built: Built, reader: Any, permission: str, act: Callable[[Any, IndexInfo], Any]
) -> None:
    with pytest.raises(ForbiddenError) as refusal:
        act(reader, built.info)
    assert f"the user tandem_search lacks the permission {permission}" in str(refusal.value)
    assert "docs/security.md" in str(refusal.value)
    assert count_chunks(built.cluster.client("tandem_index"), built.info) == len(CORPUS)


def test_what_a_user_may_not_ask_is_unknown_not_absent(built: Built, reader: Any) -> None:
    assert detect(reader) == Capabilities(None, None, None)
    known = detect(built.cluster.client("tandem_index"))
    assert known.version == (2, 19, 1)
    assert known.has("opensearch-knn") and known.has("opensearch-security")
    assert known.knn_natives is False


def test_an_index_whose_version_is_unknown_is_made_to_work_anywhere(
    secure_cluster: SecureCluster,
) -> None:
    client = secure_cluster.client("tandem_index")
    spec = IndexSpec(f"test-{uuid.uuid4().hex[:12]}", dense=DENSE, sparse=SPARSE)
    info = create_index(client, spec, Capabilities())
    try:
        write_chunks(client, info, encode(CORPUS))
        refresh(client, info)
        hits = Searcher(client, info, BOTH).search(SearchRequest("lost credit card")).hits
        assert [hit.id for hit in hits] == ["card", "fee"]
    finally:
        delete_index(client, info)


@pytest.mark.parametrize("feature", FEATURES)
def test_what_the_version_lacks_is_refused_with_the_version_that_has_it(
    secure_cluster: SecureCluster, feature: str
) -> None:
    capabilities = detect(secure_cluster.client("tandem_index"))
    wanted = ".".join(map(str, FEATURES[feature].since))
    with pytest.raises(CapabilityError, match=rf"needs OpenSearch {wanted} or newer; .* 2\.19\.1"):
        capabilities.require(feature)


# Requests that the features of ``FEATURES`` stand for. The server refuses them, or (the last three)
# takes them and does something else, which is why they are never sent.
LEGS = [{"match": {"text": "credit"}}, {"match": {"text": "fee"}}]
LOWER = {"lower_bounds": [{"mode": "clip", "min_score": 0.1}] * 2}


def hybrid(**normalization: Any) -> dict[str, Any]:
    """A hybrid query with its pipeline."""
    processor = {"normalization": {"technique": "min_max", **normalization}}
    pipeline = {"phase_results_processors": [{"normalization-processor": processor}]}
    return {"query": {"hybrid": {"queries": LEGS}}, "search_pipeline": pipeline}


REFUSED = {
    "hybrid_filter": {"query": {"hybrid": {"queries": LEGS, "filter": {"match_all": {}}}}},
    "z_score": hybrid(technique="z_score"),
    "combined_fields": {"query": {"combined_fields": {"query": "a", "fields": ["text"]}}},
    "rrf_weights": {
        "query": {"hybrid": {"queries": LEGS}},
        "search_pipeline": {
            "phase_results_processors": [
                {
                    "score-ranker-processor": {
                        "combination": {"technique": "rrf", "parameters": {"weights": [0.7, 0.3]}}
                    }
                }
            ]
        },
    },
    "sparse_analyzer": {
        "query": {"neural_sparse": {"sparse": {"query_text": "a", "analyzer": "standard"}}}
    },
}


@pytest.mark.parametrize("feature", REFUSED)
def test_the_server_refuses_what_the_table_says(built: Built, feature: str) -> None:
    client = built.cluster.client("tandem_index")
    with pytest.raises(SearchBackendError, match=r"\(400\)"), translated(feature):
        client.search(index=built.info.physical, body=REFUSED[feature])


def test_the_server_ignores_bounds_and_collapsing_of_hybrid_queries(built: Built) -> None:
    client = built.cluster.client("tandem_index")

    def found(body: dict[str, Any]) -> list[tuple[str, float]]:
        hits = client.search(index=built.info.physical, body=body)["hits"]["hits"]
        return [(hit["_id"], hit["_score"]) for hit in hits]

    plain = found(hybrid())
    assert len(plain) == 3
    assert found(hybrid(parameters=LOWER)) == plain
    upper = {"upper_bounds": [{"mode": "clip", "max_score": 100.0}] * 2}
    assert found(hybrid(parameters=upper)) == plain
    assert found({**hybrid(), "collapse": {"field": "doc_id"}}) == plain


def tandem(
    cluster: SecureCluster, user: str, *words: str, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run a command as one of the users."""
    hidden = "TANDEM_OPENSEARCH_"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    access = {**cluster.environment(user), "HF_HUB_OFFLINE": "1", **changes}
    program = "from opensearch.cli.root import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**environment, **{name: value for name, value in access.items() if value}},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A tiny test collection."""
    texts = {"fee": "A transfer abroad costs 25,000 won.", "card": "Report a lost card at once."}
    lines = [json.dumps({"_id": key, "text": text}) for key, text in texts.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    queries = [{"_id": "q1", "text": "send money overseas"}, {"_id": "q2", "text": "stolen card"}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    (tmp_path / "qrels").mkdir()
    qrels = "query-id\tcorpus-id\tscore\nq1\tfee\t1\nq2\tcard\t1\n"
    (tmp_path / "qrels" / "dev.tsv").write_text(qrels)
    return tmp_path


def test_the_indexing_user_indexes_searches_and_evaluates(
    secure_cluster: SecureCluster, judged: Path
) -> None:
    name = f"test-{uuid.uuid4().hex[:12]}"
    corpus = str(judged / "corpus.jsonl")
    try:
        done = tandem(secure_cluster, "tandem_index", "index", corpus, "--index", name)
        assert done.returncode == 0, done.stderr
        for user in ("tandem_index", "tandem_search"):
            found = tandem(secure_cluster, user, "search", name, "stolen card", "--json")
            assert json.loads(found.stdout)[0]["id"] == "card", found.stderr
        evaluation = ("evaluate", name, "--queries", str(judged), "--split", "dev", "--json")
        judgement = tandem(secure_cluster, "tandem_index", *evaluation)
        assert judgement.returncode == 0, judgement.stderr
    finally:
        client = secure_cluster.client("tandem_index")
        if index_exists(client, name):
            delete_index(client, read_index_info(client, name))


def test_the_indexing_user_stays_inside_its_pattern(
    secure_cluster: SecureCluster, judged: Path
) -> None:
    corpus = str(judged / "corpus.jsonl")
    done = tandem(secure_cluster, "tandem_index", "index", corpus, "--index", "other")
    assert done.returncode == 1
    assert "the user tandem_index lacks the permission indices:admin/get" in done.stderr
    assert "Traceback" not in done.stderr
    administrator = secure_cluster.client(ADMIN)
    assert administrator.indices.get(index="other*") == {}


def test_documents_are_not_set_aside_for_a_missing_permission(
    built: Built, change_role: Callable[[str, dict[str, Any]], None]
) -> None:
    """A user who may read an index and send bulk requests, but not write to that index."""
    role = read_role("tandem_index")
    role["index_permissions"][0]["allowed_actions"] = ["indices:data/read/*"]
    change_role("tandem_index", role)
    with pytest.raises(ForbiddenError, match=r"tandem_index lacks .* indices:data/write/bulk"):
        write_chunks(built.cluster.client("tandem_index"), built.info, encode(CORPUS))


@pytest.fixture
def change_role(secure_cluster: SecureCluster) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """Makes a role another one until the end of the test."""
    changed: set[str] = set()

    def change(name: str, body: dict[str, Any]) -> None:
        changed.add(name)
        secure_cluster.write_role(name, body)

    yield change
    for name in changed:
        secure_cluster.write_role(name, read_role(name))


def search_everything(built: Built) -> None:
    """All that the searching user's job needs."""
    client = built.cluster.client("tandem_search")
    info = read_index_info(client, built.info.name)
    for mode in MODES:
        Searcher(client, info, BOTH).search(SearchRequest("card fee", mode, leg_scores=True))
    load_state(client, built.state)
    with translated("asking for several things at once"):
        answer = client.msearch(body=[{"index": info.name}, {"size": 0}])
    refuse_errors(answer["responses"], "searching several times")
    assert stored_fingerprints(client, info, ["fee#0"])
    predict(client, info)


def predict(client: Any, info: IndexInfo) -> None:
    """Search by a model that is not there: something else than 403 with the permission."""
    query = {"neural": {"dense": {"query_text": "a", "model_id": "none", "k": 1}}}
    try:
        with translated("searching by a model"):
            client.search(index=info.name, body={"query": query})
    except ForbiddenError:
        raise
    except SearchBackendError as error:
        assert "model" in str(error)


def index_everything(built: Built) -> None:
    """All that the indexing user's job needs."""
    from opensearchpy.helpers import scan

    client = built.cluster.client("tandem_index")
    administrator = built.cluster.client(ADMIN)
    known = detect(client)
    if None in (known.version, known.plugins, known.knn_natives):
        raise ForbiddenError("it cannot tell what the cluster can do")
    info = build(client, f"test-{uuid.uuid4().hex[:12]}")
    try:
        sink = IndexSink(client, info)
        sink.finish(Window((CORPUS[1],), {"card": 1}, {}, ()))
        write_note(client, info, "tried", True)
        set_refresh_interval(client, info, "5s")
        force_merge(client, info)
        for mode in MODES:
            Searcher(client, info, BOTH).search(SearchRequest("card", mode, leg_scores=True))
        administrator.indices.delete(index=STORE_INDEX, ignore_unavailable=True)
        save_state(client, built.state, "lexical", WORDS.state())
        load_state(client, built.state)
        with translated("using the index"):
            client.indices.get_settings(index=info.physical)
            client.msearch(body=[{"index": info.name}, {"size": 0}])
            client.index(index=info.physical, id="x", body={"text": "a"})
            assert client.get(index=info.physical, id="x")["found"]
            refresh(client, info)
            assert len(list(scan(client, index=info.name))) == 3
        measure(client)
        manage(client)
    finally:
        administrator.indices.delete(index=info.physical)
        administrator.indices.delete(index=QUALITY_INDEX, ignore_unavailable=True)
        save_state(administrator, built.state, "lexical", WORDS.state())
    delete_index(client, info)


def measure(client: Any) -> None:
    """Keep measurements, read and remove them."""
    store_measurements(client, QUALITY_INDEX, [{"@timestamp": "2026-01-01T00:00:00Z"}])
    with translated("looking at measurements"):
        client.indices.refresh(index=QUALITY_INDEX)
        assert client.search(index=QUALITY_INDEX, body={"size": 0})["hits"]["total"]["value"]
        client.indices.delete(index=QUALITY_INDEX)


def manage(client: Any) -> None:
    """Pipelines and models."""
    with translated("managing pipelines"):
        client.ingest.put_pipeline(id="test-pipeline", body={"processors": []})
        client.ingest.delete_pipeline(id="test-pipeline")
        client.http.put("/_search/pipeline/test-pipeline", body={})
        client.http.delete("/_search/pipeline/test-pipeline")
    with translated("listing models"):
        client.transport.perform_request("POST", "/_plugins/_ml/models/_search", body={"size": 1})


def without_each(role: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The role without one of its permissions, for each of them."""
    for permission in role["cluster_permissions"]:
        less = copy.deepcopy(role)
        less["cluster_permissions"].remove(permission)
        yield permission, less
    for number, part in enumerate(role["index_permissions"]):
        for permission in part["allowed_actions"]:
            less = copy.deepcopy(role)
            less["index_permissions"][number]["allowed_actions"].remove(permission)
            yield f"{permission} on {part['index_patterns'][0]}", less


JOBS = {"tandem_search": search_everything, "tandem_index": index_everything}


def test_every_role_has_a_job() -> None:
    assert sorted(path.stem for path in ROLES.glob("*.json")) == sorted(JOBS)


@pytest.mark.parametrize(
    ("name", "permission", "less"),
    [
        pytest.param(name, permission, less, id=f"{name} {permission}")
        for name in JOBS
        for permission, less in without_each(read_role(name))
    ],
)
def test_no_permission_is_superfluous(
    built: Built,
    change_role: Callable[[str, dict[str, Any]], None],
    name: str,
    permission: str,
    less: dict[str, Any],
) -> None:
    change_role(name, less)
    with pytest.raises(ForbiddenError):
        JOBS[name](built)


@pytest.mark.parametrize("name", JOBS)
def test_the_permissions_suffice(built: Built, name: str) -> None:
    JOBS[name](built)


def test_a_wrong_password_and_none(built: Built) -> None:
    access = built.cluster.values("tandem_search")
    for changes in ({"password": "wrong"}, {"user": None, "password": None}):
        client = connect(ClusterSettings(**{**access, **changes}))
        with pytest.raises(ClusterUnreachableError, match=r"401.*TANDEM_OPENSEARCH_PASSWORD"):
            read_index_info(client, built.info.name)


def test_an_authority_that_is_not_trusted(built: Built) -> None:
    client = built.cluster.client("tandem_search", ca_file=None, max_retries=0)
    with pytest.raises(ClusterUnreachableError, match="TANDEM_OPENSEARCH_CA_FILE"):
        read_index_info(client, built.info.name)


def test_plain_http_to_the_port_of_tls(built: Built) -> None:
    url = built.cluster.engine.url.replace("https:", "http:")
    client = built.cluster.client("tandem_search", url=url, ca_file=None, max_retries=0)
    with pytest.raises(ClusterUnreachableError, match="begins with https://"):
        read_index_info(client, built.info.name)


def test_a_name_that_the_certificate_does_not_hold(built: Built) -> None:
    url = built.cluster.engine.url.replace("127.0.0.1", "127.0.0.2")
    client = built.cluster.client("tandem_search", url=url, max_retries=0)
    with pytest.raises(ClusterUnreachableError):
        read_index_info(client, built.info.name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"TANDEM_OPENSEARCH_PASSWORD": "wrong"}, "401", id="password"),
        pytest.param({"TANDEM_OPENSEARCH_CA_FILE": ""}, "TANDEM_OPENSEARCH_CA_FILE", id="CA"),
    ],
)
def test_commands_say_what_to_set(built: Built, changes: dict[str, str], message: str) -> None:
    done = tandem(built.cluster, "tandem_search", "search", built.info.name, "fee", **changes)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert built.cluster.passwords["tandem_search"] not in done.stderr + done.stdout


def test_a_client_waits_while_the_security_plugin_starts(secure_cluster: SecureCluster) -> None:
    if secure_cluster.start is None:
        pytest.skip("the engine ran before the tests: nobody saw it start")
    assert "security plugin was not initialised in time" in secure_cluster.start.impatient
    assert "TANDEM_OPENSEARCH_STARTUP_WAIT_S" in secure_cluster.start.impatient
    # The patient one saw no 503 at all, only the answer to its wrong password.
    assert "401" in secure_cluster.start.patient


def test_the_state_of_an_encoder_is_kept_by_name(built: Built) -> None:
    client = built.cluster.client(ADMIN)
    assert client.exists(index=STORE_INDEX, id=built.state)
