"""Dense encoders on a loaded network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from encoders.base import EncoderIdentity, FloatMatrix
from encoders.batching import BatchPlan, plan_batches
from encoders.errors import EncoderError
from encoders.fingerprint import combined_fingerprint
from encoders.model import Model
from encoders.reading import Reading
from encoders.runner import Runner


@dataclass(frozen=True)
class TransformerDenseEncoder(Reading):
    """Texts to unit-length vectors by a network, whatever runs it.

    Attributes:
        model: Settings and tokenizer.
        runner: Runs the network.
        dimension: Components kept (Matryoshka); ``None`` keeps all.
        plan: Bounds of a batch.
    """

    model: Model
    runner: Runner
    dimension: int | None = None
    plan: BatchPlan = field(default_factory=BatchPlan)

    def __post_init__(self) -> None:
        width = self.model.settings.graph.width
        if self.dimension is not None and self.dimension > width:
            msg = f"{self.model.name} gives {width} components; {self.dimension} cannot be kept"
            raise EncoderError(msg)

    @cached_property
    def identity(self) -> EncoderIdentity:
        """Fingerprint over network, tokenizer and everything that changes a vector."""
        width = self.dimension or self.model.settings.graph.width
        fingerprint = combined_fingerprint(
            self.model.graph_fingerprint,
            self.model.tokenizer_digest,
            self.model.settings.text.as_dict(),
            width,
        )
        return EncoderIdentity("dense", self.model.name, fingerprint, width, self.model.documents)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries, with the query prompt, to ``[len(texts), dimension]``."""
        return self._encode(texts, self.model.settings.text.query_prompt)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode documents, with the document prompt, to ``[len(texts), dimension]``.

        Raises:
            EncoderError: The model was tuned for queries alone.
        """
        if self.model.documents is not None:
            msg = (
                f"{self.model.name} was tuned for queries alone: documents are encoded by its base "
                f"model ({self.model.documents[:12]}). Index with that one, search with this one."
            )
            raise EncoderError(msg)
        return self._encode(texts, self.model.settings.text.document_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> FloatMatrix:
        tokenizer = self.model.tokenizer
        rows = tokenizer.token_ids([prompt + text for text in texts])
        vectors = np.empty((len(rows), self.identity.dimension), dtype=np.float32)
        for positions in plan_batches([len(row) for row in rows], self.plan):
            found = self.runner.run(tokenizer.pad([rows[place] for place in positions]))
            vectors[positions] = shorten(found, self.identity.dimension)
        return vectors


def shorten(vectors: FloatMatrix, dimension: int) -> FloatMatrix:
    """The first components of each vector, at unit length again (Matryoshka).

    Args:
        vectors: ``[n, width]``, of unit length.
        dimension: Components to keep.
    """
    if dimension == vectors.shape[1]:
        return vectors
    kept = vectors[:, :dimension]
    norms = np.linalg.norm(kept, axis=1, keepdims=True)
    shortened: FloatMatrix = kept / np.maximum(norms, np.float32(1e-12))
    return shortened
