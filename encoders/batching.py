"""Batches: of a number of items, or of texts of similar length bounded by their padded size."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` items, the last one shorter (`itertools.batched` of Python 3.12)."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Bounds of one batch.

    Attributes:
        max_tokens: Rows times longest row; a single longer text still makes a batch of its own.
        max_rows: Rows, however short they are.
    """

    max_tokens: int = 2048
    max_rows: int = 64


def plan_batches(lengths: Sequence[int], plan: BatchPlan) -> Iterator[npt.NDArray[np.intp]]:
    """Group positions into batches of similar length, longest first.

    Longest first, so that memory peaks in the first batch and not after an hour.

    Args:
        lengths: Tokens of each text.
        plan: Bounds of a batch.

    Yields:
        Positions into ``lengths``; together they cover each position exactly once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        rows = max(1, min(plan.max_rows, plan.max_tokens // longest))
        yield order[start : start + rows]
        start += rows
