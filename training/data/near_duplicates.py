"""Texts that are nearly the same, found without comparing all pairs.

MinHash (Broder, "On the resemblance and containment of documents", 1997) over character trigrams,
which serve scripts without spaces as well; what it proposes is then compared exactly.
"""

import re
from collections.abc import Iterator
from typing import Any

from encoders.errors import MissingExtraError
from training.data.normalising import normalised

NEAR = 0.8
_PERMUTATIONS = 64
_SHINGLE = 3
_NUMBERS = re.compile(r"\d+")


class NearDuplicates:
    """Short texts, asked for those that resemble another.

    The texts are held: this is for queries, not for documents.
    """

    def __init__(self, threshold: float = NEAR) -> None:
        """Start with none.

        Args:
            threshold: Least share of common trigrams (Jaccard) of two texts.

        Raises:
            MissingExtraError: datasketch is not installed.
        """
        try:
            from datasketch import MinHashLSH
        except ImportError as error:
            package = "datasketch"
            raise MissingExtraError(package, "train") from error
        self._threshold = threshold
        # Asked a little lower: the estimate errs, and the exact comparison follows.
        self._index = MinHashLSH(threshold=max(0.1, threshold - 0.1), num_perm=_PERMUTATIONS)
        self._texts: list[str] = []

    def add(self, text: str) -> None:
        """Hold a text."""
        self._index.insert(len(self._texts), _min_hash(text))
        self._texts.append(text)

    def like(self, text: str) -> Iterator[tuple[str, float]]:
        """Held texts that resemble one, in the order they came, with their resemblance."""
        for place in sorted(self._index.query(_min_hash(text))):
            likeness = resemblance(text, self._texts[place])
            if likeness >= self._threshold:
                yield self._texts[place], likeness


def resemblance(one: str, other: str) -> float:
    """Share of common trigrams of two texts, 0..1; 0 where their numbers differ.

    “Revenue in 2018” and “revenue in 2019” are two questions.
    """
    if _NUMBERS.findall(one) != _NUMBERS.findall(other):
        return 0.0
    first, second = _shingles(one), _shingles(other)
    return len(first & second) / max(1, len(first | second))


def _shingles(text: str) -> set[str]:
    plain = normalised(text).replace(" ", "")
    return {plain[i : i + _SHINGLE] for i in range(max(1, len(plain) - _SHINGLE + 1))}


def _min_hash(text: str) -> Any:
    from datasketch import MinHash

    found = MinHash(num_perm=_PERMUTATIONS, seed=1)
    found.update_batch([shingle.encode() for shingle in sorted(_shingles(text))])
    return found
