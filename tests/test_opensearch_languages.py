"""Script groups of texts and their analyzers."""

import time

import pytest

from opensearch.languages import analyzer_for, corpus_scripts, main_script, with_parts


@pytest.mark.parametrize(
    ("text", "script"),
    [
        pytest.param("transfer fees", "latin", id="english"),
        pytest.param("Überweisungsgebühr", "latin", id="umlauts"),
        pytest.param("해외 송금 수수료", "hangul", id="korean"),
        pytest.param("ATM 출금 수수료는 얼마인가요", "hangul", id="korean with a latin word"),
        pytest.param("How do I say 안녕 in an email to my bank?", "latin", id="a quoted word"),
        pytest.param("汇款手续费", "han", id="chinese"),
        pytest.param("おくりもの", "kana", id="japanese"),
        pytest.param("комиссия", "other", id="cyrillic"),
        pytest.param("12,500 (%)", None, id="no letters"),
        pytest.param("", None, id="empty"),
    ],
)
def test_main_script(text: str, script: str | None) -> None:
    assert main_script(text) == script


@pytest.mark.parametrize(
    ("texts", "scripts"),
    [
        pytest.param(["one", "two"], ("latin",), id="one language"),
        pytest.param(["one", "하나", "둘"], ("hangul", "latin"), id="most frequent first"),
        pytest.param(["word"] * 99 + ["하나"], ("latin",), id="a rare one is a quotation"),
        pytest.param(["1", "2"], ("latin",), id="no letters"),
        pytest.param([], ("latin",), id="nothing"),
    ],
)
def test_corpus_scripts(texts: list[str], scripts: tuple[str, ...]) -> None:
    assert corpus_scripts(texts) == scripts


@pytest.mark.parametrize(
    ("script", "nori", "analyzer"),
    [
        ("latin", False, "english"),
        ("latin", True, "english"),
        ("hangul", True, "nori"),
        ("hangul", False, "tandem_cjk"),
        ("han", True, "tandem_cjk"),
        ("kana", False, "tandem_cjk"),
        ("other", False, "standard"),
    ],
)
def test_analyzer_for(script: str, nori: bool, analyzer: str) -> None:
    assert analyzer_for(script, nori=nori) == analyzer


@pytest.mark.parametrize(
    ("text", "apart"),
    [
        ("DSR은 뭔가요", "DSR은 뭔가요 DSR 은"),
        ("3,000원 E-4012가", "3,000원 E-4012가 3,000 원 E-4012 가"),
        ("제2금융권", "제2금융권 제 2 금융권"),
        ("plain words 123", "plain words 123"),
        ("한글만 있는 글", "한글만 있는 글"),
    ],
)
def test_words_of_different_scripts_are_with_parts(text: str, apart: str) -> None:
    assert with_parts(text) == apart


@pytest.mark.parametrize("letter", ["w", "가"])
def test_an_endless_word_is_read_once(letter: str) -> None:
    started = time.perf_counter()
    assert with_parts(letter * 200_000) == letter * 200_000
    assert time.perf_counter() - started < 2
