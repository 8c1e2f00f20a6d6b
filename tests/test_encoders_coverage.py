from pathlib import Path

import pytest
from encoder_models import ENGLISH, KOREAN, write_tokenizer

from encoders.coverage import VocabularyCoverage, byte_characters
from encoders.lexical import PieceVocabulary
from encoders.tokenization import TextTokenizer, read_tokenizer

ENGLISH_KNOWN = (
    "What is the annual fee of the card?",
    "KYC",
    "QKZ",
    "DSR",
    "x",
    "otorhinolaryngological thoracostomy of the zygomaticomaxillary",
    "| 2019 | 2018 | $ 1,234.5 | (3.2%) | revenue |",
    "def encode(x: list[int]) -> np.ndarray: return f(x)[0]",
    "Zürich café naïve résumé",
)
WITHOUT_LETTERS = ("", " ", "12 345.67", "2024-01-31", "→ ✓ 😀", "!!!")
FOREIGN = (
    "안녕하세요 유동성 위험",
    "유동성",
    "예금은 고객 한 명당 오천만 원까지 보호됩니다",
    "DSR 계산 방법",
    "привет мир",
    "中国经济发展很快",
    "銀行の手数料はいくらですか",
    "สวัสดีครับ",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
)


@pytest.fixture(scope="module")
def minilm() -> VocabularyCoverage:
    return PieceVocabulary.load().coverage


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory: pytest.TempPathFactory) -> VocabularyCoverage:
    folder = tmp_path_factory.mktemp("bilingual")
    write_tokenizer(folder, [*ENGLISH, *KOREAN])
    return VocabularyCoverage(TextTokenizer(read_tokenizer(folder), 64))


@pytest.mark.parametrize("text", [*ENGLISH_KNOWN, *WITHOUT_LETTERS])
def test_english_vocabulary_knows(minilm: VocabularyCoverage, text: str) -> None:
    assert minilm.knows([text]) == [True]


@pytest.mark.parametrize("text", FOREIGN)
def test_english_vocabulary_does_not_know(minilm: VocabularyCoverage, text: str) -> None:
    assert minilm.knows([text]) == [False]


def test_korean_decomposed_is_judged_like_korean_composed(minilm: VocabularyCoverage) -> None:
    import unicodedata

    assert minilm.knows([unicodedata.normalize("NFD", "유동성 위험")]) == [False]


def test_a_mixed_text_is_judged_by_its_share_of_letters(minilm: VocabularyCoverage) -> None:
    english = "The bank calls this the debt service ratio"
    assert minilm.knows([f"{english} (총부채)", f"{KOREAN[0]} {KOREAN[1]} DSR"]) == [True, False]


def test_bilingual_vocabulary_knows_both(bilingual: VocabularyCoverage) -> None:
    assert bilingual.knows([*KOREAN, *ENGLISH, "유동성"]) == [True] * 11
    assert bilingual.knows(["привет мир", "สวัสดีครับ"]) == [False, False]


def test_unknown_words_make_a_text_unknown(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {"[UNK]": 0, "fee": 1, "annual": 2, "card": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[UNK]"])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    coverage = VocabularyCoverage(TextTokenizer(tokenizer.to_str(), 64))
    assert coverage.knows(["annual card fee", "annual fee xyz", "quo vadis domine fee"]) == [
        True,
        True,
        False,
    ]


def test_byte_level_vocabulary_is_read_as_text() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=600,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(KOREAN) * 5, trainer)
    coverage = VocabularyCoverage(TextTokenizer(tokenizer.to_str(), 64))
    assert coverage.scripts == {"HANGUL"}
    assert coverage.knows([KOREAN[0], "привет мир"]) == [True, False]


def test_byte_characters_are_those_of_the_tokenizers_library() -> None:
    from tokenizers import pre_tokenizers

    characters = dict(byte_characters())
    assert sorted(characters) == list(range(256))
    assert set(characters.values()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert characters[ord(" ")] == "Ġ"


def test_the_measure_itself(minilm: VocabularyCoverage) -> None:
    [english, korean, none] = minilm.measure(["annual fee", "유동성", "12"])
    assert (english.letters, english.known_letters, english.unknown_pieces) == (9, 1.0, 0.0)
    assert english.letters_per_piece == 4.5
    assert korean.letters == 8  # decomposed: 유 2, 동 3, 성 3
    assert korean.known_letters == 0.0
    assert korean.letters_per_piece == pytest.approx(3 / 8)
    assert none.letters == 0
