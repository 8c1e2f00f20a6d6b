"""Does a model on the node give what the local encoder gives?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from encoders.base import FloatMatrix
from opensearch.ml.errors import VerificationError

MIN_COSINE = 0.999
MAX_WEIGHT_DIFFERENCE = 1e-3
VERIFICATION_TEXTS = (
    "annual fee of a credit card",
    "What does a transfer abroad cost, and how long does it take?",
    "A loan with a fixed interest rate is repaid in monthly instalments; deposits are insured.",
    "Error E-4012: daily limit used up!",
    "해외 송금 수수료는 얼마인가요?",
    "Die Gebühr wird am ersten Werktag abgebucht: 12,50 €.",
)


@dataclass(frozen=True, slots=True)
class Verification:
    """How far node and local encoder are apart.

    Attributes:
        texts: Texts compared.
        lowest_cosine: Of a dense model: that of the worst text.
        largest_difference: Of a sparse model: between the two weights of any token of any text.
        worst: The text, or the token, where they are furthest apart.
    """

    texts: int
    lowest_cosine: float | None = None
    largest_difference: float | None = None
    worst: str = ""

    @property
    def passed(self) -> bool:
        """Whether vectors of the two can be mixed in one index."""
        if self.lowest_cosine is not None:
            return self.lowest_cosine >= MIN_COSINE
        return (self.largest_difference or 0.0) <= MAX_WEIGHT_DIFFERENCE

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON-ready values."""
        return {
            "texts": self.texts,
            "lowest_cosine": self.lowest_cosine,
            "largest_difference": self.largest_difference,
            "passed": self.passed,
        }

    def __str__(self) -> str:
        if self.lowest_cosine is not None:
            return f"lowest cosine {self.lowest_cosine:.6f} over {self.texts} texts"
        return f"largest weight difference {self.largest_difference:.2e} over {self.texts} texts"


def compare_dense(
    texts: Sequence[str], expected: FloatMatrix, found: Sequence[Sequence[float]]
) -> Verification:
    """Compare vectors text by text.

    Args:
        texts: What was encoded.
        expected: The local encoder's unit vectors, ``[n, dimension]``.
        found: The node's vectors.

    Raises:
        VerificationError: The vectors have another length, or are no numbers.
    """
    vectors = np.asarray(found, dtype=np.float64)
    if vectors.shape != expected.shape:
        msg = f"The node gives vectors of shape {vectors.shape}, the encoder {expected.shape}."
        raise VerificationError(msg)
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(expected, axis=1)
    cosines = np.einsum("nd,nd->n", vectors, expected.astype(np.float64))
    cosines = np.nan_to_num(cosines / np.maximum(norms, 1e-12), nan=-1.0)
    # An index with inner product takes lengths for what they are: they must be 1 as well.
    lengths = np.abs(np.linalg.norm(vectors, axis=1) - np.linalg.norm(expected, axis=1))
    agreement = np.where(lengths > 1 - MIN_COSINE, np.minimum(cosines, 1 - lengths), cosines)
    worst = int(np.argmin(agreement))
    return Verification(len(texts), lowest_cosine=float(agreement[worst]), worst=texts[worst])


def compare_sparse(
    expected: Sequence[Mapping[str, float]], found: Sequence[Mapping[str, float]]
) -> Verification:
    """Compare token weights text by text; a token that one side lacks weighs 0 there.

    Where no weight differs by more than a bound, the heaviest tokens are the same up to ties
    within that bound.
    """
    worst, largest = "", 0.0
    for ours, theirs in zip(expected, found, strict=True):
        for token in ours.keys() | theirs.keys():
            difference = abs(ours.get(token, 0.0) - theirs.get(token, 0.0))
            if difference > largest:
                worst, largest = token, difference
    return Verification(len(expected), largest_difference=largest, worst=worst)


def require_agreement(verification: Verification, label: str) -> None:
    """Refuse a model whose vectors are not those of the local encoder.

    Raises:
        VerificationError: They are too far apart.
    """
    if verification.passed:
        return
    bound = (
        f"at least {MIN_COSINE} is needed"
        if verification.lowest_cosine is not None
        else f"at most {MAX_WEIGHT_DIFFERENCE} is allowed"
    )
    msg = (
        f"{label} on the node does not give what the local encoder gives: {verification}, where "
        f"{bound} (furthest apart at {verification.worst!r}). It was undeployed. Is the name "
        "taken by another model, or were its files changed since?"
    )
    raise VerificationError(msg)
