"""A node that is killed and comes back while an index is built anew."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from conftest import started
from reindexing_samples import build, chunk, encoders, in_thread, job, stored
from test_live_cluster import revive

from ingest.pipeline import encode_chunks
from opensearch.client import connect
from opensearch.local.state import EngineState
from opensearch.settings import load_settings
from operations.reindexing.errors import UnreachableError
from operations.reindexing.job import ReindexEvents
from operations.reindexing.reindex import reindex

pytestmark = pytest.mark.cluster

DOCUMENTS = 1200


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineState]:
    with started(name="killed", heap="512m") as state:
        yield state


def test_a_node_that_is_killed_and_returns_costs_time_and_nothing_else(
    engine: EngineState,
) -> None:
    client = connect(load_settings(engine.url))
    build(client, "docs-killed", (chunk(n) for n in range(DOCUMENTS)))
    process = psutil.Process(engine.nodes[0].process.pid)
    command, environment = process.cmdline(), process.environ()
    some_copied = threading.Event()
    revived: list[psutil.Popen] = []

    def kill_and_revive() -> None:
        some_copied.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        time.sleep(1)
        revived.append(revive(engine.nodes[0], command, environment))

    killer = in_thread(kill_and_revive)
    models = {"dense": "dense-2", "sparse": "sparse-2"}
    events = ReindexEvents(progress=lambda done: some_copied.set() if done.copied >= 400 else None)
    try:
        slowly = job("docs-killed", "2", rate=200, patience_s=240.0, **models)
        report = reindex(client, slowly, events)
        killer.join(60)
        assert report.swapped and report.after == "docs-killed-v2-1"
        made = {e.chunk.id: e for e in encode_chunks(map_chunks(), encoders(2))}
        found = stored(client, "docs-killed")
        assert found.keys() == made.keys()
        for chunk_id, document in found.items():
            assert document["encoder"] == made[chunk_id].encoder
            assert document["sparse"] == pytest.approx(dict(made[chunk_id].sparse_named))

        revived[0].kill()
        revived[0].wait(60)
        with pytest.raises(UnreachableError, match="Start the same command again"):
            reindex(client, job("docs-killed", "3", patience_s=1.0, **models))
    finally:
        for node in revived:
            if node.is_running():
                node.kill()
                node.wait(60)


def map_chunks() -> list[Any]:
    return [chunk(n) for n in range(DOCUMENTS)]
