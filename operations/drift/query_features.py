"""What is measured of a query, so that two times can be compared."""

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from opensearch.languages import main_script
from operations.drift.observed import ObservedQuery
from training.data.normalising import normalised

# Scripts that do not (reliably) put spaces between words are cut into pairs of characters.
_UNSPACED = re.compile(r"[\u1100-\u11FF\u3040-\u30FF\u3130-\u318F\u3400-\u9FFF\uAC00-\uD7A3]+")

WORDS = "words"
CHARACTERS = "characters"
NEW_WORDS = "words new to the log"
UNKNOWN_WORDS = "words not in the index"
TOP_SCORE = "top score"
MARGIN = "margin"
SCRIPT = "script"
ZERO_RESULTS = "zero results"

WordCheck = Callable[[str], float | None]


@dataclass(frozen=True, slots=True)
class QueryFeatures:
    """Features of one query.

    Attributes:
        numbers: By name; what is not known is absent.
        script: Script group that most of it is written in.
        found_nothing: Whether nothing was shown; ``None`` if that is not known.
        words: Its words.
    """

    numbers: Mapping[str, float]
    script: str
    found_nothing: bool | None
    words: tuple[str, ...]


def features(query: ObservedQuery, in_index: WordCheck | None = None) -> QueryFeatures:
    """Features of a query.

    Args:
        query: The query.
        in_index: Says which share of a text's words the index does not hold.
    """
    numbers: dict[str, float] = {
        WORDS: float(len(query.text.split())),
        CHARACTERS: float(len(query.text.strip())),
    }
    if in_index is not None and (unknown := in_index(query.text)) is not None:
        numbers[UNKNOWN_WORDS] = unknown
    if query.scores and math.isfinite(query.scores[0]):
        numbers[TOP_SCORE] = query.scores[0]
    if len(query.scores) > 1 and math.isfinite(query.scores[0] - query.scores[1]):
        numbers[MARGIN] = query.scores[0] - query.scores[1]
    return QueryFeatures(
        numbers=numbers,
        script=main_script(query.text) or "none",
        found_nothing=None if query.results is None else query.results == 0,
        words=tuple(words_of(query.text)),
    )


def words_of(text: str) -> Iterator[str]:
    """Distinct words of a text; runs of scripts without spaces as pairs of characters."""
    found: dict[str, None] = {}
    plain = normalised(text)
    if _UNSPACED.search(plain) is None:
        yield from dict.fromkeys(plain.split())
        return
    for word in plain.split():
        for run in _UNSPACED.findall(word):
            found |= dict.fromkeys(run[i : i + 2] for i in range(max(1, len(run) - 1)))
        found |= dict.fromkeys(part for part in _UNSPACED.split(word) if part)
    yield from found


def word_hashes(words: Iterable[str], salt: str) -> set[str]:
    """Short keyed digests of words: a vocabulary that can be asked but not read."""
    return {
        hashlib.blake2b(word.encode(), digest_size=6, key=salt.encode()).hexdigest()
        for word in words
    }
