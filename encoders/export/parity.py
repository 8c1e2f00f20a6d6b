"""Does an exported graph give what the original gives?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from encoders.base import FloatMatrix
from encoders.errors import ParityError
from encoders.runner import Runner
from encoders.tokenization import Batch

MIN_COSINE = 0.9999
_LENGTHS = (2, 5, 17, 48)
_SEED = 13


@dataclass(frozen=True, slots=True)
class Parity:
    """How far two runs of a graph are apart.

    Attributes:
        min_cosine: Of the worst row.
        max_difference: Largest absolute difference of a component.
        rows: Rows compared.
    """

    min_cosine: float
    max_difference: float
    rows: int


def check_parity(original: Runner, exported: Runner, *, vocabulary: int, max_tokens: int) -> Parity:
    """Compare two runners on random ids: several lengths, batches and both padding sides.

    Args:
        original: The PyTorch graph.
        exported: The ONNX graph.
        vocabulary: Ids are drawn below it.
        max_tokens: No row is longer.

    Raises:
        ParityError: A row's cosine is below 0.9999.
    """
    cosines: list[float] = []
    differences: list[float] = []
    for batch in probe_batches(vocabulary, max_tokens):
        expected, found = original.run(batch), exported.run(batch)
        cosines.extend(row_cosines(expected, found).tolist())
        differences.append(float(np.abs(expected - found).max()))
    parity = Parity(min(cosines), max(differences), len(cosines))
    if not parity.min_cosine >= MIN_COSINE:
        msg = (
            f"The exported graph differs from the original: cosine {parity.min_cosine:.6f} "
            f"(at least {MIN_COSINE} is needed), largest difference {parity.max_difference:.2e}. "
            "Nothing was written. Use --runtime torch for this model."
        )
        raise ParityError(msg)
    return parity


def probe_batches(vocabulary: int, max_tokens: int) -> Iterator[Batch]:
    """One text alone, then ragged batches of growing length, padded right and left."""
    random = np.random.default_rng(_SEED)
    for length in sorted({min(length, max_tokens) for length in _LENGTHS}):
        yield _ragged(random, [length], vocabulary, left=False)
        ragged = [length, max(1, length // 2), 1]
        yield _ragged(random, ragged, vocabulary, left=False)
        yield _ragged(random, ragged, vocabulary, left=True)


def row_cosines(first: FloatMatrix, second: FloatMatrix) -> FloatMatrix:
    """Cosine of each pair of rows; two rows of zeros are alike."""
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    products = np.einsum("ij,ij->i", first, second)
    same_zeros = ~first.any(axis=1) & ~second.any(axis=1)
    cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return np.where(same_zeros, np.float32(1), cosines)


def _ragged(
    random: np.random.Generator, lengths: list[int], vocabulary: int, *, left: bool
) -> Batch:
    width = max(lengths)
    ids = random.integers(0, vocabulary, size=(len(lengths), width), dtype=np.int64)
    columns = np.arange(width)
    mask = [columns >= width - n if left else columns < n for n in lengths]
    return Batch(ids, np.asarray(mask, dtype=np.int64))
