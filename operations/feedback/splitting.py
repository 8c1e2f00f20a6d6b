"""Which queries a model is measured with, and which it learns from: never the same."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from operations.feedback.errors import FeedbackError

_STEPS = 2**32


@dataclass(frozen=True, slots=True)
class HashSplit:
    """A share of the queries, chosen by their text: a query is on the same side every time.

    Attributes:
        share: Share of the queries that is held out, 0..1.
        seed: Another seed holds out others.
    """

    share: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            msg = f"the share of evaluation queries is {self.share:g}; allowed: 0 to 1"
            raise FeedbackError(msg)

    def holds_out(self, key: str) -> bool:
        """Whether a query is for evaluation.

        Args:
            key: Its ``text_key``.
        """
        digest = hashlib.sha256(f"{self.seed}/{key}".encode()).digest()
        return int.from_bytes(digest[:4]) / _STEPS < self.share


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Evaluation on what happened from a moment on, training on what happened before.

    A query of both times is evaluated on and not trained on.

    Attributes:
        moment: Where evaluation begins.
    """

    moment: datetime
