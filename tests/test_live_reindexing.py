"""Re-index, swap and rollback on a real node: nothing lost, doubled or mixed, no gap in service."""

import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import CLUSTER_VARIABLE, SECURE
from reindexing_samples import (
    LOADERS,
    Reader,
    build,
    chunk,
    encoders,
    in_thread,
    job,
    query_encoders,
    remove,
    stored,
    text_of,
    write,
)
from secure_cluster import ADMIN

from ingest.pipeline import encode_chunks
from opensearch.capabilities import detect
from opensearch.client import connect
from opensearch.errors import WritesBlockedError
from opensearch.index_info import read_index_info
from opensearch.indices import write_note
from opensearch.settings import ClusterSettings, load_settings
from operations.reindexing.catalogue import index_versions
from operations.reindexing.errors import BusyError, CheckRefusedError, ReindexError
from operations.reindexing.following import FollowingSearcher
from operations.reindexing.job import ReindexEvents
from operations.reindexing.lock import JobLock
from operations.reindexing.reindex import reindex
from operations.reindexing.retention import drop
from operations.reindexing.rollback import RollbackOptions, rollback
from operations.reindexing.verification import stamp_counts

pytestmark = pytest.mark.node

BACK = RollbackOptions(loaders=LOADERS)


@pytest.fixture
def settings(node_url: str, request: pytest.FixtureRequest) -> ClusterSettings:
    """The cluster; where it has users, as its administrator: see docs/reindexing.md."""
    if (
        os.environ.get(CLUSTER_VARIABLE) == SECURE
        and "TANDEM_TEST_OPENSEARCH_URL" not in os.environ
    ):
        return ClusterSettings(**request.getfixturevalue("secure_cluster").values(ADMIN))
    return load_settings(node_url)


@pytest.fixture
def client(settings: ClusterSettings) -> Any:
    return connect(settings)


@pytest.fixture
def name(client: Any) -> Iterator[str]:
    """A unique index name; every version under it is deleted at the end."""
    unique = f"test-{uuid.uuid4().hex[:12]}"
    yield unique
    for index in (unique, f"{unique}-fresh"):
        remove(client, index)


def test_a_reader_sees_no_gap_while_versions_change(client: Any, name: str) -> None:
    build(client, name, (chunk(n) for n in range(600)), shards=2)
    texts = [(f"d{n}", text_of(n)) for n in range(0, 600, 29)]
    searcher = FollowingSearcher(client, name, load=query_encoders, ttl_s=0.05)
    reader = Reader(searcher, texts)
    threads = [in_thread(reader.run) for _ in range(2)]
    try:
        first = reindex(client, job(name, "2", dense="dense-2", sparse="sparse-2"))
        back = rollback(client, name, options=BACK)
        again = rollback(client, name, to="2", options=BACK)
        deadline = time.monotonic() + 150
        while reader.count < 2000 and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        reader.over.set()
        for thread in threads:
            thread.join(30)

    assert reader.faults == []
    assert reader.count >= 2000
    assert set(reader.answers) == {f"{name}-v0-1", f"{name}-v2-1"}
    assert first.swapped and back.swapped and again.swapped
    assert (back.before, back.after) == (f"{name}-v2-1", f"{name}-v0-1")
    assert (back.carried, again.carried, again.removed) == (0, 0, 0)


def change_5000(client: Any, name: str, legs: tuple[str, ...]) -> None:
    """Updates and deletions of 5,000 documents, by our writer and by plain requests."""
    info = read_index_info(client, name)
    for first in range(0, 2000, 250):
        changed = (chunk(n, f"{text_of(n)} revised") for n in range(first, first + 250))
        write(client, info, changed, 1, legs)
    bulk: list[dict[str, Any]] = []
    for n in range(2000, 3000):
        bulk += [{"delete": {"_index": name, "_id": f"d{n}#0"}}]
    for n in range(3000, 3500):
        update = {"doc": {"text": f"{text_of(n)} plainly updated"}}
        bulk += [{"update": {"_index": name, "_id": f"d{n}#0"}}, update]
    client.bulk(body=bulk)
    client.indices.refresh(index=name)
    gone = {"range": {"metadata.n": {"gte": 3500, "lt": 4500}}}
    client.delete_by_query(
        index=name, body={"query": gone}, params={"conflicts": "proceed", "refresh": "true"}
    )
    write(client, info, (chunk(n) for n in range(6000, 6500)), 1, legs)


def test_5000_changes_during_a_reindex_end_as_in_a_fresh_build(client: Any, name: str) -> None:
    legs = ("sparse",)
    build(client, name, (chunk(n) for n in range(6000)), legs=legs, shards=2)
    begun = threading.Event()
    writer = in_thread(lambda: (begun.wait(60), change_5000(client, name, legs)))

    def wait_for_the_writer(_: Any, __: Any) -> None:
        writer.join(120)

    report = reindex(
        client,
        job(name, "2", sparse="sparse-2", check=wait_for_the_writer),
        ReindexEvents(progress=lambda _: begun.set()),
    )

    final = {n: text_of(n) for n in (*range(2000), *range(3000, 3500), *range(4500, 6500))}
    final |= {n: f"{text_of(n)} revised" for n in range(2000)}
    final |= {n: f"{text_of(n)} plainly updated" for n in range(3000, 3500)}
    fresh = f"{name}-fresh"
    build(client, fresh, (chunk(n, text) for n, text in final.items()), 2, legs=legs)
    expected, found = stored(client, fresh), stored(client, name)
    assert found.keys() == expected.keys()
    # A plain update changes the text and nothing of what our writer keeps beside it.
    plain = {f"d{n}#0" for n in range(3000, 3500)}
    assert {i: d for i, d in found.items() if i not in plain} == {
        i: d for i, d in expected.items() if i not in plain
    }
    for field in ("text", "sparse", "encoder", "metadata"):
        assert {i: found[i][field] for i in plain} == {i: expected[i][field] for i in plain}
    assert report.swapped and report.removed and report.caught_up
    assert stamp_counts(client, name) == {encoders(2, legs).stamp: len(final)}


def run_until(settings: ClusterSettings, name: str, version: int, where: str) -> None:
    """Run a job in a process of its own that is killed at one point."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def stage(reached: str, _: str) -> None:
        if reached == where:
            die()

    def progress(done: Any) -> None:
        if where == "two batches" and done.copied >= 400:
            die()

    def late_write(other: Any, _: Any) -> None:
        if where == "catching-up":  # the first pass but one never is small
            write(other, read_index_info(other, name), map(chunk, range(300)), version - 1)

    models = {"dense": f"dense-{version}", "sparse": f"sparse-{version}"}
    reindex(
        connect(settings),
        job(name, str(version), check=late_write, **models),
        ReindexEvents(stage=stage, progress=progress),
    )


def test_a_killed_job_ends_in_the_same_state(
    client: Any, settings: ClusterSettings, name: str
) -> None:
    build(client, name, (chunk(n) for n in range(600)))
    for version, where in enumerate(
        ("two batches", "catching-up", "verifying", "blocked", "swapped"), start=2
    ):
        process = multiprocessing.get_context("fork").Process(
            target=run_until, args=(settings, name, version, where)
        )
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL, where

        models = {"dense": f"dense-{version}", "sparse": f"sparse-{version}"}
        report = reindex(client, job(name, str(version), keep=1, **models))

        assert report.after == f"{name}-v{version}-1", where
        assert report.resumed is (where != "swapped")
        assert report.unchanged is (where == "swapped")
        made = encode_chunks([chunk(n) for n in range(600)], encoders(version))
        found = stored(client, name)
        assert sorted(found) == sorted(e.chunk.id for e in made)
        for encoded in made:
            document = found[encoded.chunk.id]
            assert document["encoder"] == encoded.encoder
            assert document["fingerprint"] == encoded.chunk.fingerprint()
            assert document["dense"] == pytest.approx(encoded.dense.tolist(), abs=1e-6)
            assert document["sparse"] == pytest.approx(dict(encoded.sparse_named))
        versions = index_versions(client, name)
        assert [v.current for v in versions] == [False, True]
        assert versions[0].physical == report.before


def test_a_build_killed_before_its_swap_can_be_dropped(
    client: Any, settings: ClusterSettings, name: str
) -> None:
    info = build(client, name, (chunk(n) for n in range(20)))
    process = multiprocessing.get_context("fork").Process(
        target=run_until, args=(settings, name, 2, "blocked")
    )
    process.start()
    process.join(120)
    with pytest.raises(WritesBlockedError, match="another version of the index"):
        write(client, info, [chunk(0, "not now")], 1)
    (building,) = [v.physical for v in index_versions(client, name) if v.state == "building"]
    with pytest.raises(ReindexError, match="is the current version"):
        drop(client, name, info.physical)

    drop(client, name, building)

    write(client, info, [chunk(0, "written again")], 1)
    assert [v.state for v in index_versions(client, name)] == ["current"]


def test_a_second_job_is_refused(client: Any, name: str) -> None:
    build(client, name, [chunk(0)])
    with JobLock(client, name, "re-index"), pytest.raises(BusyError, match="Another job works"):
        reindex(client, job(name, "2", dense="dense-2"))
    assert reindex(client, job(name, "2", dense="dense-2")).swapped


def test_a_check_that_says_no_changes_nothing(client: Any, name: str) -> None:
    info = build(client, name, [chunk(n) for n in range(5)])
    refusing = job(name, "2", dense="dense-2", check=lambda _, new: f"{new.physical} is worse")
    with pytest.raises(CheckRefusedError, match="is worse"):
        reindex(client, refusing)
    assert read_index_info(client, name).physical == info.physical
    write(client, info, [chunk(0, "still written to")], 1)


def test_legs_are_kept_dropped_and_notes_carried_over(client: Any, name: str) -> None:
    info = build(client, name, [chunk(n) for n in range(30)], notes={"chunking": {"size": 99}})
    fusion = {"method": "rrf"}
    write_note(client, info, "fusion", fusion)
    before = stored(client, name)

    same = reindex(client, job(name, "1.5", rebuild=True, shards=2))

    assert (same.copied, same.encoded) == (30, 0)
    assert stored(client, name) == before
    kept = read_index_info(client, name)
    assert kept.notes["fusion"] == fusion and kept.notes["chunking"] == {"size": 99}

    changed = reindex(client, job(name, "2", dense="none", sparse="sparse-2"))

    assert changed.encoded == 30
    after = read_index_info(client, name)
    assert after.dense is None and after.sparse.model == "sparse-2"
    assert "fusion" not in after.notes and "dense_floor" not in after.notes
    documents = stored(client, name)
    assert all("dense" not in document for document in documents.values())
    assert documents["d0#0"]["sparse"] != before["d0#0"]["sparse"]
    assert documents["d0#0"]["fingerprint"] == before["d0#0"]["fingerprint"]


def test_documents_of_other_clients_are_encoded_even_where_a_leg_is_kept(
    client: Any, name: str
) -> None:
    build(client, name, [chunk(n) for n in range(3)])
    strange = {"doc_id": "x", "text": text_of(7), "dense": [1.0] + [0.0] * 7}
    client.index(index=name, id="x", body=strange, params={"refresh": "true", "routing": "r"})

    report = reindex(client, job(name, "2", sparse="sparse-2"))

    assert report.copied == 4
    found = stored(client, name)["x"]
    (expected,) = encode_chunks([chunk(7)], encoders(1))
    assert found["dense"] == pytest.approx(expected.dense.tolist(), abs=1e-6)
    assert found["encoder"] == "100000000000+200000000000"
    assert found["doc_id"] == "x" and "fingerprint" not in found


def test_a_build_can_wait_for_its_swap(client: Any, name: str) -> None:
    info = build(client, name, [chunk(n) for n in range(10)])
    waiting = reindex(client, job(name, "2", dense="dense-2", swap=False))
    assert not waiting.swapped
    assert [v.state for v in index_versions(client, name)] == ["current", "ready"]
    write(client, info, [chunk(3, "changed while it waited")], 1)
    client.delete(index=name, id="d4#0", params={"refresh": "true"})

    done = reindex(client, job(name, "2", dense="dense-2"))

    assert done.swapped and done.resumed and done.after == waiting.after
    assert done.removed == 1
    assert stored(client, name)["d3#0"]["text"] == "changed while it waited"


def test_a_version_that_waits_can_be_rolled_to(client: Any, name: str) -> None:
    info = build(client, name, [chunk(n) for n in range(10)])
    reindex(client, job(name, "2", dense="dense-2", swap=False))
    write(client, info, [chunk(3, "changed while it waited")], 1)
    client.delete(index=name, id="d4#0")

    report = rollback(client, name, to="2", options=BACK)

    assert (report.carried, report.removed) == (1, 1)
    assert [v.state for v in index_versions(client, name)] == ["old", "current"]
    found = stored(client, name)
    assert found["d3#0"]["text"] == "changed while it waited" and "d4#0" not in found
    assert rollback(client, name, options=BACK).after == info.physical


def test_a_rollback_carries_over_what_was_written_since(client: Any, name: str) -> None:
    build(client, name, [chunk(n) for n in range(40)], shards=2)
    reindex(client, job(name, "2", dense="dense-2", sparse="sparse-2"))
    second = read_index_info(client, name)
    write(client, second, [chunk(n, f"{text_of(n)} second") for n in (1, 2, 3, 50, 51)], 2)
    for n in (10, 11):
        client.delete(index=name, id=f"d{n}#0")

    def meanwhile(line: str) -> None:
        """Others write as soon as the alias is back."""
        if line.startswith(f"{name} is "):
            first = read_index_info(client, name)
            write(client, first, [chunk(2, "newer"), chunk(11, "back again")], 1)
            for n in (3, 51):
                client.delete(index=name, id=f"d{n}#0", params={"ignore": 404})

    options = RollbackOptions(loaders=LOADERS, stage=meanwhile)
    report = rollback(client, name, options=options)

    found = stored(client, name)
    assert found["d1#0"]["text"] == f"{text_of(1)} second"
    assert found["d2#0"]["text"] == "newer"
    assert found["d11#0"]["text"] == "back again"
    assert found["d50#0"]["text"] == f"{text_of(50)} second"
    assert not {"d3#0", "d10#0", "d51#0"} & found.keys()
    assert len(found) == 40 - 2 + 1
    assert stamp_counts(client, name) == {encoders(1).stamp: len(found)}
    made = encode_chunks([chunk(1, f"{text_of(1)} second")], encoders(1))
    assert found["d1#0"]["dense"] == pytest.approx(made[0].dense.tolist(), abs=1e-6)
    assert (report.carried, report.removed) == (2, 1)
    assert rollback(client, name, to="0", options=BACK).swapped is False

    forward = rollback(client, name, to="2", options=BACK)

    assert forward.after == second.physical
    newest = stored(client, name)
    assert {i: d["text"] for i, d in newest.items()} == {i: d["text"] for i, d in found.items()}
    assert stamp_counts(client, name) == {encoders(2).stamp: len(found)}


def test_a_rollback_goes_on_where_it_was_killed(client: Any, name: str) -> None:
    build(client, name, [chunk(n) for n in range(10)])
    reindex(client, job(name, "2", dense="dense-2"))
    write(client, read_index_info(client, name), [chunk(1, "second"), chunk(20)], 2)

    def die(line: str) -> None:
        if line.startswith("carrying"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollback(client, name, options=RollbackOptions(loaders=LOADERS, stage=die))
    assert [v.state for v in index_versions(client, name) if v.current] == ["catching-up"]
    with pytest.raises(ReindexError, match="has not carried over everything"):
        reindex(client, job(name, "3", dense="dense-3"))
    with pytest.raises(ReindexError, match="Finish"):
        drop(client, name, f"{name}-v2-1")

    report = rollback(client, name, options=BACK)

    assert (report.swapped, report.carried) == (False, 2)
    assert stored(client, name)["d1#0"]["text"] == "second"
    with pytest.raises(ReindexError, match="built from a corpus"):
        rollback(client, name, options=BACK)


def test_what_was_written_since_can_be_given_up(client: Any, name: str) -> None:
    build(client, name, [chunk(n) for n in range(10)])
    reindex(client, job(name, "2", dense="dense-2"))
    write(client, read_index_info(client, name), [chunk(1, "wrong"), chunk(20)], 2)
    client.delete(index=name, id="d5#0")
    assert rollback(client, name, catch_up=False, options=BACK).abandoned
    assert sorted(stored(client, name)) == sorted(f"d{n}#0" for n in range(10))
    # Nothing tells any more what both have in common: everything is compared.
    again = rollback(client, name, to="2", options=BACK)
    found = stored(client, name)
    assert {i: d["text"] for i, d in found.items()} == {f"d{n}#0": text_of(n) for n in range(10)}
    assert (again.carried, again.removed) == (2, 1)


def test_token_weights_of_a_companion_come_along(client: Any, name: str) -> None:
    detect(client).require("seismic")
    info = build(client, name, [chunk(n) for n in range(20)], sparse_field="seismic")
    weights = stored(client, info.seismic)

    reindex(client, job(name, "2", dense="dense-2"))

    copied = read_index_info(client, name)
    assert stored(client, copied.seismic) == weights

    client.delete(index=copied.physical, id="d3#0", params={"refresh": "true"})
    reindex(client, job(name, "3", sparse="sparse-3"))

    third = read_index_info(client, name)
    found = stored(client, third.seismic)
    assert found.keys() == weights.keys() - {"d3#0"}
    (made,) = encode_chunks([chunk(0)], encoders(3))
    assert sum(found["d0#0"]["tokens"].values()) == pytest.approx(float(made.sparse.weights.sum()))
    searcher = FollowingSearcher(client, name, load=query_encoders)
    reader = Reader(searcher, [("d0", text_of(0))])
    threading.Timer(1.0, reader.over.set).start()
    reader.run()
    assert reader.faults == [] and reader.count

    write(client, third, [chunk(1, "rewritten in the third")], 2)
    rollback(client, name, options=BACK)
    second = read_index_info(client, name)
    assert stored(client, second.seismic).keys() == weights.keys()
    assert stored(client, name)["d1#0"]["text"] == "rewritten in the third"
