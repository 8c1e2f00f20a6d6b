"""Batches of training: queries with a positive and a hard negative each, from one set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.static.examples import Examples, draw_set
from training.static.token_rows import TokenRows


@dataclass(frozen=True)
class Batch:
    """One step's examples.

    Attributes:
        examples: The set they are from.
        queries: Token ids of the queries, ``B``.
        rows: Rows of the documents: first the positive of each query, then the negatives.
        documents: Token ids of the documents.
        also_relevant: For each query and document whether it is another positive of the query, or
            the same document again, ``[B, documents]``: neither right nor wrong.
    """

    examples: Examples
    queries: TokenRows
    rows: npt.NDArray[np.int64]
    documents: TokenRows
    also_relevant: npt.NDArray[np.bool_]


def draw_batch(sets: Sequence[Examples], size: int, random: np.random.Generator) -> Batch:
    """Draw one batch; all of it depends on ``random`` alone, so that a resumed run repeats it."""
    chosen = draw_set(sets, random)
    count = min(size, len(chosen.queries))
    numbers = random.choice(len(chosen.queries), size=count, replace=False)
    positives = [_one_of(chosen.positives[n], random) for n in numbers]
    near = [chosen.negatives[n] for n in numbers]
    negatives = [_one_of(entries, random) for entries in near if entries]
    rows = np.asarray([*positives, *negatives], dtype=np.int64)
    relevant = np.zeros((count, len(rows)), dtype=np.bool_)
    for place, number in enumerate(numbers):
        relevant[place] = np.isin(rows, chosen.positives[number])
        relevant[place, place] = False
    return Batch(
        chosen,
        chosen.queries.select(numbers.tolist()),
        rows,
        chosen.documents.select(rows.tolist()),
        relevant,
    )


def _one_of(entries: Sequence[int], random: np.random.Generator) -> Any:
    return entries[int(random.integers(len(entries)))]
