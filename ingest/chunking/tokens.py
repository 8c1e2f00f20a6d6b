"""Counting tokens as the encoder does, quickly."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, cast

from ingest.chunking.spans import Span

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenCounter: TypeAlias = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text, special tokens included: ``Encoder.count_tokens``."""

CACHED_WORDS = 100_000
LONGEST_CACHED_WORD = 64


class TokenMeter:
    """Measures texts with an encoder's tokenizer.

    Attributes:
        specials: Tokens that every passage carries besides its own.
    """

    def __init__(self, counter: "TokenCounter | Tokenizer") -> None:
        self._tokenizer = (
            _untruncated(cast("Tokenizer", counter)) if _is_tokenizer(counter) else None
        )
        self._counter = cast(TokenCounter, counter)
        self._words: dict[str, int] = {}
        self.specials = self.count([""])[0]

    def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text as a passage, special tokens included."""
        if not texts:
            return []
        if self._tokenizer is None:
            return self._counter(texts)
        return [len(encoding) for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def bare(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text without special tokens."""
        return [max(0, count - self.specials) for count in self.count(texts)]

    def token_spans(self, text: str) -> list[Span] | None:
        """Where each token lies in the text; None when only a counting function was given."""
        if self._tokenizer is None:
            return None
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return encoding.offsets

    def learn(self, text: str) -> None:
        """Count the words of a text in one go, ahead of many calls of ``estimate``."""
        if len(self._words) > CACHED_WORDS:
            self._words.clear()
        known = self._words
        new = [w for w in set(text.split()) if w not in known and len(w) <= LONGEST_CACHED_WORD]
        self._words.update(zip(new, self.bare(new), strict=True))

    def estimate(self, text: str) -> int:
        """Tokens without special tokens, as the sum over words.

        Exact for WordPiece; other tokenizers may merge across spaces or count line feeds. Sums
        of known words are an order of magnitude faster than tokenizing a text again and again.
        """
        total = 0
        for word in text.split():
            known = self._words.get(word)
            total += self.bare([word])[0] if known is None else known
        return total


def _is_tokenizer(counter: object) -> bool:
    # Without importing the library: a mere counting function must not need it.
    return hasattr(counter, "encode_batch_fast")


def _untruncated(tokenizer: "Tokenizer") -> "Tokenizer":
    """A copy that neither cuts nor pads: published tokenizers often carry such settings."""
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy
