"""Scores of teachers for the documents of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from encoders.base import DenseEncoder
from encoders.options import LoadOptions
from encoders.registry import load_dense
from training.errors import TrainingError
from training.sparse.batches import Batch
from training.sparse.config import DistillationSettings
from training.sparse.losses import ensemble
from training.sparse.representations import Documents

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used
Vector: TypeAlias = npt.NDArray[np.float32]

BM25 = "bm25"
RECORDS = "records"
# Vectors kept, whatever the number of texts: 300 MB of 384 components.
_KEPT_VECTORS = 200_000


@dataclass
class DenseTeacher:
    """A dense model's cosines; each text is encoded once.

    Attributes:
        encoder: The model.
    """

    encoder: DenseEncoder
    _queries: dict[str, Vector] = field(default_factory=dict, repr=False)
    _documents: dict[str, Vector] = field(default_factory=dict, repr=False)

    def scores(self, queries: Sequence[str], documents: Sequence[str]) -> npt.NDArray[np.float32]:
        """Cosine of each query with each document, ``[Q, N]``."""
        found = _encoded(self.encoder.encode_queries, queries, self._queries)
        texts = _encoded(self.encoder.encode_documents, documents, self._documents)
        return found @ texts.T


@dataclass(frozen=True)
class Teachers:
    """The teachers of a configuration.

    Attributes:
        settings: Their factors, and how they are put together.
        dense: Dense models by name.
    """

    settings: DistillationSettings
    dense: dict[str, DenseTeacher]

    @classmethod
    def load(cls, settings: DistillationSettings, options: LoadOptions) -> "Teachers":
        """Load what the configuration names.

        Raises:
            EncoderError: A model cannot be loaded.
        """
        names = [t.model for t in settings.teachers if t.model not in (BM25, RECORDS)]
        return cls(settings, {name: DenseTeacher(load_dense(name, options)) for name in names})

    def scores(self, batch: Batch, queries: Tensor, documents: Documents) -> Tensor | None:
        """The ensemble's scores, ``[Q, N]``; ``None`` where the batch's set has no teacher.

        Raises:
            TrainingError: The records carry no scores, or the model has no lexical part.
        """
        if not batch.teacher:
            return None
        found = [
            entry.scale * self._scores(entry.model, batch, queries, documents)
            for entry in self.settings.teachers
        ]
        return ensemble(found, normalise=self.settings.normalise, scale=self.settings.scale)

    def _scores(self, name: str, batch: Batch, queries: Tensor, documents: Documents) -> Tensor:
        import torch

        if name == BM25:
            if documents.lexical is None:
                msg = "the teacher bm25 is for recipe = 'sentence-encoder' only"
                raise TrainingError(msg)
            return queries.detach() @ documents.lexical.T
        if name == RECORDS:
            return _carried(batch, queries)
        scores = self.dense[name].scores(batch.queries, batch.documents)
        return torch.from_numpy(scores).to(queries.device, queries.dtype)


def _carried(batch: Batch, queries: Tensor) -> Tensor:
    """The records' own scores; other documents of the batch lie below all of them."""
    if not batch.scores:
        msg = (
            "the records carry no pos_scores and neg_scores. Score them with a teacher first, or "
            "switch the set's teacher off."
        )
        raise TrainingError(msg)
    least = min(batch.scores.values()) - 10
    scores = queries.new_full((len(batch.queries), len(batch.documents)), least)
    for (row, column), score in batch.scores.items():
        scores[row, column] = score
    return scores


def _encoded(encode: Any, texts: Sequence[str], known: dict[str, Vector]) -> Vector:
    missing = [text for text in dict.fromkeys(texts) if text not in known]
    if len(known) + len(missing) > _KEPT_VECTORS:
        known.clear()
        missing = list(dict.fromkeys(texts))
    if missing:
        known.update(zip(missing, encode(missing), strict=True))
    return np.stack([known[text] for text in texts])
