"""Duplicates by id and by content."""

import threading
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ingest.duplicates import reject_duplicates
from ingest.records import Document, Origin, Reject


def document(doc_id: str, text: str = "x", line: int = 1) -> Document:
    return Document(doc_id, text, origin=Origin("c.jsonl", line))


def test_the_first_of_an_id_wins_and_the_reason_names_it() -> None:
    items = [document("a", "one", 1), document("b", "two", 2), document("a", "three", 3)]
    first, second, third = reject_duplicates(items)
    assert (first, second) == (items[0], items[1])
    assert third == Reject(
        Origin("c.jsonl", 3), "duplicate id: first seen at c.jsonl:1", "a", "three"
    )


def test_the_same_content_is_rejected_only_when_asked_for() -> None:
    items = [document("a", "same", 1), document("b", "same", 2), document("c", "other", 3)]
    assert list(reject_duplicates(items)) == items
    _, second, third = reject_duplicates(items, by_content=True)
    assert isinstance(second, Reject)
    assert second.reason == 'same content as another document: "a" at c.jsonl:1'
    assert third == items[2]


def test_a_document_rejected_by_id_does_not_claim_its_content() -> None:
    items = [document("a", "one"), document("a", "two"), document("b", "two")]
    kinds = [type(item) for item in reject_duplicates(items, by_content=True)]
    assert kinds == [Document, Reject, Document]


def test_earlier_rejects_pass() -> None:
    reject = Reject(Origin("c.jsonl", 1), "bad JSON")
    assert list(reject_duplicates([reject, reject])) == [reject, reject]


@given(st.lists(st.text("ab\udcff", max_size=3), max_size=30))
def test_each_id_is_passed_once(texts: list[str]) -> None:
    ids = [text.replace("\udcff", "가") for text in texts]
    passed = [i.id for i in reject_duplicates(map(document, ids)) if isinstance(i, Document)]
    assert passed == list(dict.fromkeys(ids))


def test_more_than_one_commit(tmp_path: Path) -> None:
    twice = (document(str(number % 12_000)) for number in range(24_000))
    kinds = [type(item) for item in reject_duplicates(twice, folder=tmp_path)]
    assert kinds == [Document] * 12_000 + [Reject] * 12_000


def test_nothing_is_left_behind_even_when_given_up_early(tmp_path: Path) -> None:
    stream = reject_duplicates([document("a"), document("b")], folder=tmp_path)
    assert next(stream) == document("a")
    assert list(tmp_path.iterdir())
    assert isinstance(stream, Iterator)
    stream.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())


def test_the_stream_may_run_in_another_thread() -> None:
    stream = reject_duplicates([document("a"), document("a")])
    first = next(stream)
    rest: list[Document | Reject] = []
    thread = threading.Thread(target=lambda: rest.extend(stream))
    thread.start()
    thread.join()
    assert first == document("a")
    assert [type(item) for item in rest] == [Reject]
