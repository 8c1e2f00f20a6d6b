"""Who says how well a text answers a query, so that unjudged relevant texts are not negatives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from encoders.base import DenseEncoder


class Teacher(Protocol):
    """Scores texts against a query; a cross-encoder is one as it is."""

    def score(self, query: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Scores, ``[len(texts)]``; higher is better."""
        ...


@dataclass(frozen=True)
class DenseTeacher:
    """A dense model as a teacher: the cosine of query and text.

    Attributes:
        encoder: The model.
    """

    encoder: DenseEncoder

    def score(self, query: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Cosines, ``[len(texts)]``."""
        (vector,) = self.encoder.encode_queries([query])
        found = self.encoder.encode_documents(texts) @ vector
        return np.asarray(found, dtype=np.float32)
