"""Sparse encoders on a loaded network (SPLADE)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from encoders.base import EncoderIdentity, SparseVector
from encoders.batching import BatchPlan, plan_batches
from encoders.fingerprint import combined_fingerprint
from encoders.model import Model
from encoders.pruning import NO_PRUNING, Pruning, prune, sparse_rows
from encoders.reading import Reading
from encoders.runner import Runner
from encoders.tokenization import TextTokenizer


@dataclass(frozen=True)
class SpladeEncoder(Reading):
    """Texts to vocabulary weights by a masked language model, whatever runs it.

    Attributes:
        model: Settings, tokenizer and, for inference-free queries, their weights.
        runner: Runs the network.
        pruning: What is left out of a document's vector; queries stay whole.
        plan: Bounds of a batch; the network's logits take batch tokens times vocabulary.
    """

    model: Model
    runner: Runner
    pruning: Pruning = NO_PRUNING
    plan: BatchPlan = field(default_factory=BatchPlan)

    @cached_property
    def identity(self) -> EncoderIdentity:
        """Fingerprint over network, tokenizer, query weights, pruning and prompts."""
        weights = self.model.query_weights
        fingerprint = combined_fingerprint(
            self.model.graph_fingerprint,
            self.model.tokenizer_digest,
            self.model.settings.text.as_dict(),
            None if weights is None else sha256(weights.tobytes()).hexdigest(),
            self.pruning.as_dict(),
        )
        width = self.model.settings.graph.width
        return EncoderIdentity("sparse", self.model.name, fingerprint, width)

    @cached_property
    def query_tokenizer(self) -> TextTokenizer:
        """The tokenizer of inference-free queries: without special tokens."""
        return replace(self.model.tokenizer, special_tokens=False)

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode queries: by the network, or by tokenizer and table alone."""
        prompt = self.model.settings.text.query_prompt
        if self.model.query_weights is None:
            return self._encode(texts, prompt, NO_PRUNING)
        rows = self.query_tokenizer.token_ids([prompt + text for text in texts])
        return [self._look_up(row) for row in rows]

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode documents by the network, pruned."""
        return self._encode(texts, self.model.settings.text.document_prompt, self.pruning)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Vocabulary entries of the given ids."""
        return self.model.tokenizer.tokens(ids)

    @property
    def _factors(self) -> npt.NDArray[np.float32] | None:
        """A graph that caps documents itself does so by what an entry can add to a score."""
        capped = self.model.settings.graph.top_k is not None
        return self.model.query_weights if capped else None

    def _look_up(self, row: Sequence[int]) -> SparseVector:
        """Weight of each token that is there, however often (as the models were trained)."""
        weights = self.model.query_weights
        ids = np.unique(np.asarray(row, dtype=np.int32))
        found = np.zeros(0, dtype=np.float32) if weights is None else weights[ids]
        return prune(ids, found, NO_PRUNING)

    def _encode(self, texts: Sequence[str], prompt: str, pruning: Pruning) -> list[SparseVector]:
        tokenizer = self.model.tokenizer
        rows = tokenizer.token_ids([prompt + text for text in texts])
        vectors: dict[int, SparseVector] = {}
        for positions in plan_batches([len(row) for row in rows], self.plan):
            found = self.runner.run(tokenizer.pad([rows[place] for place in positions]))
            pruned = sparse_rows(found, pruning, factors=self._factors)
            vectors.update(zip(positions.tolist(), pruned, strict=True))
        return [vectors[place] for place in range(len(rows))]
