"""Cross-encoders: a query and a text read together, one score out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from encoders.base import RerankerIdentity
from encoders.batching import BatchPlan, plan_batches
from encoders.reranker_model import RerankerModel
from encoders.runner import Runner
from encoders.tokenization import Batch

if TYPE_CHECKING:
    from tokenizers import Encoding

FIRST_SEGMENT = 1
SECOND_SEGMENT = 2


@dataclass(frozen=True)
class CrossEncoder:
    """Scores pairs of query and text by a network, whatever runs it.

    Attributes:
        model: Settings and tokenizer.
        runner: Runs the network; its mask says which segment a token belongs to.
        plan: Bounds of a batch.
    """

    model: RerankerModel
    runner: Runner
    plan: BatchPlan = field(default_factory=BatchPlan)

    @cached_property
    def identity(self) -> RerankerIdentity:
        """Fingerprint over network, tokenizer and settings."""
        return RerankerIdentity(self.model.name, self.model.fingerprint)

    @property
    def max_tokens(self) -> int:
        """Longest pair in tokens; what lies beyond is cut off, from the longer of the two."""
        return self.model.settings.max_tokens

    def count_tokens(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        """Tokens of each pair before truncation, special tokens included."""
        return [len(entry.ids) for entry in self.model.whole.encode_batch_fast(list(pairs))]

    def score(self, query: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """How well each text answers the query, ``[len(texts)]``."""
        return self.score_pairs([(query, text) for text in texts])

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.float32]:
        """The score of each pair, ``[len(pairs)]``; its neighbours do not change it."""
        entries = self.model.truncating.encode_batch(list(pairs))
        scores = np.empty(len(entries), dtype=np.float32)
        for positions in plan_batches([len(entry.ids) for entry in entries], self.plan):
            batch = self._pad([entries[place] for place in positions])
            scores[positions] = self.runner.run(batch).reshape(-1)
        return scores

    def _pad(self, entries: "Sequence[Encoding]") -> Batch:
        """Ids, and a mask that is 1 in the first segment, 2 in the second and 0 beyond."""
        tokenizer = self.model.tokenizer
        batch = tokenizer.pad([entry.ids for entry in entries])
        segments = batch.mask.copy()
        for row, types in enumerate(_segments(entries)):
            segments[row, batch.mask[row] == 1] = types
        return Batch(batch.ids, segments)


def _segments(entries: "Sequence[Encoding]") -> Iterator[npt.NDArray[np.int64]]:
    for entry in entries:
        types = np.asarray(entry.type_ids or [0], dtype=np.int64)
        yield np.where(types > 0, SECOND_SEGMENT, FIRST_SEGMENT)
