"""Untrained networks from what was prepared."""

from typing import Any, TypeAlias

import numpy as np

from training.static.asking import asking_rates
from training.static.config import SparseLeg
from training.static.networks import SparseStart, bags, dense_network, sparse_network
from training.static.preparation import Prepared
from training.static.token_rows import TokenRows

Module: TypeAlias = Any

ALPHA = 10.0
_SAMPLES = 300


def start_dense(prepared: Prepared) -> Module:
    """The mean of LSA vectors, weighted by IDF."""
    return dense_network(prepared.vectors, prepared.log_weights)


def start_sparse(prepared: Prepared, leg: SparseLeg, seed: int) -> Module:
    """BM25 over the tokens, and expansion to the tokens nearest the document's vector."""
    start = SparseStart(
        content=prepared.content,
        asked=asking_rates(prepared.sets, prepared.idf),
        threshold=_threshold(prepared, leg.expansion_rank, seed),
        gamma=leg.gamma,
        alpha=ALPHA,
    )
    return sparse_network(prepared.vectors, prepared.log_weights, start)


def _threshold(prepared: Prepared, rank: int, seed: int) -> float:
    """Where the word of this rank of a document is, on average over some documents."""
    import torch

    random = np.random.default_rng(seed)
    rows = []
    for entry in prepared.sets:
        count = min(len(entry.documents), max(1, _SAMPLES // len(prepared.sets)))
        chosen = random.choice(len(entry.documents), size=count, replace=False)
        rows += [entry.documents.row(int(number)).tolist() for number in chosen]
    with torch.no_grad():
        pooled = start_dense(prepared).pooled(*bags(TokenRows.of(rows), 0.0, random)).numpy()
    lengths = np.linalg.norm(prepared.vectors, axis=1, keepdims=True)
    words = prepared.vectors / np.maximum(lengths, 1e-9) * prepared.content[:, None]
    matches = np.partition(pooled @ words.T, -min(rank, len(words)), axis=1)
    return float(ALPHA * matches[:, -min(rank, len(words))].mean())
