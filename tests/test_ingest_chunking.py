"""Chunking: offsets, budgets and overlap hold for every strategy and every text."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from encoders.base import FloatMatrix
from ingest.chunking.chunker import Chunker, batched_documents
from ingest.chunking.factory import make_chunker
from ingest.chunking.fixed import token_units
from ingest.chunking.options import STRATEGIES, ChunkOptions
from ingest.chunking.packing import Unit, pack
from ingest.chunking.semantic import drops
from ingest.chunking.spans import paragraphs, sentences
from ingest.chunking.tokens import TokenMeter
from ingest.errors import IngestError
from ingest.records import Chunk, Document

SPECIALS = 2


def count_words(texts: Sequence[str]) -> list[int]:
    """Two special tokens, and one for every four characters of a word."""
    return [SPECIALS + sum(-(-len(w) // 4) for w in re.findall(r"\S+", t)) for t in texts]


def embed_letters(texts: Sequence[str]) -> FloatMatrix:
    """Vectors that count letters: equal words are similar, others are not."""
    rows = [[text.lower().count(letter) + 0.01 for letter in "abcdefgh가나다라"] for text in texts]
    return np.asarray(rows, dtype=np.float32)


def word_piece() -> Tokenizer:
    """A true tokenizer of letters, with the truncation that published ones carry."""
    vocabulary = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}
    for letter in "abcdefghijklmnopqrstuvwxyz가나다라마바사.,!?":
        vocabulary.setdefault(letter, len(vocabulary))
        vocabulary.setdefault(f"##{letter}", len(vocabulary))
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return tokenizer


def byte_pairs() -> Tokenizer:
    """A true byte-level tokenizer: spaces and line feeds count, letters fall apart into bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["Ask the bank. fees 예금은 안전하다. 가나다"] * 9, trainer)
    return tokenizer


TOKENIZER = word_piece()
BYTE_PAIRS = byte_pairs()


def chunker(strategy: str, size: int, overlap: int = 0, *, counter: Any = count_words) -> Chunker:
    return make_chunker(ChunkOptions(strategy, size, overlap), counter, embed_letters)


def chunks_of(text: str, strategy: str, size: int, overlap: int = 0) -> list[Chunk]:
    return list(chunker(strategy, size, overlap).chunk(Document("d", text)))


TEXTS = st.text(
    st.sampled_from("abcdefgh가나다라. \n.,!?0😀\u0301\u200b\x1c\u3000")
    | st.characters(codec="utf-8"),
    max_size=300,
).map(lambda text: text.replace("\0", ""))
PROSE = st.lists(
    st.sampled_from(
        [
            "Ask the bank.",
            "가나다 라마바.",
            "fees",
            "\n\n",
            "\n",
            "“Yes!”",
            "a" * 60,
            "예금은 안전하다.",
        ]
    ),
    max_size=60,
).map(" ".join)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "counter", [count_words, TOKENIZER, BYTE_PAIRS], ids=["function", "pieces", "bytes"]
)
@settings(max_examples=20, deadline=None)
@given(
    text=TEXTS | PROSE,
    title=st.sampled_from(["", "Fees", "A very long title " * 9]),
    size=st.integers(6, 40),
    share=st.floats(0, 0.5),
)
def test_every_strategy_keeps_its_promises(
    strategy: str, counter: Any, text: str, title: str, size: int, share: float
) -> None:
    overlap = int(size * share)
    cut = chunker(strategy, size, overlap, counter=counter)
    document = Document("d", text, title, {"lang": "ko"})
    found = list(cut.chunk(document))

    assert [chunk.ordinal for chunk in found] == list(range(len(found)))
    assert found == list(cut.chunk(document))
    for chunk in found:
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.text.strip()
        assert chunk.metadata == document.metadata
        assert title.startswith(chunk.title)
    fine = [chunk for chunk in found if chunk.level == "fine"]
    assert_everything_is_covered(text, fine)
    assert_size(fine, size, counter)
    if counter is not BYTE_PAIRS:  # there a fragment may have more tokens alone than in its place
        assert_overlap(text, fine, overlap, counter)
    for before, after in pairwise(fine):
        assert before.start < after.start
        assert before.end < after.end


def assert_everything_is_covered(text: str, chunks: Sequence[Chunk]) -> None:
    covered = {at for chunk in chunks for at in range(chunk.start, chunk.end)}
    assert all(character.isspace() or at in covered for at, character in enumerate(text))


def assert_size(chunks: Sequence[Chunk], size: int, counter: Any) -> None:
    meter = TokenMeter(counter)
    for chunk, tokens in zip(chunks, meter.count([c.passage for c in chunks]), strict=True):
        assert tokens <= size or len(chunk.text) == 1


def assert_overlap(text: str, chunks: Sequence[Chunk], overlap: int, counter: Any) -> None:
    meter = TokenMeter(counter)
    for before, after in pairwise(chunks):
        shared = text[after.start : before.end] if after.start < before.end else ""
        assert meter.bare([shared])[0] <= overlap


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_document_that_fits_is_one_chunk_and_one_count(strategy: str) -> None:
    calls: list[Sequence[str]] = []

    def counting(texts: Sequence[str]) -> list[int]:
        calls.append(texts)
        return count_words(texts)

    cut = chunker(strategy, 45, counter=counting)
    calls.clear()
    found = [
        c for c in cut.chunk(Document("d", "  예금은 안전하다. \n", "제목")) if c.level == "fine"
    ]
    assert [(c.start, c.end, c.text, c.title) for c in found] == [
        (2, 11, "예금은 안전하다.", "제목")
    ]
    assert len(calls) == (2 if strategy == "two-level" else 1)


def test_many_documents_are_counted_together() -> None:
    calls = 0

    def counting(texts: Sequence[str]) -> list[int]:
        nonlocal calls
        calls += 1
        return count_words(texts)

    cut = chunker("recursive", 20, counter=counting)
    calls = 0
    documents = [Document(str(i), f"문서 {i}") for i in range(300)]
    assert [chunk.doc_id for chunk in cut.chunk_many(documents)] == [d.id for d in documents]
    assert calls == 2


def test_batches_are_bounded_by_number_and_by_text() -> None:
    small = [Document(str(i), "x") for i in range(300)]
    assert [len(batch) for batch in batched_documents(small)] == [256, 44]
    large = [Document(str(i), "x" * 600_000) for i in range(3)]
    assert [len(batch) for batch in batched_documents(large)] == [2, 1]


def test_recursive_prefers_paragraphs_then_sentences() -> None:
    text = "One two three. Four five six.\n\nSeven eight nine. Ten."
    assert [c.text for c in chunks_of(text, "recursive", 11)] == [
        "One two three. Four five six.",
        "Seven eight nine. Ten.",
    ]
    assert [c.text for c in chunks_of(text, "recursive", 8)] == [
        "One two three.",
        "Four five six.",
        "Seven eight nine.",
        "Ten.",
    ]


def test_korean_is_cut_behind_sentences() -> None:
    text = "예금은 안전하다. 대출은 비싸다! 이자는 얼마인가? 끝."
    for strategy in ("recursive", "sentence"):
        assert [c.text for c in chunks_of(text, strategy, 6)] == [
            "예금은 안전하다.",
            "대출은 비싸다!",
            "이자는 얼마인가? 끝.",
        ]


def test_overlap_repeats_the_end_of_the_chunk_before() -> None:
    found = chunks_of("aa bb cc dd ee ff gg hh", "recursive", 6, overlap=1)
    assert [c.text for c in found] == ["aa bb cc dd", "dd ee ff gg", "gg hh"]


def test_sentences_and_paragraphs_are_packed_whole() -> None:
    text = "A b c. D e f. G h i.\n\nJ k l."
    assert [c.text for c in chunks_of(text, "sentence", 8)] == ["A b c. D e f.", "G h i.\n\nJ k l."]
    assert [c.text for c in chunks_of(text, "paragraph", 11)] == ["A b c. D e f. G h i.", "J k l."]


def test_fixed_windows_hold_exactly_so_many_tokens() -> None:
    found = list(chunker("fixed", 6, 1, counter=TOKENIZER).chunk(Document("d", "a b c d e f g")))
    assert [c.text for c in found] == ["a b c d", "d e f g"]


def test_semantic_cuts_where_the_topic_changes() -> None:
    text = "aa aa ab. ab aa aa. aa ab aa. gg gg gh. gh gg gg. gg gh gg. gg gg gh."
    assert [c.text for c in chunks_of(text, "semantic", 20)] == [
        "aa aa ab. ab aa aa. aa ab aa.",
        "gg gg gh. gh gg gg. gg gh gg. gg gg gh.",
    ]


def test_no_topic_changes_where_all_sentences_are_alike() -> None:
    assert drops(np.full(9, 0.5, dtype=np.float32)) == set()
    assert drops(np.asarray([], dtype=np.float32)) == set()
    assert drops(np.asarray([0.9, 0.9, 0.1, 0.9], dtype=np.float32)) == {3}


def test_two_levels_name_their_parents() -> None:
    text = "One two three. Four five six.\n\nSeven eight nine. Ten."
    cut = make_chunker(ChunkOptions("two-level", 8, 0, coarse_size=11), count_words)
    found = list(cut.chunk(Document("d", text)))
    assert [(c.id, c.level, c.parent) for c in found] == [
        ("d#0", "coarse", None),
        ("d#1", "coarse", None),
        ("d#2", "fine", "d#0"),
        ("d#3", "fine", "d#0"),
        ("d#4", "fine", "d#1"),
        ("d#5", "fine", "d#1"),
    ]
    by_id = {chunk.id: chunk for chunk in found}
    for chunk in found[2:]:
        parent = by_id[str(chunk.parent)]
        assert parent.start <= chunk.start < chunk.end <= parent.end


def test_the_title_counts_and_an_endless_one_is_cut() -> None:
    text = "word " * 40
    without, with_title = (
        list(chunker("recursive", 20).chunk(Document("d", text, title)))
        for title in ("", "Four more words here")
    )
    assert len(with_title) > len(without)
    (first, *_) = chunker("recursive", 20).chunk(Document("d", text, "endless " * 100))
    assert first.title.startswith("endless")
    assert count_words([first.title])[0] <= 10


def test_a_text_without_any_border_is_cut_all_the_same() -> None:
    for strategy in STRATEGIES:
        fine = [c for c in chunks_of("x" * 5_000, strategy, 27) if c.level == "fine"]
        assert max(len(c.text) for c in fine) <= 100
        assert "".join(c.text for c in fine) == "x" * 5_000


def test_published_truncation_does_not_hide_tokens() -> None:
    assert TOKENIZER.truncation is not None
    assert TokenMeter(TOKENIZER).count(["a b c d e f g h i j"]) == [12]
    assert TOKENIZER.truncation is not None


def test_token_units_cover_what_a_tokenizer_drops_and_join_split_letters() -> None:
    assert token_units([(1, 2), (4, 5), (4, 5), (6, 7)], 9) == [
        Unit(0, 4, 1),
        Unit(4, 6, 2),
        Unit(6, 9, 1),
    ]


def test_packing_never_stands_still() -> None:
    units = [Unit(i, i + 1, tokens) for i, tokens in enumerate([9, 1, 9, 1, 1, 9])]
    assert pack(units, 4, 3) == [(0, 1), (1, 2), (2, 3), (3, 5), (5, 6)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", ["One. ", "Two."]),
        (
            "Rates rose to 3.75 percent. Dr. Kim said so.",
            ["Rates rose to 3.75 percent. ", "Dr. Kim said so."],
        ),
        ("See e.g. the terms.", ["See e.g. the terms."]),
        ("“Really?” “Yes.” Done", ["“Really?” ", "“Yes.” ", "Done"]),
        ("1. 신청한다. 2. 서명한다.", ["1. 신청한다. ", "2. 서명한다."]),
        ("终于。下一个。", ["终于。", "下一个。"]),
        ("줄 하나\n줄 둘", ["줄 하나\n", "줄 둘"]),
    ],
)
def test_sentence_borders(text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in sentences(text, (0, len(text)))] == expected


def test_paragraph_borders_swallow_blank_lines() -> None:
    text = "a\nb\n \n\nc"
    assert [text[a:b] for a, b in paragraphs(text, (0, len(text)))] == ["a\nb\n \n\n", "c"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strategy": "magic"}, "unknown chunking strategy 'magic'; allowed: recursive"),
        ({"size": 0}, "at least 1"),
        ({"size": 10, "overlap": 6}, r"between 0 and half the chunk size \(5\)"),
        ({"size": 100, "overlap": 0, "coarse_size": 50}, "below the size of fine chunks"),
    ],
)
def test_options_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(IngestError, match=message):
        ChunkOptions(**values)


def test_what_a_strategy_needs_is_asked_for() -> None:
    with pytest.raises(IngestError, match="needs a dense encoder"):
        make_chunker(ChunkOptions("semantic"), count_words)
    with pytest.raises(IngestError, match="leaves no room"):
        make_chunker(ChunkOptions(size=2, overlap=0), count_words)
