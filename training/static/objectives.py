"""Losses of one batch."""

from typing import Any, TypeAlias

import numpy as np

from training.static.batches import Batch
from training.static.config import TrainingSettings
from training.static.networks import bags, least_worth
from training.static.weighting import bm25_weights

Tensor: TypeAlias = Any
Module: TypeAlias = Any

# A document that holds fewer own tokens than this share of the cap is taken as uncut in training.
_LONG_SHARE = 0.5


def dense_loss(
    network: Module, batch: Batch, settings: TrainingSettings, random: np.random.Generator
) -> Tensor:
    """InfoNCE over cosines, in-batch and hard negatives."""
    queries = network.pooled(*bags(batch.queries, settings.token_drop, random))
    documents = network.pooled(*bags(batch.documents, settings.token_drop, random))
    return info_nce(settings.scale * queries @ documents.T, batch)


class SparseObjective:
    """Both losses of the sparse model, over capped documents.

    A batch is from one set and is weighted by the frequencies of that set's own corpus.

    Args:
        top_k: Entries a document keeps.
        settings: Temperature and weights of the losses.
    """

    def __init__(self, top_k: int, settings: TrainingSettings) -> None:
        self._top_k = top_k
        self._settings = settings

    def __call__(self, network: Module, batch: Batch, random: np.random.Generator) -> Tensor:
        """The loss of a batch."""
        import torch

        settings = self._settings
        pooled = network.pooled(*bags(batch.documents, settings.token_drop, random))
        saturated = self.saturated(batch, network)
        idf = torch.from_numpy(batch.examples.statistics.idf())
        columns, asked = self._queries(network, batch, idf)
        projected = network.projected(pooled)
        lexical = saturated[:, columns] * network.own[columns].exp() * network.content[columns]
        weights = lexical + network.expansion(projected, columns)
        kept = self._kept(network, (pooled, saturated), columns, idf)
        # What the cap leaves out counts for nothing, yet may learn to come back.
        weights = weights * kept + 0.1 * (weights - weights.detach()) * (1 - kept)
        loss = info_nce(asked @ weights.T / settings.temperature, batch)
        if settings.dense_weight:
            queries = network.pooled(*bags(batch.queries, settings.token_drop, random))
            cosines = settings.scale * queries @ pooled.T
            loss = loss + settings.dense_weight * info_nce(cosines, batch)
        if settings.anchor:
            loss = loss + settings.anchor * self._distance(network, columns)
        return loss

    def _kept(
        self, network: Module, documents: tuple[Tensor, Tensor], columns: Tensor, idf: Tensor
    ) -> Tensor:
        """1 for each column that survives the cap of its document, ``[D, U]``."""
        import torch

        pooled, saturated = documents
        kept = torch.ones((len(pooled), len(columns)))
        # Weights of all tokens are most of a step's time; short documents are hardly ever cut.
        long = ((saturated > 0).sum(1) > self._top_k * _LONG_SHARE).nonzero().flatten()
        if len(long):
            with torch.no_grad():
                worth = network.worth(network.whole(pooled[long], saturated[long]), idf)
                least = least_worth(worth, self._top_k)
                kept[long] = (worth[:, columns] >= least).float()
        return kept

    def saturated(self, batch: Batch, network: Module) -> Tensor:
        """BM25's saturated counts of content tokens, ``[D, V]``."""
        import torch

        content = network.content.numpy()
        counts = batch.documents.counts(len(content)).multiply(content[None, :]).tocsr()
        counts.eliminate_zeros()
        return torch.from_numpy(
            bm25_weights(counts, batch.examples.statistics.average_length).toarray()
        )

    def _queries(self, network: Module, batch: Batch, idf: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens of the batch's queries, and what each query asks for: ``[U]``, ``[B, U]``."""
        import torch

        counts = batch.queries.counts(len(network.content))
        columns = np.unique(counts.indices)
        present = torch.from_numpy((counts[:, columns].toarray() > 0).astype(np.float32))
        chosen = torch.from_numpy(columns.astype(np.int64))
        weights = idf[chosen] * network.query_gain[chosen].exp() * network.content[chosen]
        return chosen, present * weights

    def _distance(self, network: Module, columns: Tensor) -> Tensor:
        gains = network.own[columns].square() + network.query_gain[columns].square()
        return gains.mean()


def info_nce(scores: Tensor, batch: Batch) -> Tensor:
    """Cross-entropy of each query's own positive among all documents (van den Oord et al., 2018).

    Args:
        scores: ``[B, documents]``; the positive of query i is document i.
        batch: Says which documents to leave out of a query's row.
    """
    import torch
    from torch.nn import functional

    masked = scores.masked_fill(torch.from_numpy(batch.also_relevant), -torch.inf)
    return functional.cross_entropy(masked, torch.arange(len(scores)))
