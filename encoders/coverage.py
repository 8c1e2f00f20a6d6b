"""Was a vocabulary made for the language of a text? Measured from the tokenizer alone.

A vocabulary made for a language holds pieces of several letters in its script. A vocabulary not
made for it holds at most single letters: text falls apart into letters (Korean, once decomposed,
into jamo) or into unknown tokens, and what an encoder makes of them is noise.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from encoders.tokenization import TextTokenizer

# Share of the letter-bearing vocabulary that has to be pieces of several letters of a script.
# An English BERT vocabulary holds 99 % Latin ones and 0.03 % Cyrillic; the smallest languages of
# a vocabulary for a hundred languages hold about 0.2 %.
MIN_SCRIPT_SHARE = 0.0015
# Han is often cut into single characters: there the number of known characters tells. An English
# BERT vocabulary holds 488 of them, vocabularies made for Chinese or Japanese over 4,000.
MIN_HAN_CHARACTERS = 2000
# Letters per letter-bearing piece below which a text has fallen apart: single letters give 1.
MIN_LETTERS_PER_PIECE = 0.6
MAX_UNKNOWN_PIECES = 0.5
MIN_KNOWN_LETTERS = 0.5
# A Han character says about as much as two letters.
HAN_WEIGHT = 2
# The pieces of a long text are judged by its beginning; its letters by the whole.
SAMPLE_CHARACTERS = 400

_HAN = "CJK"


@dataclass(frozen=True, slots=True)
class TextCoverage:
    """How a vocabulary covers one text.

    Attributes:
        letters: Letters of the text, decomposed (a Hangul syllable is two or three).
        known_letters: Share of them in scripts the vocabulary was made for.
        letters_per_piece: Letters per letter-bearing piece.
        unknown_pieces: Share of unknown tokens among letter-bearing and unknown pieces.
    """

    letters: int
    known_letters: float
    letters_per_piece: float
    unknown_pieces: float

    @property
    def known(self) -> bool:
        """Whether an encoder with this vocabulary can make sense of the text."""
        if self.letters == 0:
            return True
        return (
            self.known_letters >= MIN_KNOWN_LETTERS
            and self.letters_per_piece >= MIN_LETTERS_PER_PIECE
            and self.unknown_pieces <= MAX_UNKNOWN_PIECES
        )


@dataclass(frozen=True)
class VocabularyCoverage:
    """Judges texts by the vocabulary of one tokenizer."""

    tokenizer: TextTokenizer

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """For each text, whether the vocabulary was made for its language."""
        return [coverage.known for coverage in self.measure(texts)]

    def measure(self, texts: Sequence[str]) -> list[TextCoverage]:
        """How the vocabulary covers each text."""
        samples = [text[:SAMPLE_CHARACTERS] for text in texts]
        encodings = self.tokenizer.whole.encode_batch_fast(samples, add_special_tokens=False)
        return [
            self._coverage(text, sample, np.asarray(encoding.ids, dtype=np.int64))
            for text, sample, encoding in zip(texts, samples, encodings, strict=True)
        ]

    @cached_property
    def scripts(self) -> frozenset[str]:
        """Scripts the vocabulary was made for."""
        several, single, bearing = self._pieces_by_script
        needed = MIN_SCRIPT_SHARE * bearing
        known = {script for script, count in several.items() if count >= needed}
        if single[_HAN] + several[_HAN] >= MIN_HAN_CHARACTERS:
            known.add(_HAN)
        return frozenset(known)

    @cached_property
    def _pieces_by_script(self) -> tuple[Counter[str], Counter[str], int]:
        several: Counter[str] = Counter()
        single: Counter[str] = Counter()
        for text in self.piece_texts.values():
            letters = [char for char in unicodedata.normalize("NFKC", text) if char.isalpha()]
            if letters:
                (several if len(letters) > 1 else single)[script_of(letters[0])] += 1
        return several, single, several.total() + single.total()

    @cached_property
    def piece_texts(self) -> dict[int, str]:
        """Text of each vocabulary entry that is not a special token."""
        special = set(self.tokenizer.special_ids())
        vocabulary = self.tokenizer.whole.get_vocab(with_added_tokens=True)
        readable = _Readable(byte_level='"ByteLevel"' in self.tokenizer.serialized)
        return {
            number: readable(token) for token, number in vocabulary.items() if number not in special
        }

    @cached_property
    def letter_bearing(self) -> npt.NDArray[np.bool_]:
        """For each token id, whether the piece holds a letter (or a fragment of one)."""
        size = max(self.piece_texts, default=0) + 1
        bearing = np.zeros(max(size, self.tokenizer.vocabulary_size), dtype=np.bool_)
        for number, text in self.piece_texts.items():
            bearing[number] = any(char.isalpha() or char == "\ufffd" for char in text)
        return bearing

    @cached_property
    def unknown_id(self) -> int:
        """Id of the unknown token, or -1 (a byte-level vocabulary has none)."""
        for name in ("[UNK]", "<unk>"):
            found = self.tokenizer.whole.token_to_id(name)
            if found is not None:
                return int(found)
        return -1

    def _coverage(self, text: str, sample: str, ids: npt.NDArray[np.int64]) -> TextCoverage:
        letters = _letters_by_script(text)
        total = letters.total()
        known = sum(count for script, count in letters.items() if script in self.scripts)
        unknown = int(np.count_nonzero(ids == self.unknown_id))
        bearing = int(np.count_nonzero(self.letter_bearing[ids]))
        composed = sum(map(str.isalpha, unicodedata.normalize("NFC", sample)))
        return TextCoverage(
            letters=total,
            known_letters=known / total if total else 1.0,
            letters_per_piece=composed / bearing if bearing else float(composed),
            unknown_pieces=unknown / (unknown + bearing) if unknown else 0.0,
        )


def _letters_by_script(text: str) -> Counter[str]:
    """Letters of a text per script, decomposed, Han counted double."""
    if text.isascii():
        return Counter({"LATIN": sum(map(str.isalpha, text))})
    letters: Counter[str] = Counter()
    for char, count in Counter(unicodedata.normalize("NFKD", text)).items():
        if char.isalpha():
            script = script_of(char)
            letters[script] += count * (HAN_WEIGHT if script == _HAN else 1)
    return letters


@lru_cache(maxsize=65536)
def script_of(char: str) -> str:
    """Script of a letter: the first word of its Unicode name (``LATIN``, ``HANGUL``, ``CJK``)."""
    return unicodedata.name(char, "UNNAMED").split()[0]


class _Readable:
    """Vocabulary entries as text: without the marks of the tokenizer's algorithm."""

    def __init__(self, *, byte_level: bool) -> None:
        self._bytes = {char: byte for byte, char in byte_characters()} if byte_level else None

    def __call__(self, token: str) -> str:
        if self._bytes is None:
            return token.removeprefix("##").removeprefix("▁")
        if not all(char in self._bytes for char in token):
            return token
        return bytes(self._bytes[char] for char in token).decode("utf-8", errors="replace")


def byte_characters() -> Iterable[tuple[int, str]]:
    """The printable stand-in of each byte in a byte-level vocabulary.

    Printable Latin-1 bytes stand for themselves, the others for code points from 256 on, in order.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    yield from ((byte, chr(byte)) for byte in printable)
    yield from ((byte, chr(256 + rank)) for rank, byte in enumerate(others))
