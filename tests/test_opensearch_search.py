"""Running a search against a server that answers as it is told."""

import pytest
from opensearch_samples import RecordingClient, TinyDense, TinySparse, index_info
from opensearchpy.exceptions import RequestError

from encoders.base import EncoderIdentity
from opensearch.errors import EncoderMismatchError, SearchBackendError
from opensearch.fusion import Fusion, fuse
from opensearch.plan import QueryEncoders, SearchRequest
from opensearch.search import SHOWN_TOKENS, Searcher, read_hits

BOTH = QueryEncoders(TinyDense(), TinySparse())


def raw(chunk_id: str, score: float, **more) -> dict:
    """A hit as OpenSearch answers it."""
    doc_id = chunk_id.rpartition("#")[0]
    source = {"title": f"Title {doc_id}", "text": f"text {chunk_id}", "metadata": {"lang": "en"}}
    return {
        "_id": chunk_id,
        "_score": score,
        "_source": {**source, **more.pop("source", {})},
        "fields": {"doc_id": [doc_id]},
        **more,
    }


def answer(*hits: dict) -> dict:
    return {"_shards": {"total": 1, "failed": 0}, "hits": {"hits": list(hits)}}


def answering(*answers: dict) -> RecordingClient:
    left = list(answers)
    return RecordingClient(lambda _name, /, **_: left.pop(0))


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        pytest.param(
            {"total": 2, "failed": 1, "failures": [{"reason": {"reason": "not knn_vector"}}]},
            "1 of 2 shards failed: not knn_vector",
            id="with a reason",
        ),
        pytest.param({"total": 2, "failed": 2}, "2 of 2 shards failed", id="without"),
        pytest.param({"total": 2, "failed": 2, "failures": []}, "no reason given", id="empty"),
    ],
)
def test_an_answer_of_some_shards_is_refused(shards, message) -> None:
    with pytest.raises(SearchBackendError, match=message):
        read_hits({"_shards": shards, "hits": {"hits": [raw("a#0", 1.0)]}})


@pytest.mark.parametrize("score", [-9549512000.0, -4422440400.0, -1e9])
def test_scores_that_nothing_normalised_are_refused(score) -> None:
    with pytest.raises(SearchBackendError, match="normalised"):
        read_hits(answer(raw("a#0", 0.5), raw("b#0", score)))


@pytest.mark.parametrize("score", [None, 0.0, -0.5, 12.0])
def test_other_scores_are_taken(score) -> None:
    assert read_hits(answer(raw("a#0", score)))[0]["_score"] == score


def lost(*kinds: str) -> dict:
    failures = [{"reason": {"type": kind, "reason": "disconnected"}} for kind in kinds]
    shards = {"total": 3, "failed": len(kinds), "failures": failures}
    return {"_shards": shards, "hits": {"hits": [raw("b#0", 1.0)]}}


NODE_LOST = lost("node_disconnected_exception")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("opensearch.search.time.sleep", slept.append)
    return slept


def test_a_search_is_sent_again_when_its_node_was_lost(pauses) -> None:
    client = answering(NODE_LOST, NODE_LOST, answer(raw("a#0", 3.0)))
    result = Searcher(client, index_info(), BOTH).search(SearchRequest("red fox"))
    assert [hit.id for hit in result.hits] == ["a"]
    assert pauses == sorted(pauses)
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("failed", "requests"),
    [
        pytest.param(NODE_LOST, 5, id="for ever"),
        pytest.param(lost("node_disconnected_exception", "parsing_exception"), 1, id="not only"),
        pytest.param(lost("query_shard_exception"), 1, id="another reason"),
    ],
)
def test_a_search_is_not_sent_again_in_vain(pauses, failed, requests) -> None:
    client = RecordingClient(lambda _name, /, **_: failed)
    with pytest.raises(SearchBackendError, match="shards failed: disconnected"):
        Searcher(client, index_info(), BOTH).search(SearchRequest("red fox"))
    assert len(client.named("search")) == requests


@pytest.mark.parametrize("mode", ["bm25", "dense", "sparse"])
def test_a_single_leg_is_sent_without_pipeline(mode) -> None:
    client = answering(answer(raw("a#1", 3.0)))
    result = Searcher(client, index_info(), BOTH).search(SearchRequest("red fox", mode=mode))
    (call,) = client.named("search")
    assert call["index"] == "docs-v0-1"
    assert call["body"]["search_pipeline"] == "_none"
    assert result.legs == (mode,)
    assert (result.hits[0].id, result.hits[0].chunk_id, result.hits[0].score) == ("a", "a#1", 3.0)


def test_hybrid_is_one_request_with_its_pipeline() -> None:
    client = answering(answer(raw("a#0", 0.9), raw("b#0", 0.4)))
    result = Searcher(client, index_info(), BOTH).search(SearchRequest("red fox"))
    (call,) = client.named("search")
    assert "normalization-processor" in str(call["body"]["search_pipeline"])
    assert result.legs == ("bm25", "dense", "sparse")
    assert [(hit.id, hit.rank) for hit in result.hits] == [("a", 1), ("b", 2)]


def test_a_page_behind_the_last_one_is_empty() -> None:
    def past_the_end(_name, /, **_):
        reason = "Reached end of search result, increase pagination_depth value to see more results"
        raise RequestError(400, "search_phase_execution_exception", {"error": {"reason": reason}})

    client = RecordingClient(past_the_end)
    result = Searcher(client, index_info(), BOTH).search(SearchRequest("red fox", offset=50))
    assert result.hits == ()


def test_other_failures_of_a_hybrid_search_are_raised() -> None:
    def fails(_name, /, **_):
        raise RequestError(400, "parsing_exception", {"error": {"reason": "unknown query"}})

    with pytest.raises(SearchBackendError, match="unknown query"):
        Searcher(RecordingClient(fails), index_info(), BOTH).search(SearchRequest("red fox"))


def test_hybrid_with_one_leg_left_is_that_leg() -> None:
    client = answering(answer())
    result = Searcher(client, index_info(), BOTH).search(SearchRequest("대출 금리"))
    assert result.legs == ("bm25",)
    assert set(result.left_out) == {"dense", "sparse"}
    assert "hybrid" not in client.named("search")[0]["body"]["query"]


def test_no_leg_no_request() -> None:
    client = RecordingClient()
    searcher = Searcher(client, index_info(), BOTH)
    result = searcher.search(SearchRequest("대출 금리", mode="dense", leg_scores=True))
    assert result.hits == ()
    assert "does not know the language" in result.left_out["dense"]
    assert client.calls == []


def test_ranks_count_over_all_pages() -> None:
    client = answering(answer(raw("a#0", 2.0), raw("b#0", 1.0)))
    request = SearchRequest("red fox", mode="bm25", size=2, offset=20)
    assert [hit.rank for hit in Searcher(client, index_info(), BOTH).search(request).hits] == [
        21,
        22,
    ]


def test_a_hit_shows_its_parts() -> None:
    weights = {f"t{i}": float(i) for i in range(30)}
    hit = raw(
        "a#2",
        1.5,
        source={"sparse": weights},
        highlight={"title": ["<em>Title</em> a"], "text": ["<em>text</em>"]},
    )
    request = SearchRequest("red fox", mode="bm25", highlight=True, tokens=True)
    (shown,) = Searcher(answering(answer(hit)), index_info(), BOTH).search(request).hits
    assert (shown.title, shown.text, shown.metadata) == ("Title a", "text a#2", {"lang": "en"})
    assert shown.highlights == ("<em>text</em>",)
    assert list(shown.tokens) == [f"t{i}" for i in range(29, 29 - SHOWN_TOKENS, -1)]
    assert shown.as_dict()["tokens"] == shown.tokens


def test_a_title_is_highlighted_where_the_text_is_not() -> None:
    hit = raw("a#0", 1.5, highlight={"title": ["<em>Title</em> a"]})
    request = SearchRequest("red fox", mode="bm25", highlight=True)
    (shown,) = Searcher(answering(answer(hit)), index_info(), BOTH).search(request).hits
    assert shown.highlights == ("<em>Title</em> a",)


def test_leg_scores_are_asked_leg_by_leg_for_the_page() -> None:
    client = answering(
        answer(raw("a#0", 0.9), raw("b#0", 0.4)),
        answer(raw("a#0", 7.0)),
        answer(raw("b#0", 1.4), raw("a#0", 1.2)),
        answer(raw("b#0", 0.0)),
    )
    request = SearchRequest("red fox", leg_scores=True)
    first, second = Searcher(client, index_info(), BOTH).search(request).hits
    assert first.legs == {"bm25": 7.0, "dense": 1.2}
    assert second.legs == {"dense": 1.4}
    for call in client.named("search")[1:]:
        assert "a#0" in str(call["body"]) and "b#0" in str(call["body"])


SEISMIC = index_info(sparse_field="seismic")


class TwoIndices:
    """Answers candidates of each leg, then documents by id."""

    def __init__(self, bm25=(), dense=(), sparse=()) -> None:
        self.rankings = {"bm25": bm25, "dense": dense, "sparse": sparse}
        self.asked: list[tuple[str, str]] = []

    def __call__(self, name, /, **values):
        index, query = values["index"], values["body"]["query"]
        leg = next((leg for leg in ("dense", "sparse") if _is(query, leg)), "bm25")
        only = query.get("bool", {}).get("filter", [{}])[0].get("ids")
        if only:
            return answer(*(raw(i, 0.0) for i in reversed(only["values"])))
        self.asked.append((leg, index))
        return answer(*(raw(i, s) for i, s in self.rankings[leg]))


def _is(query: dict, leg: str) -> bool:
    return {"dense": "knn", "sparse": "neural_sparse"}[leg] in query


BM25 = [("a#0", 9.0), ("b#0", 6.0), ("a#1", 3.0)]
DENSE = [("b#1", 1.9), ("a#0", 1.5), ("c#0", 1.2)]
SPARSE = [("c#0", 4.0), ("b#1", 2.0), ("z#0", 0.0)]


@pytest.mark.parametrize("method", ["minmax", "rrf"])
def test_legs_in_two_indices_are_fused_by_the_client(method) -> None:
    server = TwoIndices(BM25, DENSE, SPARSE)
    fusion = Fusion(method=method)
    request = SearchRequest("red fox", fusion=fusion)
    result = Searcher(RecordingClient(server), SEISMIC, BOTH).search(request)
    assert server.asked == [
        ("bm25", "docs-v0-1"),
        ("dense", "docs-v0-1"),
        ("sparse", "docs-v0-1-seismic"),
    ]
    expected = fuse({"bm25": BM25, "dense": DENSE, "sparse": SPARSE[:2]}, fusion)
    best: dict[str, tuple[str, float]] = {}
    for chunk_id, score in expected:
        best.setdefault(chunk_id[0], (chunk_id, score))
    assert [(hit.chunk_id, hit.score) for hit in result.hits] == list(best.values())
    assert [hit.rank for hit in result.hits] == [1, 2, 3]
    assert "z" not in [hit.id for hit in result.hits]


def test_pages_of_a_fusion_in_the_client_continue_each_other() -> None:
    searcher = Searcher(RecordingClient(TwoIndices(BM25, DENSE, SPARSE)), SEISMIC, BOTH)
    pages = [searcher.search(SearchRequest("red fox", size=1, offset=n)).hits for n in range(4)]
    assert [hit.rank for page in pages for hit in page] == [1, 2, 3]
    assert len({hit.id for page in pages for hit in page}) == 3


def test_the_companion_alone_keeps_its_scores() -> None:
    searcher = Searcher(RecordingClient(TwoIndices(sparse=SPARSE)), SEISMIC, BOTH)
    hits = searcher.search(SearchRequest("red fox", mode="sparse")).hits
    assert [(hit.chunk_id, hit.score) for hit in hits] == SPARSE[:2]


def test_another_encoder_is_refused_before_anything_is_sent() -> None:
    class Other(TinyDense):
        identity = EncoderIdentity("dense", "other", "o" * 16, 8)

    client = RecordingClient()
    with pytest.raises(EncoderMismatchError, match="tiny-dense"):
        Searcher(client, index_info(), QueryEncoders(Other(), None))
    assert client.calls == []


def test_a_portable_index_is_fused_by_the_client_and_found_by_its_words() -> None:
    server = TwoIndices(BM25, DENSE, SPARSE)
    client = RecordingClient(server)
    info = index_info(notes={"portable": True})
    hits = Searcher(client, info, BOTH).search(SearchRequest("red fox")).hits
    assert {index for _, index in server.asked} == {"docs-v0-1"}
    assert [leg for leg, _ in server.asked] == ["bm25", "dense", "sparse"]
    assert len({hit.id for hit in hits}) == len(hits) == 3
    bodies = str(client.named("search"))
    assert "'match': {'passage'" in bodies
    for lacking in ("combined_fields", "hybrid", "normalization"):
        assert lacking not in bodies


def test_an_answer_without_hits_is_refused() -> None:
    with pytest.raises(SearchBackendError, match=r"without hits: .*circuit_breaking"):
        read_hits({"error": {"type": "circuit_breaking_exception"}, "status": 429})
