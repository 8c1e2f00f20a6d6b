"""Sentence Transformers' CachedSpladeLoss over our batches."""

from typing import Any, TypeAlias

from training.errors import TrainingError
from training.sparse.batches import Batch
from training.sparse.config import SparseConfig
from training.sparse.splade_model import document_modules

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used


class CachedLoss:
    """InfoNCE and FLOPS by gradient caching (Gao et al., 2021).

    Args:
        config: The resolved configuration.
        encoder: The ``SparseEncoder``.
    """

    def __init__(self, config: SparseConfig, encoder: Any) -> None:
        from sentence_transformers.sparse_encoder import losses

        self._encoder = encoder
        self._limit = config.training.max_tokens
        self._ranking = losses.SparseMultipleNegativesRankingLoss(
            encoder, scale=1 / config.loss.temperature
        )
        bi_encoder = config.splade.query_side == "bi-encoder"
        queries = config.sparsity.queries if bi_encoder and config.sparsity.queries else None
        self._query_weight = queries
        self._loss = losses.CachedSpladeLoss(
            encoder,
            self._ranking,
            document_regularizer_weight=1.0,
            query_regularizer_weight=queries,
            document_regularizer_threshold=config.sparsity.threshold,
            mini_batch_size=config.splade.mini_batch_size,
        )

    def __call__(self, batch: Batch, regulariser: float) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch and what is logged of it.

        Raises:
            TrainingError: Only some of the records have negatives.
        """
        count = len(batch.queries)
        more, rest = divmod(len(batch.documents) - count, count)
        if rest:
            msg = "splade.gradient = 'cached' needs equally many negatives in all records"
            raise TrainingError(msg)
        negatives = batch.documents[count:]
        columns = [list(batch.documents[:count])]
        columns += [list(negatives[place::more]) for place in range(more)]
        features = [self._features(list(batch.queries), "query")]
        features += [self._features(column, "document") for column in columns]
        self._loss.document_regularizer_weight = regulariser
        parts = self._loss(features, None)
        total = sum(parts.values())
        values = {name: float(value.detach()) for name, value in parts.items()}
        values["loss"] = float(total.detach())
        return total, {**values, "lambda": regulariser, "active": 0.0}

    def _features(self, texts: list[str], task: str) -> dict[str, Any]:
        transformer, _ = document_modules(self._encoder)
        before = transformer.max_seq_length
        transformer.max_seq_length = min(before or self._limit or 512, self._limit or before)
        try:
            found = self._encoder.preprocess(texts, task=task)
        finally:
            transformer.max_seq_length = before
        return {
            key: value.to(self._encoder.device) if hasattr(value, "to") else value
            for key, value in found.items()
        }
