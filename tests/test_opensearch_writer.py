"""Bulk writing: bodies, batches, back-off, and which failure belongs to which chunk."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from opensearch_samples import RecordingClient, encode, index_info, passage
from opensearchpy import exceptions as theirs

from encoders.base import SparseVector
from ingest.records import EncodedChunk
from opensearch import writer
from opensearch.errors import (
    BulkError,
    ForbiddenError,
    SearchBackendError,
    WritesBlockedError,
)
from opensearch.sink import IndexSink
from opensearch.writer import (
    delete_surplus_chunks,
    document_body,
    seismic_document,
    stored_fingerprints,
    write_chunks,
)

INFO = index_info()
SEISMIC = index_info(sparse_field="seismic")


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """Pauses that were asked for; nobody waits."""
    asked: list[float] = []
    monkeypatch.setattr(writer.time, "sleep", asked.append)
    return asked


class Bulk:
    """A server that answers bulk items in reverse order, each by a rule of the test.

    ``rule(index, id, attempt)`` gives ``None`` for success or ``(status, error)``.
    """

    def __init__(self, rule: Callable = lambda *_: None) -> None:
        self.rule = rule
        self.batches: list[list[tuple[str, str]]] = []
        self.bodies: dict[tuple[str, str], dict] = {}

    def __call__(self, name, /, **values):
        lines = [json.loads(line) for line in values["body"].splitlines()]
        keys = [(a["index"]["_index"], a["index"]["_id"]) for a in lines[::2]]
        self.batches.append(keys)
        items = []
        for key, body in zip(keys, lines[1::2], strict=True):
            attempt = sum(key in batch for batch in self.batches)
            refusal = self.rule(*key, attempt)
            item = {"_index": key[0], "_id": key[1], "status": 201}
            if refusal is None:
                self.bodies[key] = body
            else:
                item.update(status=refusal[0], error=refusal[1])
            items.append({"index": item})
        return {"items": items[::-1]}


def chunks(count: int, text: str = "red fox") -> list[EncodedChunk]:
    return encode(passage(f"d{i}", f"{text} {i}") for i in range(count))


def test_document_body_holds_everything_a_search_needs() -> None:
    chunk = passage(
        "d1", "fee E-4012", 3, title="Card C-7788", metadata={"lang": "en"}, parent="d1#0"
    )
    vector = np.array([1, 0], np.float32)
    record = EncodedChunk(chunk, vector, None, {"fox": 1.5}, "abc+def")
    assert document_body(INFO, record) == {
        "doc_id": "d1",
        "ordinal": 3,
        "level": "fine",
        "start": 0,
        "end": 10,
        "title": "Card C-7788",
        "text": "fee E-4012",
        "metadata": {"lang": "en"},
        "fingerprint": chunk.fingerprint(),
        "encoder": "abc+def",
        "parent": "d1#0",
        "exact": ["C-7788", "E-4012"],
        "exact_title": ["C-7788"],
        "dense": vector,
        "sparse": {"fox": 1.5},
    }


def test_legs_without_a_value_are_left_out() -> None:
    body = document_body(INFO, EncodedChunk(passage("d1", "red fox")))
    assert not {"dense", "sparse", "exact", "exact_title", "parent"} & set(body)


def test_token_weights_of_a_seismic_index_live_in_the_companion() -> None:
    sparse = SparseVector(np.array([2, 7], np.int32), np.array([0.5, 1.5], np.float32))
    record = EncodedChunk(
        passage("d1", "red fox", metadata={"lang": "en"}), None, sparse, {"red": 0.5}
    )
    assert "sparse" not in document_body(SEISMIC, record)
    assert seismic_document(record) == {
        "doc_id": "d1",
        "level": "fine",
        "tokens": {"2": 0.5, "7": 1.5},
        "metadata": {"lang": "en"},
    }


def test_vectors_survive_the_journey() -> None:
    server, records = Bulk(), chunks(3)
    assert write_chunks(RecordingClient(server), INFO, records) == writer.WriteResult(3)
    for record in records:
        body = server.bodies["docs-v0-1", record.chunk.id]
        assert np.array_equal(np.array(body["dense"], np.float32), record.dense)
        assert body["sparse"] == pytest.approx(dict(record.sparse_named))


def test_nothing_to_write_sends_nothing() -> None:
    client = RecordingClient(Bulk())
    assert write_chunks(client, INFO, []) == writer.WriteResult(0)
    assert client.calls == []


REFUSED = {"reason": "failed to parse", "caused_by": {"reason": "For input string: n/a"}}


def test_failures_are_attributed_by_id_whatever_the_order() -> None:
    server = Bulk(lambda _index, chunk_id, _n: (400, REFUSED) if chunk_id == "d1#0" else None)
    result = write_chunks(RecordingClient(server), INFO, chunks(3))
    assert result.stored == 2
    assert result.failures == (("d1#0", "failed to parse: For input string: n/a"),)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"reason": "too long"}, "too long"),
        ({"type": "null_pointer_exception", "reason": None}, "null_pointer_exception (500)"),
        ({}, "no reason given (500)"),
    ],
)
def test_a_refusal_without_words_is_still_a_refusal(error, reason) -> None:
    server = Bulk(lambda *_: (500, error))
    result = write_chunks(RecordingClient(server), INFO, chunks(1))
    assert result == writer.WriteResult(0, (("d0#0", reason),))


@pytest.mark.parametrize("status", [429, 503])
def test_busy_items_alone_are_sent_again(pauses, status) -> None:
    busy = {"reason": "rejected execution"}
    server = Bulk(lambda _i, c, n: (status, busy) if c == "d1#0" and n < 3 else None)
    result = write_chunks(RecordingClient(server), INFO, chunks(3))
    assert result == writer.WriteResult(3)
    assert [len(batch) for batch in server.batches] == [3, 1, 1]
    assert pauses == [0.5, 1.0]


def test_a_hard_failure_beside_a_busy_item_is_kept() -> None:
    def rule(_index, chunk_id, attempt):
        if chunk_id == "d0#0":
            return 400, {"reason": "broken"}
        return (429, {"reason": "busy"}) if chunk_id == "d1#0" and attempt == 1 else None

    result = write_chunks(RecordingClient(Bulk(rule)), INFO, chunks(3))
    assert result == writer.WriteResult(2, (("d0#0", "broken"),))


def test_a_request_refused_as_a_whole_is_sent_again(pauses) -> None:
    server = Bulk()
    answers = [theirs.TransportError(429, "circuit_breaking_exception", {}), None]

    def answer(name, /, **values):
        if error := answers.pop(0):
            raise error
        return server(name, **values)

    result = write_chunks(RecordingClient(answer), INFO, chunks(2))
    assert result == writer.WriteResult(2)
    assert pauses == [0.5]


def test_a_server_that_stays_busy_ends_the_run_with_the_ids(pauses) -> None:
    server = Bulk(lambda _i, c, _n: (429, {"reason": "busy"}) if c == "d0#0" else None)
    with pytest.raises(BulkError, match="same command again") as raised:
        write_chunks(RecordingClient(server), INFO, chunks(2))
    assert raised.value.failures == (("d0#0", "too busy"),)
    assert len(server.batches) == writer.RETRIES
    assert pauses == sorted(pauses)


@pytest.mark.parametrize(
    "error",
    [
        theirs.TransportError(413, "too large", {}),
        theirs.ConnectionTimeout("TIMEOUT", "timed out", OSError()),
        theirs.AuthorizationException(403, "security_exception", {}),
    ],
    ids=["too large", "timeout", "forbidden"],
)
def test_other_failures_of_the_request_are_translated(error) -> None:
    def answer(name, /, **_):
        raise error

    with pytest.raises(SearchBackendError, match="writing documents"):
        write_chunks(RecordingClient(answer), INFO, chunks(1))


def test_an_index_closed_to_writes_ends_the_run_and_says_how_to_go_on() -> None:
    blocked = {"type": "cluster_block_exception", "reason": "index [docs-v0-1] blocked"}
    server = Bulk(lambda *_: (403, blocked))
    with pytest.raises(WritesBlockedError, match="another version of the index"):
        write_chunks(RecordingClient(server), INFO, chunks(1))

    def answer(name, /, **_):
        if name == "mget":
            return {"docs": [{"_id": "d0#1", "found": True}]}
        raise theirs.AuthorizationException(403, "cluster_block_exception", {})

    with pytest.raises(WritesBlockedError, match="Start the same command again"):
        delete_surplus_chunks(RecordingClient(answer), INFO, {"d0": 1})


def test_batches_are_cut_by_bytes(monkeypatch) -> None:
    monkeypatch.setattr(writer, "MAX_BULK_BYTES", 3000)
    server, client = Bulk(), None
    client = RecordingClient(server)
    records = chunks(20, "x" * 200)
    assert write_chunks(client, INFO, records).stored == 20
    sizes = [len(call["body"]) for call in client.named("bulk")]
    assert len(sizes) > 1
    assert max(sizes) <= 3000
    assert [key[1] for batch in server.batches for key in batch] == [r.chunk.id for r in records]


def test_a_document_larger_than_a_batch_goes_alone(monkeypatch) -> None:
    monkeypatch.setattr(writer, "MAX_BULK_BYTES", 1500)
    server = Bulk()
    records = encode([passage("a", "x"), passage("b", "y" * 5000), passage("c", "z")])
    assert write_chunks(RecordingClient(server), INFO, records).stored == 3
    assert [[key[1] for key in batch] for batch in server.batches] == [["a#0"], ["b#0"], ["c#0"]]


def test_the_companion_is_written_before_the_index_that_says_done() -> None:
    server = Bulk()
    records = [*chunks(2), EncodedChunk(passage("k", "대출 금리"))]
    assert write_chunks(RecordingClient(server), SEISMIC, records).stored == 3
    assert server.batches == [
        [("docs-v0-1-seismic", "d0#0"), ("docs-v0-1-seismic", "d1#0")],
        [("docs-v0-1", "d0#0"), ("docs-v0-1", "d1#0"), ("docs-v0-1", "k#0")],
    ]


def test_what_the_companion_refuses_is_not_stored_at_all() -> None:
    server = Bulk(
        lambda i, c, _n: (400, {"reason": "broken"}) if "seismic" in i and c == "d0#0" else None
    )
    result = write_chunks(RecordingClient(server), SEISMIC, chunks(2))
    assert result == writer.WriteResult(1, (("d0#0", "broken"),))
    assert ("docs-v0-1", "d0#0") not in server.bodies


class Stored:
    """An index of ids and fingerprints that can be looked up and deleted from."""

    def __init__(self, ids=(), fingerprint: str = "f") -> None:
        self.ids = {("docs-v0-1", i): fingerprint for i in ids}

    def __call__(self, name, /, **values):
        if name == "mget":
            found = [(i, self.ids.get((values["index"], i))) for i in values["body"]["ids"]]
            return {
                "docs": [
                    {"_id": i, "found": f is not None, "_source": {"fingerprint": f}}
                    for i, f in found
                ]
            }
        assert name == "delete"
        gone = self.ids.pop((values["index"], values["id"]), None)
        return {"result": "deleted" if gone else "not_found"}


def test_stored_fingerprints() -> None:
    client = RecordingClient(Stored(["a#0"]))
    assert stored_fingerprints(client, INFO, ["a#0", "b#0"]) == {"a#0": "f"}
    assert stored_fingerprints(client, INFO, []) == {}
    assert len(client.calls) == 1


@pytest.mark.parametrize("surplus", [0, 1, 3, 64, 130])
def test_surplus_chunks_are_deleted_last_first(surplus) -> None:
    ids = [f"a#{i}" for i in range(2 + surplus)]
    server = Stored([*ids, "b#9"])
    client = RecordingClient(server)
    delete_surplus_chunks(client, INFO, {"a": 2})
    assert sorted(i for _, i in server.ids) == ["a#0", "a#1", "b#9"]
    assert [call["id"] for call in client.named("delete")] == ids[:1:-1]


def test_a_deletion_that_was_broken_off_is_completed() -> None:
    server = Stored([f"a#{i}" for i in range(5)])
    calls = 0

    def breaks_off(name, /, **values):
        nonlocal calls
        calls += name == "delete"
        if calls == 2:
            raise theirs.ConnectionError("N/A", "gone", OSError())
        return server(name, **values)

    with pytest.raises(SearchBackendError):
        delete_surplus_chunks(RecordingClient(breaks_off), INFO, {"a": 1})
    delete_surplus_chunks(RecordingClient(server), INFO, {"a": 1})
    assert [i for _, i in server.ids] == ["a#0"]


def test_the_companion_is_cleared_before_the_index_that_tells() -> None:
    client = RecordingClient(Stored(["a#0", "a#1"]))
    delete_surplus_chunks(client, SEISMIC, {"a": 1})
    assert [(c["index"], c["id"]) for c in client.named("delete")] == [
        ("docs-v0-1-seismic", "a#1"),
        ("docs-v0-1", "a#1"),
    ]


def test_the_sink_misses_what_is_absent_or_different() -> None:
    from ingest.records import Window

    same, changed, new = passage("a", "one"), passage("b", "two"), passage("c", "three")
    server = Stored()
    server.ids = {("docs-v0-1", "a#0"): same.fingerprint(), ("docs-v0-1", "b#0"): "older"}
    window = Window((same, changed, new), {"a": 1, "b": 1, "c": 1}, {}, ())
    assert IndexSink(RecordingClient(server), INFO).missing(window) == [changed, new]


def test_the_sink_clears_only_documents_that_became_shorter() -> None:
    from ingest.records import Window

    server = Stored(["a#0", "a#1", "a#2", "b#0"])
    client = RecordingClient(server)
    IndexSink(client, INFO).finish(Window((), {"a": 1, "b": 1}, {}, ()))
    assert sorted(i for _, i in server.ids) == ["a#0", "b#0"]
    assert len(client.named("delete")) == 2


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"account": 2**70}, id="a number of 21 digits"),
        pytest.param({"when": np.datetime64("2026-01-01")}, id="a date of another library"),
        pytest.param({"where": {1, 2}}, id="a set"),
        pytest.param({"nan": float("nan")}, id="not a number"),
        pytest.param({"control": "a\u0000b\u2028"}, id="control characters"),
    ],
)
def test_odd_metadata_is_one_line_of_json(metadata) -> None:
    server = Bulk()
    records = encode([passage("a", "red fox", metadata=metadata)])
    result = write_chunks(RecordingClient(server), INFO, records)
    assert result == writer.WriteResult(1)
    body = server.bodies["docs-v0-1", "a#0"]
    assert set(body["metadata"]) == set(metadata)
    assert body["dense"] == pytest.approx(records[0].dense.tolist())


@pytest.mark.parametrize(("length", "stored"), [(510, True), (511, False)])
def test_an_id_that_would_sink_the_whole_request_is_refused_alone(length, stored) -> None:
    server = Bulk()
    records = encode([passage("x" * length, "red fox"), passage("b", "red fox")])
    result = write_chunks(RecordingClient(server), INFO, records)
    assert result.stored == 1 + stored
    assert (not result.failures) is stored
    assert all("longer than 512 bytes" in reason for _, reason in result.failures)
    assert sum(len(batch) for batch in server.batches) == 1 + stored


def test_a_missing_permission_ends_the_run_instead_of_setting_documents_aside() -> None:
    reason = "no permissions for [indices:data/write/bulk[s]] and User [name=reader, x=1]"
    item = {"_index": "docs-v0-1", "_id": "a#0", "status": 403, "error": {"reason": reason}}
    client = RecordingClient(lambda _name, /, **_: {"items": [{"index": item}]})
    with pytest.raises(ForbiddenError, match=r"docs-v0-1.*reader lacks .* indices:data/write/bulk"):
        write_chunks(client, index_info(), encode([passage("a", "wire")]))


def test_what_may_not_be_read_is_not_missing() -> None:
    error = {"type": "security_exception", "reason": "no permissions for [indices:data/read/mget]"}
    client = RecordingClient(lambda _name, /, **_: {"docs": [{"_id": "a#0", "error": error}]})
    with pytest.raises(ForbiddenError, match="indices:data/read/mget"):
        stored_fingerprints(client, index_info(), ["a#0"])
