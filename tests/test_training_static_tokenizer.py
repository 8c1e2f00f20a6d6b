import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, normalizers

from encoders.coverage import VocabularyCoverage
from encoders.tokenization import TextTokenizer
from training.errors import TrainingError
from training.static.bigram_baseline import bigrams
from training.static.double_array import character_map
from training.static.tokenizer import train_tokenizer

TEXTS = (
    "신용카드 연회비는 매년 일월 일일에 청구됩니다.",
    "고정금리 대출은 매월 분할하여 상환합니다.",
    "IFRS17은 보험계약의 회계 기준이다. 新株引受權 ソフトウェア",
    "the annual fee of a credit card is charged on the first of january 2008",
)


@pytest.fixture(scope="module")
def pairs() -> Tokenizer:
    return train_tokenizer(lambda: TEXTS * 3, "bigram", 600)


def test_a_character_map_is_what_the_normaliser_takes() -> None:
    rules = {"a": "AA", "é": "e", "가": "가가", "가나": "x", "힣": "힣힣", "字": ""}
    normalizer = normalizers.Precompiled(character_map(rules))
    assert normalizer.normalize_str("abé 각 힣字나") == "AAbe 각 힣힣나"
    assert normalizer.normalize_str("가") == "가가"


@settings(deadline=None, max_examples=40)
@given(st.sets(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300))
def test_every_rule_of_a_character_map_applies_and_no_other(characters: set[str]) -> None:
    normalizer = normalizers.Precompiled(character_map({c: "<" + c + ">" for c in characters}))
    for character in {*characters, "a", "가", "字"}:
        expected = f"<{character}>" if character in characters else character
        assert normalizer.normalize_str(character) == expected


def test_runs_become_overlapping_pairs(pairs: Tokenizer) -> None:
    assert pairs.encode("신용카드").tokens == ["신용", "용카", "카드"]
    assert pairs.encode("카드 IFRS17은").tokens[:1] == ["카드"]
    assert pairs.encode("은").tokens == ["은"]
    assert pairs.encode("").tokens == []


def test_an_unknown_pair_falls_into_its_characters(pairs: Tokenizer) -> None:
    assert pairs.token_to_id("드용") is None
    assert pairs.encode("드용").tokens == ["드", "용"]
    assert pairs.encode("쀍").ids == [pairs.token_to_id("[UNK]")]


def test_a_number_of_the_corpus_is_one_token(pairs: Tokenizer) -> None:
    assert "2008" in pairs.encode("2008년 january 2008").tokens
    assert "".join(pairs.encode("20082008").tokens) == "20082008"
    assert len(pairs.encode("20082008").tokens) > 1


def test_pairs_are_those_of_the_baseline(pairs: Tokenizer) -> None:
    korean = TEXTS[0] + TEXTS[1]
    assert Counter(pairs.encode(korean).tokens) - Counter("..") == Counter(bigrams(korean))


def test_pairs_know_the_languages_of_the_corpus(pairs: Tokenizer) -> None:
    coverage = VocabularyCoverage(TextTokenizer(pairs.to_str(), 512))
    assert coverage.knows([TEXTS[0], TEXTS[3], "Кредит"]) == [True, True, False]


@pytest.mark.parametrize("kind", ["bigram", "unigram"])
def test_what_is_saved_cuts_alike(kind: str) -> None:
    tokenizer = train_tokenizer(lambda: TEXTS * 3, kind, 400)  # type: ignore[arg-type]
    text = TextTokenizer(tokenizer.to_str(), 512)
    assert text.token_ids(TEXTS) == [tokenizer.encode(t).ids for t in TEXTS]
    assert json.loads(tokenizer.to_str())["post_processor"] is None
    assert tokenizer.get_vocab_size() <= 400


@pytest.mark.parametrize("kind", ["bigram", "unigram"])
def test_a_small_vocabulary_keeps_within_its_size(kind: str) -> None:
    assert train_tokenizer(lambda: TEXTS, kind, 80).get_vocab_size() <= 80  # type: ignore[arg-type]


def test_terms_of_the_baseline() -> None:
    assert list(bigrams("손해배상 IFRS17, 은")) == ["손해", "해배", "배상", "ifrs17", "은"]


def test_a_corpus_of_nothing_is_refused() -> None:
    with pytest.raises(TrainingError, match="no text"):
        train_tokenizer(lambda: ["", " "], "bigram", 80)
