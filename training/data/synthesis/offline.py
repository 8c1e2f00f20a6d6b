"""Queries without an LLM: titles, headings and key phrases. Named as what they are.

They teach a model the words of the domain, not how people ask: the title of a passage stands in the
passage. Use them where nothing better is to be had, and measure.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from training.data.normalising import text_key
from training.data.synthesis.answers import AnswerFault, Written
from training.data.synthesis.chunks import Passage

TITLE = "offline-title"
_WORD = re.compile(r"[^\W_]+(?:[-'’.][^\W_]+)*")
_HEADING = re.compile(
    r"^(?:#{1,6}\s+(?P<marked>.+?)\s*#*|(?P<numbered>제\s?\d+조\S*.{0,40}))$", re.M
)
_PHRASE_WORDS = 4
_SHORT = 2
# A word in more than this share of the passages says nothing about one of them.
_COMMON = 0.2


@dataclass(frozen=True)
class WordCounts:
    """In how many passages each word stands.

    Attributes:
        passages: How many there are.
        containing: Word -> passages that hold it.
    """

    passages: int
    containing: Counter[str]

    @classmethod
    def of(cls, passages: Iterable[Passage]) -> "WordCounts":
        """Count; only the words are held."""
        containing: Counter[str] = Counter()
        count = 0
        for passage in passages:
            count += 1
            containing.update(set(_words(passage.text)))
        return cls(count, containing)

    def idf(self, word: str) -> float:
        """Robertson and Spärck Jones's inverse document frequency; 0 for common words."""
        found = self.containing[word]
        if found > max(1, _COMMON * self.passages):
            return 0.0
        return math.log(1 + (self.passages - found + 0.5) / (found + 0.5))


@dataclass(frozen=True)
class OfflineWriter:
    """Takes queries from the passage itself.

    Attributes:
        counts: Word statistics of the corpus.
        count: Queries per passage at most.
    """

    counts: WordCounts
    count: int = 3

    def write(self, passage: Passage) -> list[Written]:
        """The title, headings and key phrases, in this order.

        Raises:
            AnswerFault: The passage has none of them.
        """
        found = {
            text_key(w.query): w for w in self._all(passage) if text_key(w.query) != text_key("")
        }
        found.pop(text_key(passage.text), None)
        if not found:
            msg = "no title, no heading and no telling word"
            raise AnswerFault(msg)
        return list(found.values())[: self.count]

    def _all(self, passage: Passage) -> list[Written]:
        headings = [m["marked"] or m["numbered"] for m in _HEADING.finditer(passage.text)]
        return [
            *([Written(passage.title.strip(), TITLE)] if passage.title.strip() else []),
            *(Written(" ".join(h.split()), "offline-heading") for h in headings),
            *(Written(phrase, "offline-key-phrase") for phrase in self._phrases(passage)),
        ]

    def _phrases(self, passage: Passage) -> list[str]:
        """The words of most weight, a few at a time, in the order of the text."""
        words = _words(passage.text)
        weights = {w: n * self.counts.idf(w) for w, n in Counter(words).items() if len(w) >= _SHORT}
        best = sorted((w for w in weights if weights[w] > 0), key=lambda w: (-weights[w], w))
        order = {word: place for place, word in reversed(list(enumerate(words)))}
        groups = [best[i : i + _PHRASE_WORDS] for i in range(0, len(best), _PHRASE_WORDS)]
        return [_joined(group, order) for group in groups[: self.count] if len(group) > 1]


def _joined(words: Sequence[str], order: dict[str, int]) -> str:
    return " ".join(sorted(words, key=order.__getitem__))


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
