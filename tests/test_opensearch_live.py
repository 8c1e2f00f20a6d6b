"""Indices and searches on a real node, with tiny encoders."""

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from opensearch_samples import DENSE, SPARSE, TinyDense, TinySparse, encode, passage
from opensearchpy.exceptions import AuthorizationException

from encoders.base import EncoderIdentity
from ingest.records import Chunk, EncodedChunk, Window
from opensearch.capabilities import detect
from opensearch.client import connect
from opensearch.encoder_store import STORE_INDEX, load_state, save_state
from opensearch.errors import (
    CapabilityError,
    ClusterUnreachableError,
    EncoderMismatchError,
    IndexNotFoundError,
    SearchBackendError,
)
from opensearch.filters import parse_filters
from opensearch.fusion import LEGS, Bounds, Fusion, Leg, dense_bounds, fuse
from opensearch.hits import Hit
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.index_spec import IndexSpec
from opensearch.indices import (
    count_chunks,
    create_index,
    delete_index,
    force_merge,
    index_exists,
    refresh,
    set_refresh_interval,
)
from opensearch.plan import MODES, QueryEncoders, SearchRequest, plan_search
from opensearch.requests import candidates_body
from opensearch.search import Searcher, read_hits
from opensearch.settings import load_settings
from opensearch.sink import IndexSink
from opensearch.writer import write_chunks

pytestmark = pytest.mark.node

WORDS = "account card cash cheque credit deposit fee interest loan transfer rate wire".split()
DOCUMENTS = 60
QUERY = "wire transfer fee"
BOTH = QueryEncoders(TinyDense(), TinySparse())


def corpus(seed: int = 3) -> list[EncodedChunk]:
    """Documents of one to three chunks; every tenth is Korean, which the encoders do not know."""
    rng = random.Random(seed)
    chunks = []
    for number in range(DOCUMENTS):
        metadata = {"lang": "en", "fee": number, "kind": ["cards", "loans"][number % 2]}
        if number % 10 == 9:
            metadata["lang"] = "ko"
            chunks.append(passage(f"d{number}", "해외 송금 수수료 안내", metadata=metadata))
            continue
        for ordinal in range(1 + number % 3):
            text = " ".join(rng.choices(WORDS, k=rng.randint(3, 9))) + f" E-{4000 + number}"
            chunks.append(
                passage(f"d{number}", text, ordinal, title=f"Topic {number}", metadata=metadata)
            )
    return encode(chunks)


@dataclass(frozen=True)
class Built:
    """An index with the corpus in it."""

    client: Any
    info: IndexInfo

    def hits(self, text: str = QUERY, encoders: QueryEncoders = BOTH, **options: Any) -> list[Hit]:
        request = SearchRequest(text, **options)
        return list(Searcher(self.client, self.info, encoders).search(request).hits)


@pytest.fixture(scope="module")
def client(node_url: str) -> Any:
    return connect(load_settings(node_url))


@pytest.fixture(scope="module")
def make(client: Any) -> Iterator[Callable[..., IndexInfo]]:
    """Creates indices under unique names, and deletes them at the end."""
    made: list[IndexInfo] = []

    def create(**options: Any) -> IndexInfo:
        name = f"test-{uuid.uuid4().hex[:12]}"
        options = {"dense": DENSE, "sparse": SPARSE, **options}
        analyzers = options.pop("analyzers", {"latin": "english", "hangul": "cjk"})
        spec = IndexSpec(name, analyzers, **options)
        try:
            made.append(create_index(client, spec, detect(client)))
        except CapabilityError:  # an older cluster: nothing may have been sent
            assert not index_exists(client, spec.physical)
            raise
        return made[-1]

    yield create
    for info in made:
        delete_index(client, info)


@pytest.fixture(scope="module")
def plain(client: Any, make: Callable[..., IndexInfo]) -> Built:
    info = make()
    chunks = corpus()
    assert write_chunks(client, info, chunks).stored == len(chunks)
    refresh(client, info)
    return Built(client, info)


@pytest.fixture(scope="module")
def seismic(client: Any, make: Callable[..., IndexInfo]) -> Built:
    info = make(sparse_field="seismic")
    chunks = corpus()
    assert write_chunks(client, info, chunks).stored == len(chunks)
    refresh(client, info)
    return Built(client, info)


@pytest.fixture(scope="module")
def portable(client: Any, make: Callable[..., IndexInfo]) -> Built:
    info = make(portable=True)
    write_chunks(client, info, corpus())
    refresh(client, info)
    return Built(client, info)


@pytest.fixture(params=["plain", "seismic"])
def built(request: pytest.FixtureRequest, node_url: str) -> Built:
    return request.getfixturevalue(request.param)


FUSIONS = {
    "minmax": Fusion(),
    "minmax with bounds": Fusion(bounds={"dense": dense_bounds(0.2)}),
    "minmax from the lowest": Fusion(bounds={leg: Bounds(None, None) for leg in LEGS}),
    "minmax, narrow bounds": Fusion(bounds={"dense": Bounds(1.3, 1.6), "bm25": Bounds(0.5, 1.5)}),
    "l2": Fusion(method="l2"),
    "z-score": Fusion(method="zscore"),
    "geometric mean": Fusion(combination="geometric"),
    "harmonic mean": Fusion(combination="harmonic"),
    "harmonic mean, l2": Fusion(method="l2", combination="harmonic"),
    "rrf": Fusion(method="rrf"),
    "rrf, equal weights": Fusion(method="rrf", weights=dict.fromkeys(LEGS, 1.0), rank_constant=7),
}
every_fusion = pytest.mark.parametrize("fusion", FUSIONS.values(), ids=FUSIONS)
every_mode = pytest.mark.parametrize("mode", MODES)


def test_the_index_says_who_built_it(built: Built) -> None:
    info = read_index_info(built.client, built.info.name)
    assert (info.dense, info.sparse) == (DENSE, SPARSE)
    assert list(info.analyzers) == ["latin", "hangul"]
    assert info == built.info


@every_mode
def test_each_mode_finds_documents_best_first(built: Built, mode: str) -> None:
    hits = built.hits(mode=mode, size=20)
    assert len(hits) >= 10
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] > 0
    assert len({hit.id for hit in hits}) == len(hits)
    for hit in hits:
        assert hit.chunk_id.startswith(f"{hit.id}#")
        assert hit.title == f"Topic {hit.id[1:]}"
        assert set(hit.metadata) == {"lang", "fee", "kind"}


@every_mode
def test_ids_only_ranks_like_a_full_search(built: Built, mode: str) -> None:
    full, bare = built.hits(mode=mode), built.hits(mode=mode, ids_only=True)
    assert [(h.id, h.chunk_id, h.score) for h in bare] == [
        (h.id, h.chunk_id, h.score) for h in full
    ]
    assert {hit.text for hit in bare} == {""}


@every_mode
def test_pages_continue_each_other(built: Built, mode: str) -> None:
    whole = built.hits(mode=mode, size=9)
    pages = [hit for n in (0, 3, 6) for hit in built.hits(mode=mode, size=3, offset=n)]
    assert [(h.id, h.rank) for h in pages] == [(h.id, h.rank) for h in whole]
    assert [h.score for h in pages] == pytest.approx([h.score for h in whole], abs=1e-6)


@every_mode
def test_a_page_beyond_the_last_hit_is_empty(built: Built, mode: str) -> None:
    assert built.hits(mode=mode, size=10, offset=5000) == []


@every_mode
@pytest.mark.parametrize(
    ("expressions", "keeps"),
    [
        pytest.param(["kind=cards"], lambda m: m["kind"] == "cards", id="equal"),
        pytest.param(["kind=cards,loans"], lambda m: True, id="any of"),
        pytest.param(["kind!=cards"], lambda m: m["kind"] != "cards", id="not"),
        pytest.param(["fee<=20", "fee>5"], lambda m: 5 < m["fee"] <= 20, id="range"),
        pytest.param(["doc_id=d3,d4"], lambda m: m["fee"] in (3, 4), id="own field"),
        pytest.param(['kind="cards" OR *:* 😀'], lambda m: False, id="odd letters"),
        pytest.param(["nosuchfield=x"], lambda m: False, id="unknown field"),
    ],
)
def test_filters_hold_in_every_leg(built: Built, mode: str, expressions, keeps) -> None:
    filters = parse_filters(expressions)
    hits = built.hits(mode=mode, size=50, filters=filters)
    assert all(keeps(hit.metadata) for hit in hits)
    unfiltered = built.hits(mode=mode, size=50)
    assert {h.id for h in unfiltered if keeps(h.metadata)} <= {h.id for h in hits}


def test_a_filter_of_the_wrong_type_is_explained(plain: Built) -> None:
    with pytest.raises(SearchBackendError, match="many"):
        plain.hits(filters=parse_filters(["fee=many"]))


def candidates(built: Built, request: SearchRequest) -> dict[Leg, list[tuple[str, float]]]:
    """The ranking of each leg alone."""
    plan = plan_search(request, built.info, BOTH)
    found: dict[Leg, list[tuple[str, float]]] = {}
    for leg, clause in plan.clauses.items():
        index = built.info.seismic if leg == "sparse" else None
        answer = built.client.search(
            index=index or built.info.physical, body=candidates_body(request, clause)
        )
        found[leg] = [(h["_id"], h["_score"]) for h in read_hits(answer) if h["_score"] > 0]
    return found


def documents_of(ranking: list[tuple[str, float]]) -> dict[str, float]:
    """The score of the best chunk of each document."""
    best: dict[str, float] = {}
    for chunk_id, score in ranking:
        best.setdefault(chunk_id.partition("#")[0], score)
    return best


@every_fusion
@pytest.mark.parametrize(
    "text", [QUERY, "credit", "deposit rate E-4012", "nothing known here", "overdraft"]
)
def test_the_server_fuses_by_the_formulas_of_the_client(plain: Built, fusion, text) -> None:
    request = SearchRequest(text, size=50, fusion=fusion)
    expected = documents_of(fuse(candidates(plain, request), fusion))
    actual = {hit.id: hit.score for hit in plain.hits(text, size=50, fusion=fusion)}
    assert len(actual) == min(50, len(expected))
    assert actual == pytest.approx({i: expected[i] for i in actual}, abs=1e-4)
    # The ids agree but for ties at the end of the page.
    last = min(actual.values())
    assert {i for i, score in expected.items() if score > last + 1e-4} <= set(actual)


@every_fusion
def test_the_companion_index_fuses_like_one_index(plain: Built, seismic: Built, fusion) -> None:
    one = {hit.id: hit.score for hit in plain.hits(size=50, fusion=fusion)}
    two = {hit.id: hit.score for hit in seismic.hits(size=50, fusion=fusion)}
    # SEISMIC keeps weights in one byte; ranks may change places where scores are close.
    tolerance = 0.02
    shared = set(one) & set(two)
    assert len(shared) >= 0.9 * len(one)
    for doc_id in shared:
        assert two[doc_id] == pytest.approx(one[doc_id], abs=tolerance)


@every_mode
@pytest.mark.parametrize("text", [QUERY, "credit card cash", "Topic 12 loan", "rate E-4012"])
def test_an_index_for_older_clusters_ranks_like_any(
    portable: Built, plain: Built, mode: str, text: str
) -> None:
    one = {hit.id: hit.score for hit in plain.hits(text, mode=mode, size=20)}
    other = {hit.id: hit.score for hit in portable.hits(text, mode=mode, size=20)}
    assert len(set(one) & set(other)) >= 0.95 * len(one)
    for doc_id in set(one) & set(other):
        assert other[doc_id] == pytest.approx(one[doc_id], rel=0.02, abs=0.02)


@pytest.mark.parametrize("text", [QUERY, "credit card cash", "loan"])
def test_seismic_ranks_like_rank_features(plain: Built, seismic: Built, text: str) -> None:
    exact = plain.hits(text, mode="sparse", size=50)
    approximate = {hit.id: hit.score for hit in seismic.hits(text, mode="sparse", size=50)}
    assert {hit.id for hit in exact} == set(approximate)
    for hit in exact:
        assert approximate[hit.id] == pytest.approx(hit.score, rel=0.05)


@every_mode
def test_leg_scores_are_those_of_the_single_legs(built: Built, mode: str) -> None:
    hits = built.hits(mode=mode, size=20, leg_scores=True)
    legs = LEGS if mode == "hybrid" else (mode,)
    rankings = candidates(built, SearchRequest(QUERY, fusion=Fusion(depth=1000)))
    for leg in legs:
        alone = dict(rankings[leg])
        shown = {hit.chunk_id: hit.legs[leg] for hit in hits if leg in hit.legs}
        assert shown
        assert shown == pytest.approx({i: alone[i] for i in shown}, rel=1e-4)
        # A leg is absent exactly where it does not match.
        assert {h.chunk_id for h in hits} & set(alone) == set(shown)
    if mode != "hybrid":
        assert all(hit.legs[mode] == pytest.approx(hit.score, rel=1e-4) for hit in hits)


def test_words_are_highlighted_and_tokens_shown(built: Built) -> None:
    hits = built.hits(mode="hybrid", highlight=True, tokens=True)
    assert any("<em>fee</em>" in fragment for hit in hits for fragment in hit.highlights)
    if built.info.seismic is None:
        assert all(0 < len(hit.tokens) <= 12 for hit in hits)


def test_a_code_finds_its_document_first(built: Built) -> None:
    assert built.hits("what does E-4012 mean", mode="bm25")[0].id == "d12"
    assert built.hits("e-4031", mode="bm25")[0].id == "d31"


def test_a_language_without_encoder_is_searched_by_words(built: Built) -> None:
    result = Searcher(built.client, built.info, BOTH).search(SearchRequest("해외 송금 수수료"))
    assert result.legs == ("bm25",)
    assert set(result.left_out) == {"dense", "sparse"}
    assert {hit.metadata["lang"] for hit in result.hits} == {"ko"}
    assert len(result.hits) == DOCUMENTS // 10


ODD_QUERIES = {
    "quotes": "\"wire transfer\" 'fee'",
    "brackets": "wire [transfer} (fee",
    "lucene syntax": "wire AND NOT transfer:* ~2 ^3 && || !fee +card -loan /re/ \\",
    "emoji": "wire 💸 transfer 👨‍👩‍👧 fee",
    "NUL": "wire\u0000transfer fee\u0000",
    "control letters": "wire\u202etransfer\u0007 fee \ufeff",
    "only punctuation": "?!...",
    "one letter": "a",
    "html": "<script>alert('wire')</script>",
    "json": '{"query": {"match_all": {}}}',
    "long word": "wire" * 5000,
    "two thousand words": " ".join(f"word{i}" for i in range(2000)) + " wire",
    "short distinct words": " ".join(f"{chr(97 + i % 26)}{i}" for i in range(3000)),
    "long Korean run": "".join(chr(0xAC00 + i) for i in range(9000)),
    "two thousand codes": " ".join(f"E-{i}" for i in range(10_000, 12_000)),
    "one word often": "wire " * 2000,
}


@every_mode
@pytest.mark.parametrize("text", ODD_QUERIES.values(), ids=ODD_QUERIES)
def test_any_query_is_answered(built: Built, mode: str, text: str) -> None:
    hits = built.hits(text, mode=mode, size=5, highlight=True, leg_scores=True)
    assert len(hits) <= 5


@pytest.mark.parametrize("name", ["quotes", "brackets", "lucene syntax", "emoji"])
def test_odd_letters_do_not_hide_the_words(plain: Built, name: str) -> None:
    assert "wire" in plain.hits(ODD_QUERIES[name], mode="bm25")[0].text


def test_a_document_that_shrinks_loses_its_surplus(client: Any, make) -> None:
    for kind in ("rank_features", "seismic"):
        info = make(sparse_field=kind)
        sink = IndexSink(client, info)
        long = [passage("a/b c#1", f"wire number {i}", i) for i in range(70)]
        other = [passage("z", "cash", 0), passage("z", "cheque", 1)]
        assert sink.write(encode([*long, *other])) == {}
        short = Window(tuple([*long[:2], *other]), {"a/b c#1": 2, "z": 2}, {}, ())
        assert sink.missing(short) == []
        sink.finish(short)
        refresh(client, info)
        assert count_chunks(client, info) == 4
        if info.seismic:
            assert client.count(index=info.seismic)["count"] == 4


def test_a_changed_chunk_replaces_the_old_one(client: Any, make) -> None:
    info = make()
    sink = IndexSink(client, info)
    old, new = passage("a", "wire transfer"), passage("a", "cash deposit")
    sink.write(encode([old]))
    window = Window((new,), {"a": 1}, {}, ())
    assert sink.missing(window) == [new]
    sink.write(encode([new]))
    assert sink.missing(window) == []
    refresh(client, info)
    assert count_chunks(client, info) == 1
    assert Built(client, info).hits("cash", mode="bm25")[0].text == "cash deposit"


def test_a_refused_chunk_is_named_and_the_others_stored(client: Any, make) -> None:
    info = make()
    good = [passage(f"g{i}", "wire", metadata={"fee": i}) for i in range(3)]
    bad = passage("bad", "wire", metadata={"": "no name"})
    huge = passage("huge", "wire", metadata={"": 2**70})
    long = passage("x" * 600, "wire")
    refused = IndexSink(client, info).write(encode([*good, bad, huge, long]))
    assert set(refused) == {"bad#0", "huge#0", f"{'x' * 600}#0"}
    assert "empty string" in refused["bad#0"]
    refresh(client, info)
    assert count_chunks(client, info) == 3


@pytest.mark.parametrize("sparse_field", ["rank_features", "seismic"])
def test_metadata_longer_than_a_term_is_stored(client: Any, make, sparse_field) -> None:
    info = make(sparse_field=sparse_field)
    metadata = {"note": "긴 " * 30_000, "tags": ["a", "b"], "deep": {"er": {"still": 1}}}
    assert IndexSink(client, info).write(encode([passage("a", "wire", metadata=metadata)])) == {}
    refresh(client, info)
    built = Built(client, info)
    (hit,) = built.hits("wire", filters=parse_filters(["tags=b", "deep.er.still=1"]))
    assert hit.metadata == metadata


def test_values_with_odd_letters_are_found_as_written(client: Any, make) -> None:
    info = make()
    values = ['"quoted"', "a b  c", "x:y*?~", "한글 값", "😀", "back\\slash", "<&>", "it's; --"]
    chunks = [passage(f"d{i}", "wire", metadata={"v": v}) for i, v in enumerate(values)]
    assert IndexSink(client, info).write(encode(chunks)) == {}
    refresh(client, info)
    for number, value in enumerate(values):
        hits = Built(client, info).hits("wire", filters=parse_filters([f"v={value}"]))
        assert [hit.id for hit in hits] == [f"d{number}"], value


def test_a_large_passage_is_found(client: Any, make) -> None:
    info = make()
    text = " ".join(WORDS) * 30_000  # more than a million letters
    assert IndexSink(client, info).write(encode([passage("big", text)])) == {}
    refresh(client, info)
    (hit,) = Built(client, info).hits("cheque deposit", mode="bm25", highlight=True)
    assert hit.text == text
    assert hit.highlights


def test_coarse_and_fine_chunks_are_searched_apart(client: Any, make) -> None:
    info = make(notes={"levels": ["coarse", "fine"]})
    coarse = passage("a", "wire transfer fee of a card", 0, level="coarse")
    fine = passage("a", "wire transfer", 1, parent=coarse.id)
    IndexSink(client, info).write(encode([coarse, fine]))
    refresh(client, info)
    for mode in MODES:
        for level, chunk in (("coarse", coarse), ("fine", fine)):
            (hit,) = Built(client, info).hits("wire", mode=mode, level=level)
            assert hit.chunk_id == chunk.id


def test_an_index_of_words_alone(client: Any, make) -> None:
    info = make(dense=None, sparse=None)
    write_chunks(client, info, [EncodedChunk(passage("a", "wire transfer"))])
    refresh(client, info)
    result = Searcher(client, info, QueryEncoders()).search(SearchRequest("wire"))
    assert result.legs == ("bm25",)
    assert [hit.id for hit in result.hits] == ["a"]


def test_an_empty_index_answers_nothing(client: Any, make) -> None:
    for sparse_field in ("rank_features", "seismic"):
        info = make(sparse_field=sparse_field)
        for mode in MODES:
            filters = parse_filters(["lang=en"])
            assert Built(client, info).hits("wire", mode=mode, filters=filters) == []


def test_another_encoder_is_refused(plain: Built) -> None:
    class Other(TinyDense):
        identity = replace(DENSE, model="other", fingerprint="o" * 16)

    with pytest.raises(EncoderMismatchError, match=r"tiny-dense .*not with other"):
        plain.hits(encoders=QueryEncoders(Other(), TinySparse()))


def test_a_missing_index_is_named_with_the_way_to_build_it(client: Any) -> None:
    name = f"test-{uuid.uuid4().hex}"
    assert not index_exists(client, name)
    with pytest.raises(IndexNotFoundError, match=f"tandem index SOURCE --index {name}"):
        read_index_info(client, name)


def test_a_hybrid_query_without_pipeline_is_normalised_by_default(plain: Built) -> None:
    queries = [{"match": {"text": "wire"}}, {"match": {"text": "fee"}}]
    answer = plain.client.search(
        index=plain.info.physical, body={"query": {"hybrid": {"queries": queries}}}
    )
    assert all(0 < hit["_score"] <= 1 for hit in read_hits(answer))


def test_a_hybrid_answer_that_nothing_normalised_is_refused(plain: Built) -> None:
    queries = [{"match": {"text": "wire"}}, {"match": {"text": "fee"}}]
    answer = plain.client.search(
        index=plain.info.physical,
        body={"query": {"hybrid": {"queries": queries}}},
        params={"search_pipeline": "_none"},
    )
    with pytest.raises(SearchBackendError, match="normalised"):
        read_hits(answer)


def test_faiss_is_refused_before_it_ends_the_node(client: Any, monkeypatch) -> None:
    capabilities = detect(client)
    if capabilities.knn_natives is not False:
        # A node with the natives must not be refused.
        assert capabilities.knn_natives is None
        return
    sent: list[Any] = []
    monkeypatch.setattr(
        client.transport, "perform_request", lambda *a, **_: sent.append(a), raising=True
    )
    spec = IndexSpec(f"test-{uuid.uuid4().hex}", dense=DENSE, dense_engine="faiss")
    with pytest.raises(CapabilityError, match="Use --dense-engine lucene"):
        create_index(client, spec, capabilities)
    assert sent == []


def test_the_node_tells_what_it_can_do(client: Any) -> None:
    capabilities = detect(client)
    assert capabilities.version >= (2, 19)
    assert capabilities.has("opensearch-knn")
    assert capabilities.has("opensearch-neural-search")


def test_an_encoder_state_travels_with_the_cluster(client: Any) -> None:
    fingerprint = f"test-{uuid.uuid4().hex}"
    state = {"idf": {"대출": 1.5}, "big": ["word"] * 50_000}
    try:
        save_state(client, fingerprint, "lexical", state)
        assert load_state(client, fingerprint) == state
    finally:
        with suppress(AuthorizationException):  # who builds indices need not remove encoders
            client.delete(index=STORE_INDEX, id=fingerprint, params={"refresh": "true"})
    with pytest.raises(SearchBackendError, match="holds no encoder"):
        load_state(client, f"{fingerprint}-other")


def test_refresh_interval_and_merging(client: Any, make) -> None:
    info = make(sparse_field="seismic")
    set_refresh_interval(client, info, "30s")
    for physical in (info.physical, info.seismic):
        settings = client.indices.get_settings(index=physical)[physical]["settings"]["index"]
        assert settings["refresh_interval"] == "30s"
    set_refresh_interval(client, info, None)
    settings = client.indices.get_settings(index=info.physical)[info.physical]["settings"]
    assert "refresh_interval" not in settings["index"]
    write_chunks(client, info, corpus()[:5])
    force_merge(client, info)
    refresh(client, info)
    assert count_chunks(client, info) == 5


def test_two_shards_rank_like_one(client: Any, make, plain: Built) -> None:
    info = make(shards=2)
    write_chunks(client, info, corpus())
    refresh(client, info)
    options = {"size": DOCUMENTS, "fusion": Fusion(depth=1000)}
    for mode in ("dense", "sparse"):  # BM25 counts words per shard
        one = {hit.id: hit.score for hit in plain.hits(mode=mode, **options)}
        two = {hit.id: hit.score for hit in Built(client, info).hits(mode=mode, **options)}
        assert len(one) > DOCUMENTS / 2
        assert two == pytest.approx(one, rel=0.01)
    pages = [h.id for n in (0, 5) for h in Built(client, info).hits(size=5, offset=n)]
    assert pages == [hit.id for hit in Built(client, info).hits(size=10)]


def test_an_address_where_nothing_listens() -> None:
    nowhere = connect(load_settings("http://127.0.0.1:9", max_retries=0, timeout_s=2))
    with pytest.raises(ClusterUnreachableError, match="tandem engine status"):
        detect(nowhere)


def test_token_ids_up_to_the_limit_of_seismic(client: Any, make) -> None:
    widest = EncoderIdentity("sparse", "widest", "w" * 16, 32_768)

    class Wide(TinySparse):
        identity = widest

        def _vector(self, text):
            vector = super()._vector(text)
            return replace(vector, ids=vector.ids + 31_767)

        encode_queries = encode_documents = lambda self, texts: [self._vector(t) for t in texts]

    info = make(sparse=widest, sparse_field="seismic")
    sparse = Wide().encode_documents(["wire transfer"])[0]
    write_chunks(client, info, [EncodedChunk(passage("a", "wire transfer"), None, sparse)])
    refresh(client, info)
    (hit,) = Built(client, info).hits("wire", QueryEncoders(None, Wide()), mode="sparse")
    assert hit.id == "a"


def test_hangul_with_slips_of_the_keyboard_is_stored(
    client: Any, make: Callable[..., IndexInfo]
) -> None:
    """A lone letter in a word, combining marks, mixed scripts: OpenSearch must refuse none."""
    info = make(dense=None, sparse=None, analyzers={"hangul": "tandem_cjk", "latin": "english"})
    texts = [
        "돌ㅇ파형",
        "한ㅏ글",
        "ㅋㅋ 좋아요",
        "가한\u200dㅋ́字",
        "한漢ㅇ글",
        "제11조의2",
        "ab한글3,000원",
    ]
    records = [EncodedChunk(Chunk(str(n), 0, t, 0, len(t))) for n, t in enumerate(texts)]
    assert write_chunks(client, info, records).failures == ()
    refresh(client, info)
    for text, wanted in (("돌ㅇ파형", "0"), ("11", "5"), ("원", "6"), ("한글", "6")):
        body = {"query": {"match": {"text": text}}}
        hits = client.search(index=info.physical, body=body)["hits"]["hits"]
        assert wanted in {hit["_source"]["doc_id"] for hit in hits}
