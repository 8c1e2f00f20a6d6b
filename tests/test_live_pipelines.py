"""Pipelines from a file on a real node, and documents written with and without them."""

import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from connected_models import Sides, both_sides, connect_sides
from model_server import ModelServer, serving
from opensearch_samples import TinyDense, TinySparse, encode

from encoders.base import named_weights
from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from encoders.registry import DEFAULT_DENSE
from ingest.pipeline import Encoders, run_pipeline
from ingest.records import Chunk, Document
from opensearch.capabilities import detect
from opensearch.cli.root import main
from opensearch.client import connect
from opensearch.encoder_store import save_state
from opensearch.exact_values import exact_values
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.index_spec import IndexSpec
from opensearch.indices import create_index, delete_index, refresh
from opensearch.ml.connectors.registration import Registered, forget
from opensearch.ml.connectors.spec import Connection
from opensearch.pipeline_files.bodies import is_managed
from opensearch.pipeline_files.cluster import all_default_pipelines, read_pipelines
from opensearch.pipeline_files.passage_script import passage_processor
from opensearch.pipeline_files.schema import PassageStep
from opensearch.plan import QueryEncoders, SearchRequest
from opensearch.search import Searcher
from opensearch.settings import load_settings
from opensearch.sink import IndexSink
from opensearch.workflows.connect_model import ConnectJob, connect_model
from opensearch.workflows.query_encoders import load_query_encoders
from opensearch.workflows.query_models import ModelChoice, open_model_searcher

pytestmark = pytest.mark.node
PROGRAM = (sys.executable, "-c", "from opensearch.cli.root import main; main()")
TOKEN = "a-token-of-the-tests"

SUBJECTS = "account card deposit fee loan mortgage payment refund transfer limit".split()
VERBS = "block open close charge repay raise lower report confirm cancel decline".split()
QUERIES = (
    "open an account",
    "E-4012",
    "repay the loan of 25,000",
    "card fee number 7",
    "cancel",
    "mortgage payment declined",
)


@pytest.fixture(scope="module")
def client(node_url: str) -> Any:
    return connect(load_settings(node_url))


@pytest.fixture(scope="module")
def name() -> str:
    return f"test-{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with serving(ModelServer(TinyDense(), TinySparse())) as running:
        yield running


@pytest.fixture(scope="module")
def models(client: Any, server: ModelServer, name: str) -> Iterator[dict[str, str]]:
    """Connected models of every kind by kind, those of queries by `dense-query`, `sparse-query`."""
    registered: list[Registered] = []
    names: dict[str, str] = {}
    encoders: dict[str, Any] = {"dense": TinyDense(), "sparse": TinySparse(), "rerank": None}
    for kind, encoder in encoders.items():
        wanted = Connection(server.url, kind, "tandem", f"{name}-{kind}")  # type: ignore[arg-type]
        sides = both_sides(client, wanted)
        registered += [r.registered for r in connect_sides(client, sides, encoder)]
        names |= {kind: sides["document"].name, f"{kind}-query": sides["query"].name}
    yield names
    for one in registered:
        forget(client, one)


def named(models: Mapping[str, str]) -> list[str]:
    """Options of `tandem pipelines init` for connected models."""
    return [part for kind, model in models.items() for part in (f"--{kind}-model", model)]


def documents(count: int = 60) -> list[Document]:
    """Distinct short texts; some with codes, some without a title."""
    found = []
    for n in range(count):
        subject, verb = SUBJECTS[n % 10], VERBS[(n // 3) % 11]
        code = f"Code E-{4000 + n}." if n % 4 == 0 else ""
        text = f"How to {verb} the {subject} number {n}. {code} The fee is {n},500 won."
        title = f"{subject} {verb} AB-{n}00" if n % 5 else ""
        found.append(Document(f"d{n}", text, title, {"lang": "en"}))
    return found


def whole(document: Document) -> Iterator[Chunk]:
    """A document as its only chunk."""
    yield Chunk(
        document.id, 0, document.text, 0, len(document.text), document.title, document.metadata
    )


def run(node_url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--url", node_url])


@pytest.fixture(scope="module")
def pipeline_file(name: str, models: dict[str, str], info: IndexInfo, node_url: str) -> str:
    chosen = {kind: model for kind, model in models.items() if kind != "rerank-query"}
    made = run(node_url, "pipelines", "init", name, *named(chosen))
    assert made.exit_code == 0, made.output
    return made.stdout


@pytest.fixture(scope="module")
def info(client: Any, name: str) -> Iterator[IndexInfo]:
    """An index as `tandem index` makes it."""
    words = LexicalEncoder.fit(d.text for d in documents())
    save_state(client, words.identity.fingerprint, "lexical", words.state())
    spec = IndexSpec(
        name,
        dense=TinyDense.identity,
        sparse=TinySparse.identity,
        notes={"dense_floor": 0.1, "word_statistics": words.identity.fingerprint},
    )
    found = create_index(client, spec, detect(client))
    yield found
    delete_index(client, found)


@pytest.fixture(scope="module")
def mixed(
    client: Any,
    info: IndexInfo,
    pipeline_file: str,
    node_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """Half of the documents by `_bulk` and pipeline, half by the ingest of `tandem index`."""
    path = tmp_path_factory.mktemp("pipelines") / "pipelines.toml"
    path.write_text(pipeline_file, encoding="utf-8")
    applied = run(node_url, "pipelines", "apply", str(path))
    assert applied.exit_code == 0, applied.output
    plain, ours = documents()[::2], documents()[1::2]
    lines: list[Any] = []
    for document in plain:
        lines.append({"index": {"_index": info.name, "_id": f"{document.id}#0"}})
        body = {"doc_id": document.id, "text": document.text, "metadata": dict(document.metadata)}
        lines.append({**body, "title": document.title} if document.title else body)
    answer = client.bulk(body=lines)
    assert not answer["errors"], json.dumps(answer)[:2000]
    index_ours(client, info, ours)
    refresh(client, info)
    yield path
    removed = run(node_url, "pipelines", "remove", str(path), "--force")
    assert removed.exit_code == 0, removed.output


def index_ours(client: Any, info: IndexInfo, chosen: Sequence[Document]) -> Any:
    encoders = Encoders(TinyDense(), TinySparse())
    sink = IndexSink(client, info)
    return run_pipeline(chosen, whole, encoders, sink, on_reject=lambda r: pytest.fail(str(r)))


def stored(client: Any, info: IndexInfo) -> dict[str, dict[str, Any]]:
    from opensearchpy.helpers import scan

    return {hit["_id"]: hit["_source"] for hit in scan(client, index=info.physical)}


def test_both_ways_store_the_same(
    client: Any, info: IndexInfo, mixed: Path, server: ModelServer
) -> None:
    before = len(server.requests)
    kept = stored(client, info)
    assert len(server.requests) == before
    assert len(kept) == 60
    records = encode(chunk for document in documents() for chunk in whole(document))
    sparse = TinySparse()
    ours_only = {"fingerprint", "encoder"}
    foreign = 0
    for record in records:
        source = kept[record.chunk.id]
        foreign += "fingerprint" not in source
        expected = {
            "doc_id": record.chunk.doc_id,
            "ordinal": 0,
            "level": "fine",
            "start": 0,
            "end": record.chunk.end,
            "title": record.chunk.title,
            "text": record.chunk.text,
            "metadata": {"lang": "en"},
        }
        assert {key: source[key] for key in expected} == expected
        assert source.get("exact", []) == exact_values(record.chunk.passage)
        assert source.get("exact_title", []) == exact_values(record.chunk.title)
        assert set(source) <= {*expected, *ours_only, "exact", "exact_title", "dense", "sparse"}
        cosine = float(np.dot(source["dense"], record.dense))
        assert cosine > 0.999
        weights = named_weights(sparse, record.sparse)
        assert source["sparse"] == pytest.approx(weights, abs=1e-3)
    assert foreign == 30


@pytest.mark.parametrize("mode", ["bm25", "dense", "sparse", "hybrid"])
def test_searches_by_model_and_by_client_agree(
    client: Any, info: IndexInfo, mixed: Path, mode: Any
) -> None:
    words = LexicalEncoder.fit(d.text for d in documents())
    by_client = Searcher(client, info, QueryEncoders(TinyDense(), TinySparse(), words))
    by_model = open_model_searcher(client, info, ModelChoice())
    for query in QUERIES:
        request = SearchRequest(query, mode=mode, size=20, leg_scores=True)
        ours, theirs = by_client.search(request), by_model.search(request)
        assert ours.legs == theirs.legs
        assert [h.id for h in ours.hits] == [h.id for h in theirs.hits]
        assert [h.score for h in ours.hits] == pytest.approx(
            [h.score for h in theirs.hits], rel=1e-4
        )
        for one, other in zip(ours.hits, theirs.hits, strict=True):
            assert one.legs == pytest.approx(dict(other.legs), rel=1e-4)
    assert {int(h.id[1:]) % 2 for h in theirs.hits} == {0, 1}  # of both origins


def test_a_mixed_index_ranks_like_one_written_by_us(
    client: Any, info: IndexInfo, mixed: Path, name: str
) -> None:
    own = create_index(
        client,
        IndexSpec(f"{name}-own", dense=TinyDense.identity, sparse=TinySparse.identity),
        detect(client),
    )
    try:
        index_ours(client, own, documents())
        refresh(client, own)
        encoders = QueryEncoders(TinyDense(), TinySparse())
        for query in QUERIES:
            request = SearchRequest(query, size=10)
            one, other = (Searcher(client, i, encoders).search(request) for i in (info, own))
            expected = {hit.id: hit.score for hit in one.hits}
            assert {hit.id: hit.score for hit in other.hits} == pytest.approx(expected, rel=1e-3)
    finally:
        delete_index(client, own)


def test_indexing_again_takes_foreign_documents_over(
    client: Any, info: IndexInfo, mixed: Path, server: ModelServer
) -> None:
    asked = len(server.requests)
    progress = index_ours(client, info, documents()[:4])
    assert (progress.unchanged, progress.written) == (2, 2)
    assert len(server.requests) == asked  # the index's own pipeline is not asked
    refresh(client, info)
    assert len(stored(client, info)) == 60


def test_models_encode_queries_of_the_command_line(
    node_url: str, info: IndexInfo, mixed: Path, models: dict[str, str]
) -> None:
    found = run(node_url, "search", info.name, "open an account", "--by-model", "--json")
    assert found.exit_code == 0, found.output
    hits = json.loads(found.stdout)
    assert {"bm25", "dense", "sparse"} == {leg for hit in hits for leg in hit["legs"]}
    chosen = ("--sparse-model-id", models["sparse-query"], "--mode", "sparse", "--json")
    by_name = run(node_url, "search", info.name, "open an account", *chosen)
    assert by_name.exit_code == 0, by_name.output
    assert json.loads(by_name.stdout)


def test_an_analyzer_encodes_queries_of_the_command_line(
    node_url: str, info: IndexInfo, mixed: Path, models: dict[str, str]
) -> None:
    analyzed = ("--sparse-analyzer", "bert-uncased", "--mode", "sparse")
    by_analyzer = run(node_url, "search", info.name, "open an account", *analyzed)
    assert by_analyzer.exit_code == 0, by_analyzer.output
    chosen = ("--sparse-model-id", models["sparse-query"])
    both = run(node_url, "search", info.name, "x", *chosen, *analyzed)
    assert both.exit_code == 2


def test_a_model_of_documents_encodes_no_queries(
    client: Any, node_url: str, info: IndexInfo, mixed: Path, server: ModelServer, name: str
) -> None:
    documents_only = Connection(server.url, "dense", "tandem", f"{name}-one", side="document")
    registered = connect_model(client, ConnectJob(documents_only)).registered
    try:
        chosen = ("--dense-model-id", documents_only.name, "--mode", "dense")
        refused = run(node_url, "search", info.name, "open an account", *chosen)
        assert refused.exit_code == 1
        assert "--side query" in refused.output.replace("\n", " ")
    finally:
        forget(client, registered)


def test_plain_queries_need_neither_model_nor_pipeline(
    client: Any, info: IndexInfo, mixed: Path, server: ModelServer
) -> None:
    """What another application sends: the index's search pipeline names models and fusion."""
    neural = {"neural": {"dense": {"query_text": "open an account", "k": 20}}}
    sparse = {"neural_sparse": {"sparse": {"query_text": "open an account"}}}
    words = {"match": {"text": "open an account"}}
    body: dict[str, Any] = {
        "query": {"hybrid": {"queries": [words, neural, sparse]}},
        "_source": ["text"],
    }
    hits = client.search(index=info.name, body=body)["hits"]["hits"]
    assert hits
    assert all(0 <= hit["_score"] <= 1 for hit in hits)
    reranked = client.search(
        index=info.name,
        body={
            **body,
            "ext": {"rerank": {"query_context": {"query_text": "How to open the account"}}},
        },
    )["hits"]["hits"]
    scores = [hit["_score"] for hit in reranked]
    assert scores == sorted(scores, reverse=True)
    assert max(scores) > 1  # shared words, counted by the cross-encoder
    assert "documents" in server.requests[-1][2]


def test_applying_again_changes_nothing_and_a_change_is_shown(
    client: Any, node_url: str, mixed: Path, name: str, tmp_path: Path
) -> None:
    again = run(node_url, "pipelines", "apply", str(mixed))
    assert "The cluster is as the file says." in again.output
    changed = tmp_path / "changed.toml"
    text = mixed.read_text(encoding="utf-8")
    changed.write_text(text.replace("batch_size = 16", "batch_size = 8", 1), encoding="utf-8")
    shown = run(node_url, "pipelines", "diff", str(changed))
    assert '+        "batch_size": 8' in shown.output
    assert '-        "batch_size": 16' in shown.output
    dry = run(node_url, "pipelines", "apply", str(changed), "--dry-run", "--json")
    assert len(json.loads(dry.stdout)) == 1
    body = read_pipelines(client, "ingest", f"{name}-documents")[f"{name}-documents"]
    assert body["processors"][1]["text_embedding"]["batch_size"] == 16


def test_a_used_pipeline_is_not_removed(
    client: Any, node_url: str, info: IndexInfo, mixed: Path, name: str
) -> None:
    refused = run(node_url, "pipelines", "remove", str(mixed))
    assert refused.exit_code == 1
    assert f"{info.physical} (index.default_pipeline)" in refused.output
    listed = json.loads(run(node_url, "pipelines", "list", "--json").stdout)
    mine = [p for p in listed if p["name"].startswith(name)]
    assert [(p["kind"], p["managed"], p["indices"]) for p in mine] == [
        ("ingest", True, [info.physical]),
        ("search", True, [info.physical]),
    ]
    assert all(p["models"] for p in mine)


def test_removing_with_force_detaches(
    client: Any, node_url: str, models: dict[str, str], name: str, tmp_path: Path
) -> None:
    index = f"{name}-bare"
    file = tmp_path / "bare.yaml"
    file.write_text(
        f"""
search:
  {index}-rrf:
    index: {index}
    fusion: {{method: rrf, rank_constant: 10, explain: true}}
    two_phase: {{prune_ratio: 0.3}}
    query_models: {{default: {models["dense-query"]}}}
""",
        encoding="utf-8",
    )
    missing = run(node_url, "pipelines", "apply", str(file))
    assert missing.exit_code == 1
    assert "There is no index" in missing.output
    client.indices.create(index=index, body={"settings": {"number_of_replicas": 0}})
    try:
        assert run(node_url, "pipelines", "apply", str(file)).exit_code == 0
        body = read_pipelines(client, "search", f"{index}-rrf")[f"{index}-rrf"]
        assert is_managed(body)
        assert len(body["request_processors"]) == 2
        assert all_default_pipelines(client)[index] == {
            "index.search.default_pipeline": f"{index}-rrf"
        }
        assert run(node_url, "pipelines", "remove", str(file), "--force").exit_code == 0
        assert index not in all_default_pipelines(client)
        assert not read_pipelines(client, "search", f"{index}-rrf")
    finally:
        client.indices.delete(index=index)


def test_foreign_pipelines_are_left_alone(
    client: Any, node_url: str, name: str, tmp_path: Path
) -> None:
    foreign = f"{name}-foreign"
    client.ingest.put_pipeline(id=foreign, body={"description": "mine", "processors": []})
    file = tmp_path / "foreign.toml"
    file.write_text(f'[[ingest.{foreign}.steps]]\nstep = "passage"\n', encoding="utf-8")
    try:
        for command in ("apply", "diff", "remove"):
            refused = run(node_url, "pipelines", command, str(file))
            assert refused.exit_code == 1
            assert "did not write" in refused.output.replace("\n", " ")
        assert run(node_url, "pipelines", "apply", str(file), "--force").exit_code == 0
        assert is_managed(read_pipelines(client, "ingest", foreign)[foreign])
    finally:
        client.ingest.delete_pipeline(id=foreign)


def test_every_step_is_accepted(
    client: Any, node_url: str, models: dict[str, str], name: str, tmp_path: Path
) -> None:
    file = tmp_path / "all.toml"
    file.write_text(
        f"""
[[ingest.{name}-all.steps]]
step = "text_chunking"
fields = {{ body = "pieces" }}
algorithm = "fixed_token_length"
token_limit = 200
overlap_rate = 0.1
[[ingest.{name}-all.steps]]
step = "text_embedding"
model = "{models["dense"]}"
fields = {{ text = "dense" }}
[[ingest.{name}-all.steps]]
step = "sparse_encoding"
model = "{models["sparse"]}"
fields = {{ text = "sparse" }}
prune_type = "top_k"
prune_ratio = 32
[search.{name}-l2.fusion]
method = "l2"
combination = "harmonic"
legs = ["bm25", "sparse"]
weights = {{ bm25 = 1, sparse = 3 }}
[search.{name}-rrf.fusion]
method = "rrf"
[search.{name}-rank.rerank]
model = "{models["rerank"]}"
""",
        encoding="utf-8",
    )
    _apply_and_remove(node_url, file)


NEWER = {
    "fixed_char_length": """
[[ingest.{name}-newer.steps]]
step = "text_chunking"
fields = {{ body = "pieces" }}
algorithm = "fixed_char_length"
char_limit = 200
overlap_rate = 0.1
""",
    "skip_existing": """
[[ingest.{name}-newer.steps]]
step = "text_embedding"
model = "{dense}"
fields = {{ text = "dense" }}
skip_existing = true
""",
    "zscore": """
[search.{name}-newer.fusion]
method = "zscore"
""",
    "weighted rrf": """
[search.{name}-newer.fusion]
method = "rrf"
weights = {{ bm25 = 1, dense = 2, sparse = 1 }}
""",
    "bounds": """
[search.{name}-newer.fusion]
bounds = {{ dense = {{ low = 1.1, high = 2.0 }} }}
""",
}


@pytest.mark.parametrize("text", NEWER.values(), ids=NEWER)
def test_what_came_with_version_3_is_accepted(
    node_url: str, models: dict[str, str], name: str, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "newer.toml"
    file.write_text(text.format(name=name, dense=models["dense"]), encoding="utf-8")
    _apply_and_remove(node_url, file)


def _apply_and_remove(node_url: str, file: Path) -> None:
    applied = run(node_url, "pipelines", "apply", str(file))
    assert applied.exit_code == 0, applied.output
    shown = run(node_url, "pipelines", "diff", str(file))
    assert "The cluster is as the file says." in shown.output
    assert run(node_url, "pipelines", "remove", str(file)).exit_code == 0


ODD = (
    "E-4012 and 25,000원 are exact; 2024 is a year, 20241 is none",
    "AB12/cd_ x-99 99-x 1,2345 1234.50 .1234 12345.6-7 E_40-12. (K9-1000)",
    "카드E-4012가 25000원, １２３４５ ＡＢ１２ 漢字A100漢字",
    "a1b2c3/d4.e5-f6_g7 12,345,678.90 1234,567 9999999",
)


def test_the_script_finds_the_exact_values_that_we_find(client: Any) -> None:
    processor = passage_processor(PassageStep(step="passage"))
    docs = [{"_id": str(n), "_source": {"text": text}} for n, text in enumerate(ODD)]
    body = {"pipeline": {"processors": [processor]}, "docs": docs}
    answer = client.ingest.simulate(body=body)
    for text, result in zip(ODD, answer["docs"], strict=True):
        assert result["doc"]["_source"].get("exact", []) == exact_values(text)


@pytest.mark.parametrize(
    ("action", "document", "message"),
    [({}, {"text": "x"}, "needs an _id"), ({"_id": "1"}, {"title": "x"}, "must hold a text")],
    ids=["no id", "no text"],
)
def test_documents_that_cannot_be_encoded_are_refused(
    client: Any, info: IndexInfo, mixed: Path, action: Any, document: Any, message: str
) -> None:
    answer = client.bulk(body=[{"index": {"_index": info.name, **action}}, document])
    assert message in json.dumps(answer["items"][0]["index"]["error"])


def test_a_dead_model_server_fails_documents_one_by_one(
    client: Any, info: IndexInfo, mixed: Path, server: ModelServer
) -> None:
    server.key = "changed meanwhile"
    try:
        lines = [{"index": {"_index": info.name, "_id": "late#0"}}, {"text": "late"}]
        answer = client.bulk(body=lines)
    finally:
        server.key = None
    assert answer["errors"]
    assert "late#0" not in stored(client, info)


def tandem(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own: it loads real models."""
    done = subprocess.run(
        [*PROGRAM, *arguments, "--url", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@contextmanager
def encoder_server(url: str, index: str, port: int, log: Path) -> Iterator[str]:
    """``tandem serve`` with the encoders of an index; gives its address."""
    options = ("--port", str(port), "--sparse", "lexical", "--statistics-of", index)
    command = [*PROGRAM, "serve", "--dense", DEFAULT_DENSE, *options, "--url", url]
    environment = {**os.environ, "TANDEM_SERVE_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"}
    with log.open("ab") as errors:
        process = subprocess.Popen(command, env=environment, stderr=errors)
        try:
            wait_for(f"http://127.0.0.1:{port}/ready", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(20)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended"
        with suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    pytest.fail("the server is not ready in time")


class Clients:
    """Sixteen clients that write a document and search for it, again and again."""

    def __init__(self, url: str, index: str) -> None:
        self._url = url
        self._index = index
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(16)]
        self.answered = threading.Event()
        self.written: list[str] = []
        self.failures: list[str] = []
        self.slowest = 0.0

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ending.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    def check(self, kept: Mapping[str, Any]) -> None:
        """Every acknowledged document is whole, no other one is there, every fault is explained."""
        late = {key: source for key, source in kept.items() if key.startswith("late-")}
        assert set(late) == set(self.written)
        assert all({"dense", "sparse"} <= set(source) for source in late.values())
        assert self.failures, "the server was gone, and nobody noticed"
        explained = ("remote", "Connection", "connect", "503")
        assert [f for f in self.failures if not any(word in f for word in explained)] == []
        assert self.slowest < 20

    def _run(self, number: int) -> None:
        from opensearchpy.exceptions import TransportError

        client = connect(load_settings(self._url, max_retries=0))
        for turn in itertools.count():
            if self._ending.is_set():
                return
            started = time.monotonic()
            try:
                self._write_and_search(client, f"late-{number}-{turn}")
            except TransportError as error:
                self.failures.append(str(error))
            self.slowest = max(self.slowest, time.monotonic() - started)

    def _write_and_search(self, client: Any, key: str) -> None:
        body = [{"index": {"_index": self._index, "_id": key}}, {"text": f"A late fee, {key}."}]
        item = client.bulk(body=body)["items"][0]["index"]
        if item["status"] >= 300:
            self.failures.append(json.dumps(item["error"]))
            return
        self.written.append(key)
        query = {"neural": {"dense": {"query_text": "a late fee", "k": 5}}}
        found = client.search(index=self._index, body={"query": query})
        if "hits" not in found:  # a failure with status 200: it must be explained as any other
            self.failures.append(json.dumps(found))
        elif not found["hits"]["hits"]:
            self.failures.append("nothing was found")
        self.answered.set()


def test_the_embedded_model_behind_our_own_server(
    client: Any, node_url: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tandem index`, `tandem serve`, connectors, pipelines, `_bulk`: all real, one killed."""
    index = f"{name}-real"
    ours, foreign = documents(40)[:20], documents(40)[20:]
    corpus = tmp_path / "corpus.jsonl"
    lines = ({"_id": d.id, "title": d.title, "text": d.text} for d in ours)
    corpus.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    tandem(node_url, "index", str(corpus), "--index", index)
    info = read_index_info(client, index)
    registered: list[Registered] = []
    monkeypatch.setenv("SERVER_KEY", TOKEN)
    place = (node_url, index, free_port(), tmp_path / "serve.log")
    clients = Clients(node_url, index)
    try:
        with encoder_server(*place) as server:
            models: dict[str, str] = {}
            for kind in ("dense", "sparse"):
                wanted = Connection(server, kind, "tandem", f"{index}-{kind}")
                sides = both_sides(client, wanted)
                registered += _connect_by_command(node_url, sides)
                models |= {kind: sides["document"].name, f"{kind}-query": sides["query"].name}
            file = tmp_path / "pipelines.toml"
            made = run(node_url, "pipelines", "init", index, *named(models))
            file.write_text(made.stdout, "utf-8")
            applied = run(node_url, "pipelines", "apply", str(file))
            assert applied.exit_code == 0, applied.output
            bulk: list[Any] = []
            for document in foreign:
                bulk.append({"index": {"_index": index, "_id": document.id}})
                bulk.append({"title": document.title, "text": document.text})
            answer = client.bulk(body=bulk)
            assert not answer["errors"], json.dumps(answer)[:2000]
            refresh(client, info)
            _compare_with_local_encoders(client, info, foreign)
            clients.start()
            time.sleep(1.5)
        time.sleep(1.5)  # the server was killed under their hands
        with encoder_server(*place):
            clients.answered.clear()
            assert clients.answered.wait(20), "nobody was answered after the restart"
            clients.stop()
        assert run(node_url, "pipelines", "remove", str(file), "--force").exit_code == 0
        refresh(client, info)
        clients.check(stored(client, info))
    finally:
        clients.stop()
        for one in registered:
            forget(client, one)
        delete_index(client, info)
    assert "transfer" not in (tmp_path / "serve.log").read_text(encoding="utf-8")


def _connect_by_command(node_url: str, sides: Sides) -> Iterator[Registered]:
    """`tandem models connect`, once or once for each side."""
    for one in {connection.name: connection for connection in sides.values()}.values():
        given = ("--kind", one.kind, "--name", one.name, "--side", one.side)
        compared = ("--dense", DEFAULT_DENSE) if one.kind == "dense" else ()
        options = (*given, *compared, "--key-env", "SERVER_KEY", "--json")
        done = run(node_url, "models", "connect", one.url, *options)
        assert done.exit_code == 0, done.output
        report = json.loads(done.stdout)
        yield Registered(report["model_id"], report["connector_id"], "created")


def _compare_with_local_encoders(client: Any, info: IndexInfo, foreign: Sequence[Document]) -> None:
    local = load_query_encoders(client, info, LoadOptions())
    assert local.dense is not None
    assert local.sparse is not None
    kept = stored(client, info)
    passages = [next(whole(document)).passage for document in foreign]
    vectors = local.dense.encode_documents(passages)
    weights = [named_weights(local.sparse, v) for v in local.sparse.encode_documents(passages)]
    for document, vector, tokens in zip(foreign, vectors, weights, strict=True):
        assert float(np.dot(kept[document.id]["dense"], vector)) > 0.999
        assert kept[document.id]["sparse"] == pytest.approx(tokens, abs=1e-3)
    by_client, by_model = (
        Searcher(client, info, local),
        open_model_searcher(client, info, ModelChoice()),
    )
    for query in QUERIES:
        for mode in ("dense", "sparse", "hybrid"):
            request = SearchRequest(query, mode=mode)
            one, other = by_client.search(request), by_model.search(request)
            assert [h.score for h in one.hits] == pytest.approx(
                [h.score for h in other.hits], rel=1e-3
            )


def test_our_own_searches_go_around_the_pipeline_of_an_index(
    client: Any, info: IndexInfo, mixed: Path, node_url: str, name: str, tmp_path: Path
) -> None:
    """A two-phase pipeline forbids collapsing, which every search of ours does."""
    file = tmp_path / "two-phase.toml"
    file.write_text(
        f"[search.{name}-two]\nindex = '{info.name}'\n[search.{name}-two.two_phase]\n", "utf-8"
    )
    searcher = Searcher(client, info, QueryEncoders(TinyDense(), TinySparse()))
    request = SearchRequest("open an account", mode="sparse")
    before = searcher.search(request).hits
    assert run(node_url, "pipelines", "apply", str(file)).exit_code == 0
    try:
        assert searcher.search(request).hits == before
    finally:
        assert run(node_url, "pipelines", "apply", str(mixed)).exit_code == 0
    assert run(node_url, "pipelines", "remove", str(file)).exit_code == 0
