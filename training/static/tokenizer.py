"""Tokenizers made from the user's own corpus, as plain ``tokenizer.json`` files.

``unigram``: pieces of a Unigram model without a mark for the beginning of a word, so that a noun
is the same piece with and without a particle before or behind it.

``bigram``: what OpenSearch's ``cjk`` analyzer gives: overlapping pairs of characters of Hangul,
Han and Kana; numbers of the corpus whole; everything else in word pieces. A tokenizer cannot
overlap by itself; here its normaliser writes each such character twice, the first and the last of
a run are dropped, and what is left is cut into pairs: 손해배상 → 손손해해배배상상 → 손해 해배 배상.
A pair that is not in the vocabulary falls into its two characters: rare names stay searchable.
"""

import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from training.errors import TrainingError
from training.static.double_array import character_map

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenizerKind: TypeAlias = Literal["unigram", "bigram"]
Texts: TypeAlias = Callable[[], Iterable[str]]

PAD, UNKNOWN = "[PAD]", "[UNK]"
MAX_PIECE = 8
# Share of a bigram vocabulary that other scripts (Latin words, digits) may take.
OTHER_SHARE = 0.2
_HANGUL = "가-힣ᄀ-ᇿ"
OVERLAPPING = f"{_HANGUL}一-鿿ぁ-ゖァ-ヺー"
_RUN = re.compile(f"[{OVERLAPPING}]+")
_MAX_COUNTED = 5_000_000
_MAX_REPEATS = 100
_MAX_WORD = 16
_NUMBER = re.compile(r"\d\d+")
# Pieces have log-probabilities near -10: a whole number wins over its parts.
_CHARACTER_SCORE, _PAIR_SCORE, _NUMBER_SCORE = -20.0, -10.0, -5.0


def train_tokenizer(texts: Texts, kind: TokenizerKind, size: int) -> "Tokenizer":
    """Make a tokenizer from texts, streamed.

    Args:
        texts: Gives the corpus (and queries, where there are some) each time it is called.
        kind: ``unigram`` or ``bigram``.
        size: Entries of the vocabulary, at most.

    Raises:
        TrainingError: There is no text.
    """
    if not any(text.strip() for text in texts()):
        msg = "there is no text to make a vocabulary from: the training sets and corpora are empty"
        raise TrainingError(msg)
    return _TRAINERS[kind](texts, size)


def _train_unigram(texts: Texts, size: int) -> "Tokenizer":
    return _unigram(texts, size, max_piece=MAX_PIECE)


def _unigram(texts: Texts, size: int, *, max_piece: int) -> "Tokenizer":
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    rare = _rare_characters(texts, size // 2)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    scripts = pre_tokenizers.UnicodeScripts()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*_words(), scripts])
    trainer = trainers.UnigramTrainer(
        vocab_size=size,
        special_tokens=[PAD, UNKNOWN],
        unk_token=UNKNOWN,
        max_piece_length=max_piece,
        n_sub_iterations=1,
        show_progress=False,
    )
    plain = (text.translate(rare) for text in map(_normalized, texts()))
    tokenizer.train_from_iterator(plain, trainer)
    return tokenizer


def _rare_characters(texts: Texts, kept: int) -> dict[int, str]:
    """All but the most frequent characters, each to be a space: each kept one takes an entry."""
    counts: Counter[str] = Counter()
    for text in texts():
        counts.update(_normalized(text))
    return {ord(character): " " for character, _ in counts.most_common()[kept:]}


def _normalized(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _train_bigram(texts: Texts, size: int) -> "Tokenizer":
    counts = _count(texts())
    share = max(8, int(size * OTHER_SHARE))
    other = _other_pieces(counts.words, share)
    other |= _numbers(counts.words, share - len(other))
    vocabulary: dict[str, float] = {PAD: 0.0, UNKNOWN: 0.0, **other}
    # Two characters never win over the pair that holds both.
    for character, _ in counts.characters.most_common(size - len(vocabulary)):
        vocabulary.setdefault(character, _CHARACTER_SCORE)
    # Even a pair seen once: the rarest tell most about a document.
    for pair, _ in counts.pairs.most_common(max(0, size - len(vocabulary))):
        vocabulary[pair] = _PAIR_SCORE
    return bigram_tokenizer(list(vocabulary.items()), doubled=counts.characters)


def bigram_tokenizer(
    vocabulary: Sequence[tuple[str, float]], doubled: Iterable[str]
) -> "Tokenizer":
    """A tokenizer that cuts runs of some characters into overlapping pairs.

    Args:
        vocabulary: Pairs, single characters and word pieces with their scores, in the order of
            their ids, behind ``[PAD]`` and ``[UNK]``.
        doubled: The characters to pair, beside all of Hangul.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.Unigram(list(vocabulary), unk_id=1))
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in (PAD, UNKNOWN)])
    doubling = character_map({c: c * 2 for c in {*_hangul(), *doubled} if _RUN.fullmatch(c)})
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Precompiled(doubling)]
    )
    one = f"[{OVERLAPPING}]"
    edges = f"(?<!{one}){one}(?={one})|(?<={one}{one}){one}(?!{one})"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *_words(),
            pre_tokenizers.Split(Regex(edges), "removed"),
            pre_tokenizers.Split(Regex(f"{one}{one}"), "isolated"),
        ]
    )
    return tokenizer


def _words() -> list[Any]:
    """Words, punctuation and numbers, each for itself."""
    from tokenizers import pre_tokenizers

    return [
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Punctuation("isolated"),
        pre_tokenizers.Digits(individual_digits=False),
    ]


@dataclass(frozen=True)
class _Counts:
    """What a corpus holds: pairs and single characters of runs, words of other scripts."""

    pairs: Counter[str]
    characters: Counter[str]
    words: Counter[str]


def _count(texts: Iterable[str]) -> _Counts:
    counts = _Counts(Counter(), Counter(), Counter())
    for text in texts:
        plain = _normalized(text)
        for run in _RUN.findall(plain):
            counts.characters.update(run)
            counts.pairs.update(run[i : i + 2] for i in range(len(run) - 1))
        counts.words.update(_RUN.sub(" ", plain).split())
        for counter in (counts.pairs, counts.words):
            if len(counter) > _MAX_COUNTED:
                _forget_rare(counter)
    return counts


def _forget_rare(counter: Counter[str]) -> None:
    """Bound memory: what came once among millions of entries will not enter the vocabulary."""
    for name in [name for name, count in counter.items() if count == 1]:
        del counter[name]


def _other_pieces(words: Counter[str], size: int) -> dict[str, float]:
    """Pieces of words in other scripts, with their log-probabilities."""
    if not words:
        return {}

    def repeated() -> Iterator[str]:
        for word, count in words.items():
            yield from itertools.repeat(word, min(count, _MAX_REPEATS))

    tokenizer = _unigram(repeated, size, max_piece=_MAX_WORD)
    pieces = json.loads(tokenizer.to_str())["model"]["vocab"]
    return {piece: score for piece, score in pieces if piece not in (PAD, UNKNOWN)}


def _numbers(words: Counter[str], size: int) -> dict[str, float]:
    """The most frequent numbers: case 2019-12345 is found by its number, not by parts of others."""
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for number in _NUMBER.findall(word):
            counts[number] += count
    return {number: _NUMBER_SCORE for number, _ in counts.most_common(max(0, size))}


def _hangul() -> Iterator[str]:
    return map(chr, [*range(0xAC00, 0xD7A4), *range(0x1100, 0x1200)])


_TRAINERS: Mapping[TokenizerKind, Callable[[Texts, int], "Tokenizer"]] = MappingProxyType(
    {"unigram": _train_unigram, "bigram": _train_bigram}
)
