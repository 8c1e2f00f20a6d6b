"""Retraining on a real node: a gap-free change of versions, and a job that can be killed."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from retraining_samples import (
    MINE,
    copy_of,
    first_version,
    start,
    write_data,
    write_job,
)

from encoders.options import LoadOptions
from opensearch.errors import SearchBackendError
from opensearch.index_info import read_index_info
from opensearch.plan import SearchRequest
from opensearch.workflows.query_encoders import open_searcher
from operations.retraining.job import load_job
from operations.retraining.plan import make_plan

pytestmark = pytest.mark.operations

INDEX, KILLED = "docs-retrained", "docs-killed"
LOAD = LoadOptions(runtime="torch")
PAUSE_S = 0.05
STEPS = (
    "collect",
    "prepare",
    "mine",
    "train",
    "evaluate",
    "gate",
    "export",
    "parity",
    "publish",
    "push",
    "reindex",
    "swap",
    "report",
)


@dataclass
class Client:
    """Searches at a steady rate and keeps a log: which version answered what with how many hits."""

    cluster: Any
    texts: list[str]
    log: list[tuple[str, str, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __enter__(self) -> "Client":
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._search)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def versions(self) -> list[str]:
        """Physical indices in the order in which they began to answer."""
        found: list[str] = []
        for physical, _, _ in self.log:
            if physical not in found[-1:]:
                found.append(physical)
        return found

    def wait_for(self, physical: str) -> None:
        """Until that version has answered a few queries."""
        before, until = len(self.log), time.monotonic() + 60
        while [physical for physical, _, _ in self.log[before:]][-3:] != [physical] * 3:
            assert time.monotonic() < until, f"{physical} does not answer: {self.log[-3:]}"
            time.sleep(PAUSE_S)

    def _search(self) -> None:
        searchers: dict[str, Any] = {}
        number = 0
        while not self._over.wait(PAUSE_S):
            number += 1
            try:
                info = read_index_info(self.cluster, INDEX)
                if info.physical not in searchers:
                    searchers[info.physical] = open_searcher(self.cluster, info, LOAD)
                text = self.texts[number % len(self.texts)]
                hits = searchers[info.physical].search(SearchRequest(text)).hits
                self.log.append((info.physical, text, len(hits)))
            except SearchBackendError as error:
                self.faults.append(str(error))


@pytest.fixture(scope="module")
def cluster(node_url: str) -> Iterator[Any]:
    from opensearch.workflows.connection import open_cluster

    client = open_cluster(node_url)
    yield client
    client.indices.delete(index=f"{INDEX}-v*,{KILLED}-v*")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, and a registry with version 1 in production."""
    place = tmp_path_factory.mktemp("retraining")
    write_data(place)
    first_version(place)
    return place


@pytest.fixture(scope="module")
def untouched(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, as it was before any job ran."""
    return copy_of(folder, tmp_path_factory.mktemp("killed") / "job")


@pytest.fixture(scope="module")
def production(folder: Path, untouched: Path, cluster: Any) -> Path:
    index(cluster, INDEX, folder)
    return folder


def index(cluster: Any, name: str, folder: Path) -> None:
    """Build an index with the version in production."""
    from ingest.corpus import CorpusOptions
    from opensearch.workflows.build import BuildJob, build_index

    build_index(
        cluster,
        BuildJob(
            index=name,
            corpus=CorpusOptions(source=folder / "frozen"),
            dense=str(fetched(folder, "production").dense),
            sparse="none",
            load=LOAD,
        ),
    )


def fetched(folder: Path, ref: str) -> Any:
    from operations.registry.registry import Registry

    return Registry.open(folder / "registry").fetch("bank", ref)


def tags(folder: Path) -> dict[str, str]:
    from operations.registry.registry import Registry

    found = Registry.open(folder / "registry").tags("bank")
    return {tag: str(version) for tag, version in found.items()}


def content(cluster: Any, name: str) -> dict[str, tuple[Any, ...]]:
    """Chunk -> what is stored of it, its encoder's stamp and its vector included."""
    cluster.indices.refresh(index=name)
    answer = cluster.search(index=name, body={"size": 1000, "query": {"match_all": {}}})
    sources = {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}
    assert len(sources) == answer["hits"]["total"]["value"]
    return {
        name: (source["fingerprint"], source["encoder"], tuple(source.get("dense", ())))
        for name, source in sources.items()
    }


def indices(cluster: Any, name: str) -> list[str]:
    return sorted(cluster.indices.get(index=f"{name}-v*"))


def query_texts(folder: Path) -> list[str]:
    from training.evaluation.datasets import find_split, load_split

    return [query.text for query in load_split(find_split(folder / "frozen"))]


def run_folder(folder: Path, output: str = "runs") -> Path:
    (found,) = (path for path in (folder / output).iterdir() if path.is_dir())
    return found


def test_a_version_that_fails_the_gate_changes_nothing(
    production: Path, cluster: Any, node_url: str
) -> None:
    before = (indices(cluster, INDEX), tags(production), content(cluster, INDEX))
    strict = write_job(
        production, "strict.toml", output="strict", index=INDEX, gate="min_gain = 50\np = 1"
    )
    planned = make_plan(load_job(strict), url=node_url)
    assert (planned.how, planned.counts["passages"]) == ("new", len(before[2]))
    assert not (production / "strict").exists()
    assert start(strict, node_url) == 1
    assert (indices(cluster, INDEX), tags(production), content(cluster, INDEX)) == before
    report = (run_folder(production, "strict") / "report.md").read_text(encoding="utf-8")
    assert report.startswith("# bank: the gate says no: dense: NDCG@10")
    # Started again, it says the same without doing anything.
    assert start(strict, node_url) == 1
    assert run_folder(production, "strict").is_dir()


def test_versions_change_and_change_back_without_a_gap(
    production: Path, cluster: Any, node_url: str
) -> None:
    from operations.reindexing.rollback import rollback
    from operations.reindexing.swapping import swap

    old = read_index_info(cluster, INDEX).physical
    job = write_job(production, index=INDEX, mine=MINE, targets='"runtime"')
    with Client(cluster, query_texts(production)) as client:
        client.wait_for(old)
        assert start(job, node_url) == 0
        new = read_index_info(cluster, INDEX).physical
        client.wait_for(new)
        rollback(cluster, INDEX)
        client.wait_for(old)
        swap(cluster, INDEX, new)
        client.wait_for(new)
    assert not client.faults
    assert not [entry for entry in client.log if not entry[-1]]
    assert client.versions() == [old, new, old, new]
    assert new == f"{INDEX}-v1.1.0-1"
    assert tags(production) == {"candidate": "1.1.0", "production": "1.1.0", "previous": "1.0.0"}
    stamps = {stamp for _, stamp, _ in content(cluster, new).values()}
    identity = fetched(production, "1.1.0").manifest.dense.identity
    assert stamps == {identity["fingerprint"][:12]}


def test_killed_at_each_step_it_ends_as_if_undisturbed(
    production: Path, untouched: Path, cluster: Any, node_url: str
) -> None:
    index(cluster, KILLED, untouched)
    job = write_job(untouched, index=KILLED, mine=MINE, targets='"runtime"')
    for step in STEPS:
        if step in ("train", "reindex"):
            start(job, node_url, {"step": step, "after": 0.2})
        # Killed after its work and before anything says so: the step runs a second time.
        assert start(job, node_url, {"step": step}) == -9, step
    assert start(job, node_url) == 0
    assert run_folder(untouched).is_dir()  # one run, whatever happened
    assert tags(untouched) == tags(production)
    assert read_index_info(cluster, KILLED).physical == f"{KILLED}-v1.1.0-1"
    assert indices(cluster, KILLED) == [f"{KILLED}-v0-1", f"{KILLED}-v1.1.0-1"]
    assert content(cluster, KILLED) == content(cluster, f"{INDEX}-v1.1.0-1")
    ours, theirs = (fetched(place, "1.1.0").manifest for place in (untouched, production))
    assert ours.dense.content() == theirs.dense.content()
    models = [{p: e for p, e in m.files.items() if p.startswith("dense/")} for m in (ours, theirs)]
    assert models[0] == models[1]
