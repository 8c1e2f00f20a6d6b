"""A searcher that follows the alias: which version it asks, and when it looks."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from opensearch_samples import RecordingClient
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import NotFoundError
from reindexing_samples import DenseVersion, SparseVersion

from encoders.errors import EncoderError
from opensearch.errors import IndexNotFoundError
from opensearch.fusion import Fusion
from opensearch.index_info import IndexInfo
from opensearch.plan import QueryEncoders, SearchRequest
from operations.reindexing.following import FollowingSearcher


class Cluster:
    """An alias and the versions behind it."""

    def __init__(self) -> None:
        self.current = 1
        self.gone: set[int] = set()
        self.away = False
        self.looks = 0
        self.fusion: dict[str, Any] | None = None

    def __call__(self, call: str, /, *, index: str, **_: Any) -> dict[str, Any]:
        if self.away:
            raise NoConnection("N/A", "refused", None)
        if call == "indices.get_mapping":
            self.looks += 1
            return {f"docs-v{self.current}-1": {"mappings": {"_meta": {"tandem": self.meta()}}}}
        version = int(index.removeprefix("docs-v").removesuffix("-1"))
        if version in self.gone:
            info = {"error": {"type": "index_not_found_exception", "index": index}}
            raise NotFoundError(404, "index_not_found_exception", info)
        hit = {"_id": "d#0", "_score": 1.0, "fields": {"doc_id": ["d"]}, "_source": {}}
        return {"_shards": {"total": 1}, "hits": {"hits": [hit]}}

    def meta(self) -> dict[str, Any]:
        identities = {
            "dense": DenseVersion(f"dense-{self.current}").identity.as_dict(),
            "sparse": SparseVersion(f"sparse-{self.current}").identity.as_dict(),
        }
        return {
            "analyzers": [["latin", "english"]],
            "sparse_field": "rank_features",
            "created": f"then {self.current}",
            "encoders": identities,
            **({"fusion": self.fusion} if self.fusion else {}),
        }


class Loading:
    """Loads encoders, and remembers for which versions."""

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self.versions: list[int] = []
        self._before = before

    def __call__(self, _: Any, info: IndexInfo, __: Any) -> QueryEncoders:
        version = int(info.dense.model.removeprefix("dense-"))
        self._before(version)
        self.versions.append(version)
        return QueryEncoders(DenseVersion(info.dense.model), SparseVersion(info.sparse.model))


REQUEST = SearchRequest("card fee")


def asked(searcher: FollowingSearcher) -> str:
    result, info = searcher.answer(lambda _: REQUEST)
    assert [hit.id for hit in result.hits] == ["d"]
    return info.physical


def eventually(condition: Callable[[], bool]) -> None:
    deadline = threading.Event()
    for _ in range(200):
        if condition():
            return
        deadline.wait(0.01)
    pytest.fail("it never happened")


def test_a_swap_is_noticed_and_encoders_are_loaded_once() -> None:
    cluster, loading = Cluster(), Loading()
    searcher = FollowingSearcher(RecordingClient(cluster), "docs", ttl_s=0, load=loading)
    assert asked(searcher) == "docs-v1-1"
    cluster.current = 2
    eventually(lambda: asked(searcher) == "docs-v2-1")
    cluster.current = 1
    assert asked(searcher) == "docs-v1-1"  # a rollback finds its encoders loaded
    cluster.current = 2
    assert asked(searcher) == "docs-v2-1"
    assert loading.versions == [1, 2]


def test_the_alias_is_looked_up_now_and_then() -> None:
    cluster = Cluster()
    searcher = FollowingSearcher(RecordingClient(cluster), "docs", ttl_s=60, load=Loading())
    for _ in range(5):
        searcher.search(REQUEST)
    assert cluster.looks == 1


def test_queries_go_on_while_a_version_is_loaded() -> None:
    loaded = threading.Event()
    cluster = Cluster()
    loading = Loading(lambda version: version == 1 or not loaded.wait(10) or None)
    searcher = FollowingSearcher(RecordingClient(cluster), "docs", ttl_s=0, load=loading)
    asked(searcher)
    cluster.current = 2
    assert [asked(searcher) for _ in range(3)] == ["docs-v1-1"] * 3
    loaded.set()
    eventually(lambda: asked(searcher) == "docs-v2-1")


def test_a_version_that_was_deleted_is_left_at_once() -> None:
    cluster = Cluster()
    searcher = FollowingSearcher(RecordingClient(cluster), "docs", ttl_s=60, load=Loading())
    asked(searcher)
    cluster.current, cluster.gone = 2, {1}
    assert asked(searcher) == "docs-v2-1"
    cluster.gone = {2}
    with pytest.raises(IndexNotFoundError):
        searcher.search(REQUEST)


def test_a_model_that_cannot_be_loaded_leaves_the_version_before() -> None:
    def fail(version: int) -> None:
        if version == 2:
            msg = "no such model"
            raise EncoderError(msg)

    cluster = Cluster()
    searcher = FollowingSearcher(RecordingClient(cluster), "docs", ttl_s=0, load=Loading(fail))
    asked(searcher)
    cluster.current = 2
    for _ in range(20):
        assert asked(searcher) == "docs-v1-1"


def test_a_look_that_fails_changes_nothing() -> None:
    cluster = Cluster()
    searcher = FollowingSearcher(RecordingClient(cluster), "docs", ttl_s=0, load=Loading())
    before = searcher.current().info.physical
    cluster.away = True
    assert searcher.current().info.physical == before


def test_a_version_is_fused_as_it_was_tuned() -> None:
    cluster = Cluster()
    cluster.fusion = Fusion(method="rrf").as_dict()
    client = RecordingClient(cluster)
    searcher = FollowingSearcher(client, "docs", ttl_s=60, load=Loading())
    searcher.search_tuned(REQUEST)
    pipeline = client.named("search")[-1]["body"]["search_pipeline"]
    assert "score-ranker-processor" in str(pipeline)
