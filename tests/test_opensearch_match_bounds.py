"""The upper end of the word-matching legs."""

import pytest

from encoders.lexical import LexicalEncoder
from opensearch.fusion import Bounds
from opensearch.match_bounds import FULL_MATCH_SHARE, match_bounds
from opensearch.queries import EXACT_BOOST, EXACT_TITLE_BOOST

CORPUS = ["the fee of a transfer", "a lost card", "the fee of a card", "interest on deposits"]


class Words:
    """Statistics with round numbers."""

    highest_idf = 8.0
    saturation = 2.2

    def information(self, text: str) -> float | None:
        return None if text == "unknown" else float(len(text.split()))


@pytest.fixture(scope="module")
def lexical() -> LexicalEncoder:
    return LexicalEncoder.fit(CORPUS)


def test_a_leg_ends_at_a_share_of_the_query_s_information() -> None:
    bounds = match_bounds("three plain words", Words(), exact=0, lexical=True)
    assert bounds["bm25"] == Bounds(0.0, FULL_MATCH_SHARE * 3.0)
    assert bounds["sparse"] == Bounds(0.0, FULL_MATCH_SHARE * 2.2 * 3.0)


def test_a_trained_sparse_leg_is_not_bounded_by_words() -> None:
    assert set(match_bounds("plain words", Words(), exact=0, lexical=False)) == {"bm25"}


def test_every_exact_value_raises_the_end_by_what_it_can_add() -> None:
    bounds = match_bounds("E-4012 F-11", Words(), exact=2, lexical=False)
    values = 2 * (EXACT_BOOST + EXACT_TITLE_BOOST) * 8.0
    assert bounds["bm25"].high == pytest.approx(FULL_MATCH_SHARE * (2.0 + values))


@pytest.mark.parametrize("text", ["unknown", ""])
def test_without_information_nothing_is_bounded(text: str) -> None:
    assert match_bounds(text, Words(), exact=0, lexical=True) == {}
    assert match_bounds("words", None, exact=0, lexical=True) == {}


def test_rare_words_carry_more_information(lexical: LexicalEncoder) -> None:
    rare, common, absent = (lexical.information(w) or 0.0 for w in ("deposits", "fee", "zebra"))
    assert 0 < common < rare < absent
    assert absent == pytest.approx(lexical.highest_idf, rel=1e-6)
    assert lexical.information("fee fee") == pytest.approx(common)
    assert lexical.information("수수료") is None


def test_no_document_exceeds_the_sum(lexical: LexicalEncoder) -> None:
    query = "the fee of a lost card"
    (weights,) = lexical.encode_queries([query])
    ceiling = (lexical.information(query) or 0.0) * lexical.saturation
    for document in lexical.encode_documents(CORPUS):
        shared = dict(zip(document.ids.tolist(), document.weights.tolist(), strict=True))
        pairs = zip(weights.ids.tolist(), weights.weights.tolist(), strict=True)
        assert sum(w * shared.get(i, 0.0) for i, w in pairs) <= ceiling
