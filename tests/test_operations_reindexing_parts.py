"""Pure parts of re-indexing: names, bodies, actions, pace, what is kept."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opensearch_samples import DENSE, SPARSE, RecordingClient, index_info
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import SSLError, TransportError
from reindexing_samples import LOADERS, DenseVersion, SparseVersion

from encoders.base import stamp_of
from encoders.options import LoadOptions
from ingest.pipeline import Encoders
from opensearch.errors import ClusterUnreachableError, SearchBackendError
from opensearch.index_info import info_from_meta
from opensearch.index_spec import IndexSpec
from opensearch.mappings import META_KEY, index_body, seismic_body
from operations.reindexing.bulk import Action, as_of, by_bytes, send
from operations.reindexing.carrying import Carry, same_content
from operations.reindexing.catalogue import IndexVersion
from operations.reindexing.copying import Copier, Pace, as_chunk
from operations.reindexing.errors import ReindexError, UnreachableError
from operations.reindexing.job import ReindexJob, ReindexReport
from operations.reindexing.legs import Legs, plan_legs
from operations.reindexing.lock import is_over, this_process
from operations.reindexing.naming import next_number, parse_physical, physical_name
from operations.reindexing.patience import Patience
from operations.reindexing.retention import surplus_versions
from operations.reindexing.shards import Reader, Stored
from operations.reindexing.state import BuildState, first_state, synced
from operations.reindexing.sweeping import Span
from operations.reindexing.target import Changes, dropped_pipelines, new_body, new_companion_body
from operations.reindexing.verification import similar


@given(
    version=st.from_regex(r"[a-z0-9][a-z0-9_.]{0,8}", fullmatch=True),
    number=st.integers(1, 999),
)
def test_a_physical_name_tells_version_and_number(version: str, number: int) -> None:
    physical = physical_name("docs-v2", version, number)
    assert parse_physical("docs-v2", physical) == (version, number)


def test_names_of_others_tell_nothing() -> None:
    assert parse_physical("docs", "docs-v0-1") == ("0", 1)
    assert parse_physical("docs", "docs-v2-v0-1") is None
    assert parse_physical("docs", "other-v0-1") is None
    assert parse_physical("docs", "docs-v0-1-seismic") is None
    assert next_number("docs", "1.0.0", ["docs-v1.0.0-1", "docs-v1.0.0-4", "docs-v2-9"]) == 5
    with pytest.raises(ReindexError, match="cannot be a version"):
        physical_name("docs", "1.0 beta", 1)


@pytest.mark.parametrize(
    ("options", "message"), [({"rate": 0}, "rate must be above 0"), ({"keep": 0}, "at least one")]
)
def test_a_job_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ReindexError, match=message):
        ReindexJob("docs", "1", **options)


def test_a_report_names_both_indices() -> None:
    report = ReindexReport("docs", "2", before="docs-v1-1", after="docs-v2-1").as_dict()
    assert (report["from"], report["to"]) == ("docs-v1-1", "docs-v2-1")
    assert json.loads(json.dumps(report)) == report


def test_patience_waits_for_a_cluster_that_is_away() -> None:
    answers = [NoConnection("N/A", "refused", None), TransportError(503, "x", {}), "here"]
    pauses: list[float] = []

    def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert Patience(10, pauses.append)("asking", call) == "here"
    assert pauses == [0.2, 0.4]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TransportError(400, "x", {"error": {"reason": "a bad request"}}), SearchBackendError),
        (SSLError("N/A", "bad certificate", None), ClusterUnreachableError),
    ],
)
def test_what_does_not_pass_is_not_waited_for(error: Exception, kind: type[Exception]) -> None:
    def call() -> None:
        raise error

    with pytest.raises(kind):
        Patience(10, lambda _: pytest.fail("waited"))("asking", call)


def test_patience_ends_and_says_how_to_go_on() -> None:
    def call() -> None:
        raise NoConnection("N/A", "refused", None)

    with pytest.raises(UnreachableError, match=r"stayed so for 0 s\. Start the same command again"):
        Patience(0.0)("asking", call)


def test_a_pace_holds_a_rate_and_saves_no_credit() -> None:
    now = [0.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    pace = Pace(100, lambda: now[0], sleep)
    pace(200)
    now[0] += 100  # encoding took its time
    for _ in range(3):
        pace(100)
    assert waits == [pytest.approx(2.0), pytest.approx(1.0), pytest.approx(1.0)]


def test_actions_carry_their_conditions() -> None:
    action = Action("index", "docs-v2-1", "a", {"v": np.ones(2, np.float32)}, "r", as_of(7))
    head, body = map(json.loads, action.lines().splitlines())
    assert head == {
        "index": {
            "_index": "docs-v2-1",
            "_id": "a",
            "routing": "r",
            "version": 8,
            "version_type": "external_gte",
        }
    }
    assert body == {"v": [1.0, 1.0]}
    assert json.loads(Action("delete", "i", "a").lines()) == {"delete": {"_index": "i", "_id": "a"}}


def test_batches_stay_below_what_a_request_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.reindexing.bulk.MAX_BULK_BYTES", 100)
    actions = [Action("index", "i", str(n), {"t": "x" * 20}) for n in range(5)]
    batches = list(by_bytes(actions))
    assert len(batches) > 1
    assert [a for batch in batches for a, _ in batch] == actions


def test_what_a_busy_cluster_refused_is_sent_again() -> None:
    statuses = {"a": [201], "b": [429, 503, 201], "c": [409], "d": [404]}

    def answer(_: str, body: bytes, **__: Any) -> dict[str, Any]:
        ids = [next(iter(json.loads(x).values()))["_id"] for x in body.splitlines() if b"_id" in x]
        items = [{"index": {"_index": "i", "_id": i, "status": statuses[i].pop(0)}} for i in ids]
        return {"items": items}

    client = RecordingClient(answer)
    actions = [Action("index", "i", i, {"t": 1}) for i in statuses]
    assert send(client, Patience(10, lambda _: None), actions) == {("i", "c")}
    assert len(client.named("bulk")) == 3
    assert not any(statuses.values())


def test_a_refused_document_ends_the_job_with_its_reason() -> None:
    error = {"type": "mapper", "reason": "failed to parse", "caused_by": {"reason": "not a date"}}
    item = {"index": {"_index": "i", "_id": "a", "status": 400, "error": error}}
    client = RecordingClient(lambda *_, **__: {"items": [item]})
    with pytest.raises(ReindexError, match="a: failed to parse: not a date"):
        send(client, Patience(), [Action("index", "i", "a", {})])


def server_body(spec: IndexSpec) -> dict[str, Any]:
    """An index as the server tells it."""
    body = index_body(spec)
    settings = {k.removeprefix("index."): v for k, v in body["settings"].items()}
    own = {"uuid": "u", "creation_date": "1", "provided_name": "x", "blocks": {"write": "true"}}
    search = {"default_pipeline": settings.pop("search.default_pipeline")}
    return {
        "settings": {"index": {**settings, **own, "search": search}},
        "mappings": body["mappings"],
    }


SPEC = IndexSpec(
    "docs",
    analyzers={"latin": "english", "hangul": "nori"},
    dense=DENSE,
    sparse=SPARSE,
    m=24,
    notes={"chunking": {"size": 300}, "dense_floor": 0.1, "fusion": {"method": "rrf"}},
)


def info_of(body: dict[str, Any]) -> Any:
    return info_from_meta(body["mappings"]["_meta"][META_KEY], name="docs", physical="docs-v0-1")


def changes(**values: Any) -> Changes:
    given = {"version": "2", "dense": DENSE, "sparse": SPARSE, "encoder_options": {}}
    return Changes(**{**given, "changed": False, **values})


def test_a_new_index_is_the_old_one_with_other_encoders() -> None:
    old = server_body(SPEC)
    old["settings"]["index"]["analysis"] = {"analyzer": {"house": {"type": "simple"}}}
    wider = replace(DENSE, model="wide", fingerprint="w" * 16, dimension=32)
    new = new_body(
        old, info_of(old), changes(dense=wider, changed=True, dense_floor=0.3, replicas=2)
    )
    before, after = old["mappings"]["properties"], new["mappings"]["properties"]
    assert {n: f for n, f in after.items() if n != "dense"} == {
        n: f for n, f in before.items() if n != "dense"
    }
    assert after["dense"] == {**before["dense"], "dimension": 32}
    meta = new["mappings"]["_meta"][META_KEY]
    assert meta["encoders"]["dense"]["model"] == "wide"
    assert (meta["version"], meta["dense_floor"], meta["chunking"]) == ("2", 0.3, {"size": 300})
    assert "fusion" not in meta
    settings = new["settings"]["index"]
    assert settings["number_of_replicas"] == 2
    assert settings["analysis"] == old["settings"]["index"]["analysis"]
    assert not {"uuid", "creation_date", "provided_name", "blocks"} & settings.keys()
    assert old["mappings"]["properties"]["dense"]["dimension"] == DENSE.dimension


def test_what_was_tuned_stays_where_the_encoders_stay() -> None:
    old = server_body(SPEC)
    old["settings"]["index"]["default_pipeline"] = "encode"
    new = new_body(old, info_of(old), changes(shards=3))
    meta = new["mappings"]["_meta"][META_KEY]
    assert meta["fusion"] == {"method": "rrf"} and meta["dense_floor"] == 0.1
    assert new["settings"]["index"]["default_pipeline"] == "encode"
    assert new["settings"]["index"]["number_of_shards"] == 3
    assert new["mappings"]["properties"] == old["mappings"]["properties"]


def test_pipelines_of_other_models_are_not_attached() -> None:
    old = server_body(SPEC)
    index = old["settings"]["index"]
    index |= {"default_pipeline": "encode", "search": {"default_pipeline": "docs-search"}}
    other = changes(sparse=replace(SPARSE, fingerprint="o" * 16), changed=True)
    new = new_body(old, info_of(old), other)["settings"]["index"]
    assert "default_pipeline" not in new
    assert new["search"]["default_pipeline"] == "tandem-default"
    found = dropped_pipelines(old["settings"], other)
    assert found == ["index.default_pipeline", "index.search.default_pipeline"]
    assert dropped_pipelines(old["settings"], changes()) == []


def test_legs_come_and_go() -> None:
    words = server_body(replace(SPEC, dense=None, notes={}))
    added = new_body(words, info_of(words), changes(changed=True))
    assert added["mappings"]["properties"]["dense"]["dimension"] == DENSE.dimension
    assert added["settings"]["index"]["knn"] is True
    both = server_body(SPEC)
    gone = new_body(both, info_of(both), changes(dense=None, changed=True))
    assert "dense" not in gone["mappings"]["properties"]
    assert "knn" not in gone["settings"]["index"]
    assert "dense_floor" not in gone["mappings"]["_meta"][META_KEY]


def test_a_companion_keeps_its_range_with_its_weights() -> None:
    spec = replace(SPEC, sparse_field="seismic", max_sparse_weight=7.0)
    body = seismic_body(spec)
    old = {"settings": {"index": body["settings"]}, "mappings": body["mappings"]}
    info = info_of(server_body(spec))

    def ceiling(new: dict[str, Any]) -> float:
        method = new["mappings"]["properties"]["tokens"]["method"]
        return float(method["parameters"]["quantization_ceiling_ingest"])

    assert ceiling(new_companion_body(old, info, changes(), kept=True)) == 7.0
    heavier = changes(max_sparse_weight=9.0, changed=True)
    assert ceiling(new_companion_body(old, info, heavier, kept=False)) == 9.0
    assert ceiling(new_companion_body(None, info, heavier, kept=False)) == 9.0


def test_only_the_named_leg_is_loaded_and_encoded() -> None:
    legs = plan_legs(RecordingClient(), index_info(), job(dense="dense-2"))
    assert isinstance(legs.new.dense, DenseVersion) and legs.new.sparse is None
    assert legs.kept("sparse") and not legs.kept("dense")
    assert legs.stamp == stamp_of(legs.new.dense.identity, SPARSE) == "200000000000+ssssssssssss"
    assert legs.changed


def test_the_same_model_under_another_name_is_not_encoded_again() -> None:
    moved = index_info(dense=DenseVersion("elsewhere/dense-2").identity)
    legs = plan_legs(RecordingClient(), moved, job(dense="dense-2"))
    assert legs.kept("dense") and legs.dense.model == "dense-2"
    assert not legs.changed


def test_a_model_tuned_for_queries_alone_keeps_the_documents() -> None:
    class Tuned(DenseVersion):
        def __init__(self, model: str) -> None:
            super().__init__(model)
            self.identity = replace(self.identity, documents=DENSE.fingerprint)

    loaders = replace(LOADERS, dense=lambda model, _: Tuned(model))
    legs = plan_legs(RecordingClient(), index_info(), job(dense="dense-9", loaders=loaders))
    assert legs.kept("dense") and not legs.changed
    assert (legs.dense.model, legs.dense.fingerprint) == ("dense-9", DENSE.fingerprint)


def test_options_of_a_replaced_leg_go_and_of_a_kept_one_stay() -> None:
    class Kept(SparseVersion):
        identity = SPARSE

        def __init__(self, model: str) -> None:
            super().__init__("sparse-1")
            self.identity = SPARSE

    loaders = replace(LOADERS, sparse=lambda model, _: Kept(model))
    info = index_info(notes={"encoder_options": {"dimension": 4, "top_k": 5}})
    legs = plan_legs(RecordingClient(), info, job(dense="dense-2", loaders=loaders))
    assert legs.options == {"top_k": 5}
    load = LoadOptions(dimension=3)
    legs = plan_legs(RecordingClient(), info, job(dense="dense-2", load=load, loaders=loaders))
    assert legs.options == {"top_k": 5, "dimension": 3}


def job(**options: Any) -> ReindexJob:
    return ReindexJob("docs", "2", **{"loaders": LOADERS, **options})


def a_stored(**source: Any) -> Stored:
    whole = {"doc_id": "d", "text": "card fee", "encoder": stamp_of(DENSE, SPARSE), **source}
    return Stored("d#0", 4, 1, None, whole)


def a_copier(info: Any, new: Encoders) -> Copier:
    legs = Legs(
        before=info,
        dense=new.dense.identity if new.dense else info.dense,
        sparse=new.sparse.identity if new.sparse else info.sparse,
        new=new,
        load_kept=lambda: Encoders(DenseVersion("dense-1"), SparseVersion("sparse-1")),
        options={},
    )
    target = replace(info, physical="docs-v2-1", dense=legs.dense, sparse=legs.sparse)
    return Copier(RecordingClient(), info, target, legs, Patience())


def test_a_kept_leg_is_copied_to_the_letter() -> None:
    copier = a_copier(index_info(), Encoders(sparse=SparseVersion("sparse-2")))
    (made,) = copier.remake([a_stored(dense=[0.5], sparse={"old": 1.0}, metadata={"n": 1})])
    assert made.body["dense"] == [0.5] and made.body["metadata"] == {"n": 1}
    assert "old" not in made.body["sparse"] and made.encoded
    assert made.body["encoder"] == "dddddddddddd+200000000000"
    assert copier.wanted == {"excludes": ["sparse"]}


def test_a_document_without_our_stamp_is_encoded_whole() -> None:
    copier = a_copier(index_info(), Encoders(sparse=SparseVersion("sparse-2")))
    strange = Stored("x", 9, 1, None, {"text": ["card", "fee"], "dense": [0.5]})
    ours, theirs = copier.remake([a_stored(dense=[0.5]), strange])
    assert ours.body["dense"] == [0.5]
    expected = DenseVersion("dense-1").encode_documents(["card\nfee"])[0]
    assert theirs.body["dense"] == pytest.approx(expected)
    assert as_chunk(strange).doc_id == "x"


def test_a_passage_longer_than_an_encoder_reads_is_counted() -> None:
    short = DenseVersion("dense-2")
    short.max_tokens = 3
    copier = a_copier(index_info(), Encoders(dense=short))
    made = copier.remake([a_stored(), replace(a_stored(text="one two three four"), id="e")])
    assert [m.long for m in made] == [False, True]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ([1.0, 0.0], [0.999, 0.01], True),
        ([1.0, 0.0], [0.0, 1.0], False),
        ([1.0, 0.0], [1.0, 0.0, 0.0], False),
        ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        (None, None, True),
        (None, [1.0], False),
    ],
)
def test_vectors_of_one_text_by_one_encoder_are_similar(one: Any, two: Any, same: bool) -> None:
    assert similar(one, two) is same


def test_equal_content_is_not_carried() -> None:
    one = a_stored(dense=[1.0], metadata={"n": 1})
    assert same_content(one, a_stored(sparse={"a": 1.0}, metadata={"n": 1}))
    assert not same_content(one, a_stored(metadata={"n": 2}))
    assert not same_content(one, None)


def test_states_survive_the_mapping() -> None:
    state = replace(first_state("docs-v0-1", "u", 2), done=(5, -1), copied=6)
    noted = json.loads(json.dumps({"reindex": state.as_dict(), "synced": {"docs-v0-1": [3, 4]}}))
    info = index_info(notes=noted)
    assert BuildState.of(info) == state
    assert BuildState.of(index_info()) is None
    assert synced(info, "docs-v0-1") == (3, 4) and synced(info, "other") is None
    for carry in (Carry("docs-v2-1", (1, 2), (3, 4)), Carry("x", None, (1,), (2,), (3,), 4, 5, 6)):
        assert Carry.of(json.loads(json.dumps(carry.as_dict()))) == carry


def version(physical: str, state: Any = "old", source: str | None = None) -> IndexVersion:
    current = state in ("current", "catching-up")
    return IndexVersion(physical, "1", 1, current, state, 0, 0, "", None, None, source)


def test_the_current_version_and_its_source_always_stay() -> None:
    versions = [
        version("v1"),
        version("v2"),
        version("v3"),
        version("v4", "building"),
        version("v5", "current", source="v1"),
    ]
    assert [v.physical for v in surplus_versions(versions, 1)] == ["v3", "v2"]
    assert [v.physical for v in surplus_versions(versions, 2)] == ["v2"]
    assert surplus_versions(versions, 3) == []
    assert surplus_versions([*versions[:3], version("v5", "catching-up")], 1) == []


def test_a_lease_ends_with_its_time_or_its_process() -> None:
    import time

    here = this_process()
    later = time.time() + 60
    assert not is_over({"expires": later, "process": here})
    assert is_over({"expires": time.time() - 1, "process": here})
    assert not is_over({"expires": later, "process": {**here, "machine": "another"}})
    if here["machine"]:
        assert is_over({"expires": later, "process": {**here, "started": here["started"] - 99}})
        assert is_over({"expires": later, "process": {**here, "pid": 2**22 + 1}})


def stats(*numbers: tuple[int, int], started: bool = True) -> dict[str, Any]:
    shards = {
        str(shard): [
            {
                "routing": {"primary": started},
                "seq_no": {"global_checkpoint": low, "max_seq_no": high},
            }
        ]
        for shard, (low, high) in enumerate(numbers)
    }
    return {"indices": {"docs-v0-1": {"shards": shards}}}


def a_reader(*answers: dict[str, Any], shards: int = 2) -> tuple[Reader, RecordingClient]:
    left = list(answers)

    def answer(name: str, /, **_: Any) -> Any:
        if name == "indices.stats":
            return left.pop(0)
        settings = {"index": {"number_of_shards": str(shards)}}
        return {"docs-v0-1": {"settings": settings}}

    client = RecordingClient(answer)
    return Reader(client, "docs-v0-1", Patience(5, lambda _: None)), client


def test_a_checkpoint_is_where_every_write_is_complete() -> None:
    reader, client = a_reader(stats((5, 9), (3, 3)))
    assert reader.checkpoints() == (5, 3)
    # Only what was complete before the refresh is sure to be visible after it.
    assert [name for name, _ in client.calls][-1] == "indices.refresh"


def test_a_shard_that_is_away_and_a_write_that_is_under_way_are_waited_for() -> None:
    reader, _ = a_reader(stats((5, 9)), stats((5, 9), (3, 3)))
    assert reader.checkpoints() == (5, 3)
    reader, _ = a_reader(stats((5, 9), (3, 3)), stats((9, 9), (3, 3)))
    assert reader.settled() == (9, 3)


@given(
    borders=st.lists(st.text("abc", min_size=1, max_size=3)),
    doc=st.text("abc", max_size=4),
    low=st.none() | st.text("abc", min_size=1, max_size=2),
)
def test_spans_divide_what_they_hold(borders: list[str], doc: str, low: str | None) -> None:
    def holds(span: Span) -> bool:
        above = span.low is None or doc >= span.low
        return not span.nameless and above and (span.high is None or doc < span.high)

    whole = Span(low)
    inside = [border for border in borders if low is None or border >= low]
    parts = whole.divide(inside)
    assert sum(map(holds, parts)) == holds(whole)
    assert [part.nameless for part in parts].count(True) == (low is None)
    assert all(part.clause() != {"match_all": {}} for part in parts)
