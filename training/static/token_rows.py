"""Texts as token ids, held compactly: one array for all of them."""

import itertools
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH = 512


@dataclass(frozen=True)
class TokenRows:
    """Token ids of many texts.

    Attributes:
        ids: All ids, one text after the other.
        bounds: Where each text begins, and the end, ``[texts + 1]``.
    """

    ids: npt.NDArray[np.int32]
    bounds: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[Sequence[int]]) -> "TokenRows":
        """Gather rows, one at a time."""
        ids, bounds = array("i"), array("q", [0])
        for row in rows:
            ids.extend(row)
            bounds.append(len(ids))
        return cls(np.asarray(ids, np.int32), np.asarray(bounds, np.int64))

    @classmethod
    def joined(cls, parts: "Sequence[TokenRows]") -> "TokenRows":
        """The rows of several, one after the other."""
        ids = np.concatenate([part.ids for part in parts])
        lengths = np.concatenate([np.diff(part.bounds) for part in parts])
        return cls(ids, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def row(self, number: int) -> npt.NDArray[np.int32]:
        """Ids of one text."""
        return self.ids[self.bounds[number] : self.bounds[number + 1]]

    def select(self, numbers: Sequence[int]) -> "TokenRows":
        """Some texts, in this order."""
        return TokenRows.of([self.row(number).tolist() for number in numbers])

    def counts(self, vocabulary: int) -> Any:
        """How often each text holds each token: scipy CSR ``[texts, vocabulary]`` of float32."""
        from scipy.sparse import csr_matrix

        ones = np.ones(len(self.ids), np.float32)
        shape = (len(self), vocabulary)
        matrix = csr_matrix((ones, self.ids.copy(), self.bounds.copy()), shape=shape)
        matrix.sum_duplicates()
        return matrix


def tokenized(
    tokenizer: "Tokenizer", texts: Iterable[str], max_tokens: int
) -> Iterator[Sequence[int]]:
    """Ids of each text, cut at ``max_tokens``, without special tokens."""
    iterator = iter(texts)
    while batch := list(itertools.islice(iterator, BATCH)):
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            yield encoding.ids[:max_tokens]
