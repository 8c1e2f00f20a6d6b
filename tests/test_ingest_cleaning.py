"""Cleaning hooks."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cleaning import clean, compose, default_cleaning, remove_lines
from ingest.errors import IngestError
from ingest.records import Document, Origin, Reject

CLEAN = default_cleaning()


def cleaned(text: str) -> str:
    return CLEAN(Document("d", text)).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("already clean", "already clean"),
        (unicodedata.normalize("NFD", "예금 café"), "예금 café"),
        ("a\r\nb\rc\u2028d\x0ce", "a\nb\nc\nd\ne"),
        ("a \t b\u00a0\u3000c", "a b c"),
        ("  a  \n\n\n\n  b  ", "a\n\nb"),
        ("one\n \t \ntwo", "one\n\ntwo"),
        ("zero\u200bwidth\ufeff and soft\u00adhyphen", "zerowidth and softhyphen"),
        ("bell\x07 and C1\x9f", "bell and C1"),
        ("\u202eturned\u202c", "turned"),
        ("가\u200d나 a\u200cb", "가나 ab"),
        ("👩\u200d💻 क्\u200dष", "👩\u200d💻 क्\u200dष"),
    ],
)
def test_default_cleaning(text: str, expected: str) -> None:
    assert cleaned(text) == expected


@given(st.text(max_size=80))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = CLEAN(Document("d", text, title=text))
    assert CLEAN(once) == once


@given(st.text(max_size=80))
def test_letters_and_digits_survive(text: str) -> None:
    def letters(value: str) -> str:
        return "".join(c for c in unicodedata.normalize("NFC", value) if c.isalnum())

    assert letters(cleaned(text)) == letters(text)


def test_the_title_becomes_one_line() -> None:
    assert CLEAN(Document("d", "x", title="Fees\n and\trates ")).title == "Fees and rates"


def test_a_clean_document_is_passed_on_as_it_is() -> None:
    document = Document("d", "예금은 안전하다.", "제목", {"lang": "ko"})
    assert CLEAN(document) is document


def test_boilerplate_lines_are_removed_only_when_asked_for() -> None:
    lines = ["- 12 -", "Fees", "Page 3 of 9", "© 2024 Example Bank", "무단 전재 및 재배포 금지"]
    text = "\n".join([*lines, "12", "Share this", "3쪽"])
    document = Document("d", text)
    assert CLEAN(document).text == text
    hook = remove_lines(["share this"], page_numbers=True, copyright_notices=True)
    assert hook(document).text == "Fees\n12"
    assert remove_lines(page_numbers=True)(document).text.count("\n") == 4


def test_a_broken_pattern_is_named() -> None:
    with pytest.raises(IngestError, match=r"'\(' is not a regular expression"):
        remove_lines(["("])


def test_hooks_compose_from_left_to_right() -> None:
    first = remove_lines(["a"])
    second = remove_lines(["b"])
    assert compose(first, second)(Document("d", "a\nb\nc")).text == "c"
    document = Document("d", "a")
    assert compose()(document) is document


def test_what_has_no_text_left_is_rejected_and_rejects_pass() -> None:
    earlier = Reject(Origin("f", 1), "bad JSON")
    items: list[Document | Reject] = [
        earlier,
        Document("d", "\u200b\u200b", origin=Origin("f", 2)),
        Document("e", " x "),
    ]
    passed, emptied, kept = clean(items, CLEAN)
    assert passed is earlier
    assert isinstance(emptied, Reject)
    assert (emptied.origin, emptied.doc_id) == (Origin("f", 2), "d")
    assert emptied.reason.startswith("empty text")
    assert isinstance(kept, Document)
    assert kept.text == "x"
