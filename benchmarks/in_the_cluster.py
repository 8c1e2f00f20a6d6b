"""Queries by model id give what local encoders give: models on the nodes, and models beside them.

Takes the embedded dense model and a sparse one, trains nothing, and does everything a team does
that wants to query from OpenSearch itself: models into the cluster, an index, pipelines, documents
by a plain `_bulk`, queries in every mode by model id alone. First with both models on the nodes (as
ONNX), then with `tandem serve` and connectors, under concurrent clients, while the server is killed
and started again. Writes docs/in-the-cluster.md.

    python benchmarks/in_the_cluster.py --corpus BEIR_FOLDER --split dev

Without --sparse the sparse model is the untrained SPLADE of the embedded dense model, made from the
corpus (about a minute).
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from encoders.base import DenseEncoder, SparseEncoder
from encoders.options import LoadOptions
from encoders.prior_build import build_prior
from encoders.registry import DEFAULT_DENSE, load_dense, load_sparse, read_model
from ingest.readers.open_source import read_source
from opensearch.capabilities import detect
from opensearch.client import connect
from opensearch.errors import SearchBackendError
from opensearch.index_info import IndexInfo
from opensearch.index_spec import IndexSpec
from opensearch.indices import create_index, delete_index, index_exists, refresh
from opensearch.model_queries import QueryModels
from opensearch.plan import QueryEncoders, SearchRequest
from opensearch.search import Searcher
from opensearch.settings import load_settings
from opensearch.workflows.push_model import Naming, PushRequest, push
from training.evaluation.datasets import find_split, load_split
from training.evaluation.metrics import PRIMARY, evaluate_run
from training.evaluation.runs import ranked

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "in-the-cluster.md"
MODES = ("bm25", "dense", "sparse", "hybrid")
DOCUMENTS = 1000
QUERIES = 100
CLIENTS = 16
SECONDS = 45.0
SLOWEST_S = 60.0
REST_S = 180.0
TOKEN = "a-token-for-this-run-only"
PROGRAM = [sys.executable, "-c", "from opensearch.cli.root import main; main()"]
Document = tuple[str, str, str]


@dataclass
class Outcome:
    """What one half of the page says."""

    title: str
    bulk_s: float = 0.0
    agreement: dict[str, tuple[float, float]] = field(default_factory=dict)
    ndcg: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass
class Storm:
    """What concurrent clients saw while the server came and went."""

    answered: int = 0
    written: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    incomplete: int = 0
    stored: int = 0
    expected: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    """Run both halves and write the page."""
    options = arguments()
    client = connect(load_settings(url=options.url))
    with TemporaryDirectory(prefix="tandem-cluster-") as folder:
        work = Path(folder)
        documents = [
            (d.id, d.title, d.text) for d in islice(read_source(options.corpus), DOCUMENTS)
        ]
        sparse_model = options.sparse or untrained_sparse(documents, work / "sparse")
        dense, sparse = load_dense(), load_sparse(sparse_model)
        bench = Bench(client, options, work, documents, dense, sparse, sparse_model)
        on_nodes = bench.on_the_nodes()
        beside, storm = bench.beside_the_nodes()
    page = render(options, [on_nodes, beside], storm, sparse)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    print(page)
    verdict(on_nodes, beside, storm)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True, help="BEIR folder")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--sparse", help="sparse model (folder or hub id)")
    parser.add_argument("--url", help="OpenSearch; default: the local engine")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of the load")
    parser.add_argument("--write", action="store_true", help="write docs/in-the-cluster.md")
    options = parser.parse_args()
    options.url = options.url or engine_url()
    return options


def engine_url() -> str:
    """Address of the local engine."""
    done = subprocess.run(
        [*PROGRAM, "engine", "status", "--json"], capture_output=True, text=True, check=True
    )
    answer = json.loads(done.stdout)
    return str((answer[0] if isinstance(answer, list) else answer)["url"])


def untrained_sparse(documents: Sequence[Document], folder: Path) -> str:
    """A SPLADE encoder that nobody trained: the dense model's words, the corpus's statistics."""
    started = time.perf_counter()
    model = read_model(DEFAULT_DENSE, LoadOptions(), "dense")
    build_prior(model, (passage(document) for document in documents), folder)
    print(f"sparse model made in {time.perf_counter() - started:.0f} s", flush=True)
    return str(folder)


def passage(document: Document) -> str:
    """What encoders read of a document."""
    _, title, text = document
    return f"{title}\n{text}" if title else text


@dataclass
class Bench:
    """Both halves over the same documents and encoders."""

    client: Any
    options: argparse.Namespace
    work: Path
    documents: list[Document]
    dense: DenseEncoder
    sparse: SparseEncoder
    sparse_model: str

    def on_the_nodes(self) -> Outcome:
        """Both models as ONNX in ML Commons."""
        names = {"dense": "bench-dense", "sparse": "bench-sparse"}
        pushed = push(self.client, PushRequest(DEFAULT_DENSE, naming=Naming(names["dense"])))
        pushed += push(
            self.client, PushRequest(self.sparse_model, "sparse", naming=Naming(names["sparse"]))
        )
        for one in pushed:
            print(f"{one.model.name}: {one.verification}, {one.seconds:.0f} s", flush=True)
        ids = {one.model.name: one.model.id for one in pushed}
        query_side = ids.get("bench-sparse-query", ids["bench-sparse"])
        models = QueryModels(dense=ids["bench-dense"], sparse=query_side)
        given = ["--dense-model", "bench-dense", "--sparse-model", "bench-sparse"]
        if "bench-sparse-query" in ids:
            given += ["--sparse-query-model", "bench-sparse-query"]
        with self.index("bench-nodes", given) as info:
            outcome = Outcome("Models on the nodes")
            outcome.bulk_s = self.write_all(info)
            self.compare(info, models, outcome)
        return outcome

    def beside_the_nodes(self) -> tuple[Outcome, Storm]:
        """The same models behind `tandem serve`."""
        port = free_port()
        with Server(self, port) as server:
            models = {kind: self.connected(kind, port) for kind in ("dense", "sparse")}
            given = ["--dense-model", "bench-dense-served", "--sparse-model", "bench-sparse-served"]
            with self.index("bench-served", given) as info:
                outcome = Outcome("Models beside the nodes (`tandem serve`)")
                outcome.bulk_s = self.write_all(info)
                self.compare(info, QueryModels(**models), outcome)
            with self.index("bench-storm", given) as info:
                storm = self.storm(info, QueryModels(**models), server)
        return outcome, storm

    @contextmanager
    def index(self, name: str, given: Sequence[str]) -> Iterator[IndexInfo]:
        """An index as `tandem index` makes it, with its pipelines, removed at the end."""
        spec = IndexSpec(name, dense=self.dense.identity, sparse=self.sparse.identity)
        if index_exists(self.client, name):
            sys.exit(f"There is an index {name} already; delete it first.")
        info = create_index(self.client, spec, detect(self.client))
        file = self.work / f"{name}.toml"
        try:
            file.write_text(self.tandem("pipelines", "init", name, *given), encoding="utf-8")
            self.tandem("pipelines", "apply", str(file))
            yield info
        finally:
            self.tandem("pipelines", "remove", str(file), "--force")
            delete_index(self.client, info)

    def tandem(self, *arguments: str) -> str:
        """The command, as a user calls it."""
        environment = {**os.environ, "BENCH_TOKEN": TOKEN}
        done = subprocess.run(
            [*PROGRAM, *arguments, "--url", self.options.url],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"tandem {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def connected(self, kind: str, port: int) -> str:
        """A model of the server, registered with the cluster; its id."""
        given = ("--kind", kind, "--name", f"bench-{kind}-served", "--key-env", "BENCH_TOKEN")
        model = ("--dense", DEFAULT_DENSE) if kind == "dense" else ("--sparse", self.sparse_model)
        address = f"http://127.0.0.1:{port}"
        limits = ("--apply-settings", "--replace", "--json")
        report = self.tandem("models", "connect", address, *given, *model, *limits)
        return str(json.loads(report)["model_id"])

    def write_all(self, info: IndexInfo) -> float:
        """Every document by a plain `_bulk`; seconds."""
        started = time.perf_counter()
        for start in range(0, len(self.documents), 50):
            failed = self.write(info, self.documents[start : start + 50])
            if failed:
                sys.exit(f"{len(failed)} documents failed: {next(iter(failed.values()))}")
        refresh(self.client, info)
        return time.perf_counter() - started

    def write(self, info: IndexInfo, documents: Sequence[Document]) -> dict[str, str]:
        """Documents without vectors, as any client writes them; reasons of those that failed."""
        lines: list[Any] = []
        for number, title, text in documents:
            lines += [{"index": {"_id": number}}, {"title": title, "text": text}]
        answer = self.client.bulk(body=lines, index=info.name, request_timeout=300)
        items = (item["index"] for item in answer["items"])
        return {i["_id"]: str(i["error"].get("reason")) for i in items if "error" in i}

    def compare(self, info: IndexInfo, models: QueryModels, outcome: Outcome) -> None:
        """Rankings by model id against rankings by local encoders, in every mode."""
        by_client = Searcher(self.client, info, QueryEncoders(self.dense, self.sparse))
        by_model = Searcher(self.client, info, QueryEncoders(models=models))
        judged = load_split(find_split(self.options.corpus, self.options.split))
        known = {number for number, _, _ in self.documents}
        queries = [q for q in judged if known & set(judged.qrels[q.id])][:QUERIES]
        for mode in MODES:
            overlap, worst = [], 0.0
            runs: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
            for query in queries:
                request = SearchRequest(query.text, mode=mode)  # type: ignore[arg-type]
                ours, theirs = by_client.search(request).hits, by_model.search(request).hits
                overlap.append(len({h.id for h in ours} & {h.id for h in theirs}) / len(ours))
                scores = {h.id: h.score for h in ours}
                gaps = [
                    abs(h.score - scores[h.id]) / scores[h.id] for h in theirs if h.id in scores
                ]
                worst = max([worst, *gaps])
                for run, hits in zip(runs, (ours, theirs), strict=True):
                    run[query.id] = ranked((h.id, h.score) for h in hits)
            outcome.agreement[mode] = (sum(overlap) / len(overlap), worst)
            qrels = {query.id: judged.qrels[query.id] for query in queries}
            first, second = (evaluate_run(run, qrels).aggregate[PRIMARY] for run in runs)
            outcome.ndcg[mode] = (first, second)
            print(outcome.title, mode, outcome.agreement[mode], outcome.ndcg[mode], flush=True)

    def storm(self, info: IndexInfo, models: QueryModels, server: "Server") -> Storm:
        """Concurrent clients write and search while the server is killed and started again."""
        storm = Storm(expected=min(len(self.documents), 400))
        end = time.monotonic() + self.options.seconds
        waiting = list(self.documents[: storm.expected])
        threads = [
            threading.Thread(target=self.customer, args=(n, info, models, storm, waiting, end))
            for n in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(self.options.seconds / 3)
        server.kill()
        time.sleep(self.options.seconds / 6)
        server.start()
        for thread in threads:
            thread.join(SLOWEST_S + self.options.seconds)
        if any(thread.is_alive() for thread in threads):
            sys.exit("A client hangs.")
        self.write_rest(info, storm, waiting)
        return storm

    def customer(
        self,
        number: int,
        info: IndexInfo,
        models: QueryModels,
        storm: Storm,
        waiting: list[Document],
        end: float,
    ) -> None:
        """One client: every fourth writes, the others search; what failed is tried again."""
        client = connect(load_settings(url=self.options.url))
        searcher = Searcher(client, info, QueryEncoders(models=models))
        turn = number
        while time.monotonic() < end:
            started = time.monotonic()
            turn += 1
            if number % 4 == 0:
                self.write_some(info, storm, waiting)
            else:
                _, title, text = self.documents[turn % len(self.documents)]
                mode = MODES[turn % len(MODES)]
                request = SearchRequest(title or text[:80], mode=mode)  # type: ignore[arg-type]
                self.ask(searcher, request, storm)
            with storm.lock:
                storm.slowest_s = max(storm.slowest_s, time.monotonic() - started)

    def ask(self, searcher: Searcher, request: SearchRequest, storm: Storm) -> None:
        """One search; a refusal is counted by what it says."""
        try:
            searcher.search(request)
        except SearchBackendError as error:
            with storm.lock:
                storm.refused[kind_of(str(error))] += 1
            time.sleep(0.2)
        else:
            with storm.lock:
                storm.answered += 1

    def write_some(self, info: IndexInfo, storm: Storm, waiting: list[Document]) -> None:
        """Write a few documents; those that were refused wait for another turn."""
        with storm.lock:
            mine = [waiting.pop() for _ in range(min(4, len(waiting)))]
        if not mine:
            time.sleep(0.2)
            return
        failed = self.write(info, mine)
        with storm.lock:
            storm.written += len(mine) - len(failed)
            storm.refused.update(kind_of(reason) for reason in failed.values())
            waiting += [document for document in mine if document[0] in failed]

    def write_rest(self, info: IndexInfo, storm: Storm, waiting: list[Document]) -> None:
        """What is left over, now that the server is back; then look for half-written documents."""
        end = time.monotonic() + REST_S
        while waiting:
            mine, waiting = waiting[:8], waiting[8:]
            failed = self.write(info, mine)
            waiting += [document for document in mine if document[0] in failed]
            if failed and time.monotonic() > end:
                sys.exit(f"The server is back, but: {next(iter(failed.values()))}")
        refresh(self.client, info)
        missing = [{"bool": {"must_not": {"exists": {"field": f}}}} for f in ("dense", "doc_id")]
        count = self.client.count(index=info.physical)["count"]
        half = self.client.count(index=info.physical, body={"query": {"bool": {"should": missing}}})
        bare = [h for h in self.sources(info) if not h["_source"].get("sparse")]
        storm.stored, storm.incomplete = int(count), int(half["count"]) + len(bare)

    def sources(self, info: IndexInfo) -> list[dict[str, Any]]:
        """Every stored document's token weights."""
        body = {"size": DOCUMENTS, "_source": ["sparse"]}
        hits: list[dict[str, Any]] = self.client.search(index=info.physical, body=body)["hits"][
            "hits"
        ]
        return hits


def kind_of(reason: str) -> str:
    """A message without what differs from time to time."""
    for mark in ("Connection refused", "Connection reset", "prematurely closed", "timed out"):
        if mark.lower() in reason.lower():
            return mark
    return reason[:100]


class Server:
    """`tandem serve` as a process that can be killed and started again on the same port."""

    def __init__(self, bench: Bench, port: int) -> None:
        self._command = [
            *(*PROGRAM, "serve", "--dense", DEFAULT_DENSE, "--sparse", bench.sparse_model),
            *("--port", str(port)),
        ]
        self._address = f"http://127.0.0.1:{port}"
        self._log = (bench.work / "serve.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(30)
        self._log.close()

    def start(self) -> None:
        """Start and wait until it is ready."""
        environment = {**os.environ, "TANDEM_SERVE_TOKEN": TOKEN}
        self._process = subprocess.Popen(self._command, env=environment, stderr=self._log)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with suppress(OSError), urllib.request.urlopen(f"{self._address}/ready", timeout=2):
                return
            time.sleep(0.2)
        sys.exit("The server did not become ready.")

    def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def render(
    options: argparse.Namespace, halves: Sequence[Outcome], storm: Storm, sparse: SparseEncoder
) -> str:
    """The page, from the figures."""
    rows = [
        f"| {half.title} | {mode} | {overlap:.1%} | {gap:.1e} | "
        f"{half.ndcg[mode][0]:.4f} | {half.ndcg[mode][1]:.4f} |"
        for half in halves
        for mode, (overlap, gap) in half.agreement.items()
    ]
    bulk = "; ".join(f"{half.title.lower()}: {half.bulk_s:.0f} s" for half in halves)
    refused = "\n".join(f"| {reason} | {count} |" for reason, count in storm.refused.most_common())
    return TEXT.format(
        corpus=options.corpus.name,
        split=options.split,
        sparse=sparse.identity.model if options.sparse else "untrained SPLADE of the dense model",
        rows="\n".join(rows),
        bulk=bulk,
        seconds=options.seconds,
        clients=CLIENTS,
        storm=storm,
        refused=refused or "| none | 0 |",
    )


TEXT = """# Queries by model id, measured

    python benchmarks/in_the_cluster.py --corpus {corpus} --split {split} --write

1,000 documents written by a plain `_bulk` through an ingest pipeline, queries by model id alone;
dense: the embedded all-MiniLM-L6-v2, sparse: {sparse}. Beside them the same queries with local
encoders: overlap of the first ten, the largest relative difference of a score, NDCG@10 of both
(over the queries whose documents are among the 1,000).

| models | mode | same hits | largest score gap | NDCG@10, local | NDCG@10, by model id |
| --- | --- | ---: | ---: | ---: | ---: |
{rows}

Writing the documents, encoding included: {bulk}.

## The server killed under load

{clients} clients for {seconds:.0f} s, a quarter of them writing, the others searching in all modes
by model id. After a third of the time the server was killed (SIGKILL), after half of it started
again.

| | |
| --- | ---: |
| searches answered | {storm.answered} |
| documents written during the load | {storm.written} |
| slowest request | {storm.slowest_s:.1f} s |
| documents asked for / stored in the end | {storm.expected} / {storm.stored} |
| stored without vector or weights | {storm.incomplete} |

What was refused, by the reason given (each document of a bulk request counts; all were written in
the end):

| reason | times |
| --- | ---: |
{refused}
"""


def verdict(on_nodes: Outcome, beside: Outcome, storm: Storm) -> None:
    """Fail where the page would be no proof."""
    low = [
        (half.title, mode)
        for half in (on_nodes, beside)
        for mode, (overlap, gap) in half.agreement.items()
        if overlap < 0.99 or gap > 1e-2
    ]
    if low or storm.incomplete or storm.stored != storm.expected:
        sys.exit(f"Not equal: {low}; {storm.incomplete} incomplete, {storm.stored} stored")


if __name__ == "__main__":
    main()
