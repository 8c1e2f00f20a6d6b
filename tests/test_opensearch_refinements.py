"""What is put around a search: reranking, two stages, and what makes no sense together."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from opensearch.errors import SettingsError
from opensearch.hits import Hit, SearchResult
from opensearch.index_info import IndexInfo
from opensearch.plan import SearchRequest
from opensearch.reranking import Reranking, passage
from opensearch.two_stage import TwoStage
from opensearch.workflows.retrieval import Refinements


@dataclass
class FakeSearch:
    """Answers documents d1, d2, … as deep as asked, and remembers what was asked."""

    known: int = 30
    asked: list[SearchRequest] = field(default_factory=list)

    def search(self, request: SearchRequest) -> SearchResult:
        self.asked.append(request)
        ranks = range(request.offset + 1, min(self.known, request.offset + request.size) + 1)
        hits = tuple(
            Hit(f"d{n}", f"d{n}#0", 1 / n, n, title=f"t{n}", text=f"text {n}") for n in ranks
        )
        return SearchResult(hits, ("bm25",), {}, {}, encode_ms=1.0, search_ms=2.0)


class Backwards:
    """Likes later candidates better."""

    def __init__(self) -> None:
        self.read: list[list[str]] = []

    def score(self, query: str, texts: list[str]) -> np.ndarray:
        self.read.append(list(texts))
        return np.arange(len(texts), dtype=np.float32)


def test_the_first_hits_are_ordered_by_the_reranker() -> None:
    first, reranker = FakeSearch(), Backwards()
    result = Reranking(first, reranker, 5).search(SearchRequest("q", size=3))
    assert [(hit.id, hit.rank, hit.first_rank) for hit in result.hits] == [
        ("d5", 1, 5),
        ("d4", 2, 4),
        ("d3", 3, 3),
    ]
    assert reranker.read == [[f"t{n}\ntext {n}" for n in range(1, 6)]]
    assert (first.asked[0].size, first.asked[0].offset) == (5, 0)
    assert result.rerank_ms > 0


def test_pages_continue_each_other_across_the_last_candidate() -> None:
    search = Reranking(FakeSearch(), Backwards(), 4)
    whole = search.search(SearchRequest("q", size=8)).hits
    parts = [h for n in (0, 3, 6) for h in search.search(SearchRequest("q", size=3, offset=n)).hits]
    assert [h.id for h in whole] == ["d4", "d3", "d2", "d1", "d5", "d6", "d7", "d8"]
    assert [(h.id, h.rank) for h in parts[:8]] == [(h.id, h.rank) for h in whole]
    scores = [hit.score for hit in whole]
    assert scores == sorted(scores, reverse=True)


def test_texts_are_read_even_if_only_ids_were_asked_for() -> None:
    first = FakeSearch()
    Reranking(first, Backwards(), 4).search(SearchRequest("q", ids_only=True))
    assert not first.asked[0].ids_only


def test_nothing_found_is_nothing_to_rerank() -> None:
    assert Reranking(FakeSearch(known=0), Backwards()).search(SearchRequest("q")).hits == ()


def test_a_passage_without_a_title_is_its_text() -> None:
    assert passage(Hit("d", "d#0", 1.0, 1, text="only")) == "only"


def test_no_candidates_make_no_sense() -> None:
    with pytest.raises(SettingsError, match="at least one"):
        Reranking(FakeSearch(), Backwards(), 0)


INFO = IndexInfo(
    "docs", "docs-v0-1", {"latin": "english"}, None, None, notes={"levels": ["fine", "coarse"]}
)


def test_the_fine_stage_searches_inside_what_the_coarse_stage_found() -> None:
    first = FakeSearch(known=3)
    request = SearchRequest("q", size=2, filters=[{"term": {"lang": "ko"}}])
    result = TwoStage(first, INFO, documents=10).search(request)
    coarse, fine = first.asked
    assert (coarse.level, coarse.size, coarse.ids_only) == ("coarse", 10, True)
    assert fine.level == "fine"
    assert fine.filters == [{"term": {"lang": "ko"}}, {"terms": {"doc_id": ["d1", "d2", "d3"]}}]
    assert (result.encode_ms, result.search_ms) == (2.0, 4.0)


def test_a_seismic_field_is_filtered_without_terms() -> None:
    first = FakeSearch(known=2)
    TwoStage(first, replace(INFO, sparse_field="seismic")).search(SearchRequest("q"))
    (inside,) = first.asked[1].filters
    assert inside == {"bool": {"should": [{"match": {"doc_id": f"d{n}"}} for n in (1, 2)]}}


def test_nothing_coarse_is_nothing_fine() -> None:
    first = FakeSearch(known=0)
    assert TwoStage(first, INFO).search(SearchRequest("q")).hits == ()
    assert len(first.asked) == 1


def test_an_index_of_one_level_is_refused() -> None:
    with pytest.raises(SettingsError, match="--chunking two-level"):
        TwoStage(FakeSearch(), replace(INFO, notes={}))
    with pytest.raises(SettingsError, match="1 to 200"):
        TwoStage(FakeSearch(), INFO, documents=201)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hyde": 1}, "--llm"),
        ({"instruction": "auto"}, "--llm"),
        ({"hyde": 1, "instruction": "x", "llm": "m@http://h"}, "exclude each other"),
    ],
)
def test_refinements_that_make_no_sense(values: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Refinements(**values)


def test_refinements_are_off_by_default_and_named_when_on() -> None:
    assert Refinements().names() == []
    on = Refinements(reranker="m", two_stage=True, hyde=2, llm="m@http://h")
    assert on.names() == ["two-stage", "hyde", "rerank"]
