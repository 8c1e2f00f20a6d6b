"""Three nodes of OpenSearch 3.6.0: a data node dies and returns while people search."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest
from conftest import started
from opensearch_samples import DENSE, SPARSE, TinyDense, TinySparse, encode, passage

from opensearch.capabilities import detect
from opensearch.client import connect
from opensearch.errors import SearchBackendError
from opensearch.index_spec import IndexSpec
from opensearch.indices import create_index, refresh
from opensearch.local.config import NodeFolders
from opensearch.local.state import EngineState, NodeState, alive_part
from opensearch.plan import QueryEncoders, SearchRequest
from opensearch.search import Searcher
from opensearch.settings import load_settings
from opensearch.writer import write_chunks

pytestmark = pytest.mark.cluster

logger = logging.getLogger(__name__)

WORDS = "account card cash cheque credit deposit fee interest loan transfer rate wire".split()
DOCUMENTS = 600
QUERIES = [f"{a} {b}" for a in WORDS[:5] for b in WORDS[5:10]]
# From the start of the queries.
KILLED_AT_S, RETURNS_AT_S, OVER_AT_S = 5.0, 12.0, 25.0


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineState]:
    with started(name="three", nodes=3, heap="512m") as state:
        yield state


def test_several_addresses_are_one_setting(engine: EngineState) -> None:
    client = connect(load_settings(",".join(engine.urls)))
    assert len(client.transport.hosts) == 3
    assert client.cluster.health()["number_of_nodes"] == 3


@dataclass
class Asker:
    """Searches again and again, as one of several clients of one ``Searcher``.

    Attributes:
        searcher: What it asks.
        over: When to stop.
        pages: Ids of the page of each query, as last seen.
        count: Queries that were answered.
        failures: Messages of those that were not.
        slowest_s: The longest wait.
    """

    searcher: Searcher
    over: threading.Event
    pages: dict[str, list[str]] = field(default_factory=dict)
    count: int = 0
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def run(self) -> None:
        while not self.over.is_set():
            text = QUERIES[self.count % len(QUERIES)]
            began = time.monotonic()
            try:
                self.pages[text] = page(self.searcher, text)
            except SearchBackendError as error:
                self.failures.append(str(error))
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            self.count += 1


def page(searcher: Searcher, text: str) -> list[str]:
    return [hit.id for hit in searcher.search(SearchRequest(text)).hits]


def overlap(one: dict[str, list[str]], two: dict[str, list[str]]) -> float:
    """Mean share of the hits of a page that are on the other page too."""
    shares = [len(set(one[text]) & set(two[text])) / len(one[text]) for text in one]
    return sum(shares) / len(shares)


def data_node(client: Any, engine: EngineState) -> NodeState:
    """A node that is not the cluster manager, and holds a primary shard."""
    (manager,) = client.cat.cluster_manager(format="json")
    shards = client.cat.shards(format="json", index="docs*")
    holders = {s["node"] for s in shards if s["prirep"] == "p"} - {manager["node"]}
    return next(node for node in engine.nodes if node.name in holders)


def revive(node: NodeState, command: list[str], environment: dict[str, str]) -> psutil.Popen:
    """Start a killed node again, as it was started."""
    folders = NodeFolders(node.data.parent)
    with (node.logs / "revived.log").open("wb") as output:
        info = folders.tmp.stat()
        as_root = os.geteuid() == 0
        return psutil.Popen(
            command,
            env=environment,
            cwd=folders.tmp,
            stdout=output,
            stderr=output,
            user=info.st_uid if as_root else None,
            group=info.st_gid if as_root else None,
            extra_groups=[] if as_root else None,
        )


def wait_for(client: Any, **wanted: Any) -> None:
    params = {**{key: str(value) for key, value in wanted.items()}, "timeout": "150s"}
    client.cluster.health(params=params, request_timeout=160)


def test_no_search_fails_while_a_data_node_dies_and_returns(engine: EngineState) -> None:
    client = connect(load_settings(",".join(engine.urls)))
    spec = IndexSpec("docs", dense=DENSE, sparse=SPARSE, shards=3, replicas=1)
    info = create_index(client, spec, detect(client))
    texts = [
        " ".join(WORDS[(n // 12**p) % 12] for p in range(3)) + f" {n}" for n in range(DOCUMENTS)
    ]
    write_chunks(client, info, encode(passage(f"d{n}", text) for n, text in enumerate(texts)))
    refresh(client, info)
    wait_for(client, wait_for_status="green")
    searcher = Searcher(client, info, QueryEncoders(TinyDense(), TinySparse()))
    before = {text: page(searcher, text) for text in QUERIES}

    victim = data_node(client, engine)
    process = psutil.Process(victim.process.pid)
    command, environment = process.cmdline(), process.environ()
    over = threading.Event()
    askers = [Asker(searcher, over) for _ in range(2)]
    threads = [threading.Thread(target=asker.run) for asker in askers]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    revived = None
    try:
        time.sleep(KILLED_AT_S)
        os.kill(victim.process.pid, signal.SIGKILL)
        time.sleep(RETURNS_AT_S - KILLED_AT_S)
        revived = revive(victim, command, environment)
        time.sleep(max(0.0, OVER_AT_S - (time.monotonic() - began)))
        over.set()
        for thread in threads:
            thread.join(60)
        asked = sum(asker.count for asker in askers)
        slowest = max(asker.slowest_s for asker in askers)
        logger.info("%d searches, the slowest took %.2f s", asked, slowest)
        assert [failure for asker in askers for failure in asker.failures] == []
        assert asked > 100
        assert slowest < 20
        wait_for(client, wait_for_nodes=3, wait_for_status="green")
        # Primary and copy may rank ties differently, so pages are compared by what is on them.
        for asker in askers:
            assert overlap(before, {**before, **asker.pages}) > 0.95
        assert overlap(before, {text: page(searcher, text) for text in QUERIES}) > 0.95
        assert client.count(index=info.physical)["count"] == DOCUMENTS
        # The engine's own record knows that what came back is not what it started.
        alive = alive_part(engine)
        assert alive is not None
        assert {node.name for node in engine.nodes} - {n.name for n in alive.nodes} == {victim.name}
    finally:
        over.set()
        if revived is not None:
            revived.terminate()
            revived.wait(60)
