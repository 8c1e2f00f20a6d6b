"""BM25 over token counts, and the start of token vectors from the corpus (LSA)."""

from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.base import FloatMatrix
from encoders.lexical import K1, B, CorpusStatistics
from training.static.token_rows import TokenRows

# Rows that were never seen: any direction, but short.
_TINY = 1e-3


def inverse_frequencies(counts: Any) -> npt.NDArray[np.float32]:
    """``ln(1 + (N - df + .5) / (df + .5))`` of each token, ``[V]``.

    Args:
        counts: scipy CSR ``[N, V]``.
    """
    frequencies = np.bincount(counts.indices, minlength=counts.shape[1])
    ratio = (counts.shape[0] - frequencies + 0.5) / (frequencies + 0.5)
    found: npt.NDArray[np.float32] = np.log1p(ratio).astype(np.float32)
    return found


def statistics_of(rows: TokenRows, content: npt.NDArray[Any]) -> CorpusStatistics:
    """Statistics of content tokens, as of :mod:`encoders.lexical`.

    Args:
        rows: Documents as token ids.
        content: Not 0 for each token that bears content, ``[V]``.
    """
    counts = rows.counts(len(content))
    frequencies = np.bincount(counts.indices, minlength=len(content)).astype(np.int64)
    lengths = counts @ np.asarray(content, dtype=np.float32)
    average = max(1e-9, float(lengths.mean())) if len(rows) else 1.0
    return CorpusStatistics(len(rows), average, frequencies)


def bm25_weights(counts: Any, average_length: float | None = None) -> Any:
    """Saturated, length-normalised counts (k1 1.2, b .75), in the form of the counts.

    Args:
        counts: scipy CSR ``[N, V]``.
        average_length: BM25's ``avgdl``; by default that of these texts.
    """
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    average = average_length or max(float(lengths.mean()), 1e-9)
    norm = K1 * (1 - B + B * lengths / average)
    weights = counts.astype(np.float32)
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    weights.data = weights.data * (K1 + 1) / (weights.data + norm[rows].astype(np.float32))
    return weights


def latent_vectors(counts: Any, width: int, seed: int) -> FloatMatrix:
    """A unit vector for each token by latent semantic analysis (Deerwester et al., 1990).

    Truncated SVD of the tf-idf matrix; tokens of the same documents point the same way.

    Args:
        counts: scipy CSR ``[N, V]``.
        width: Components.
        seed: Of the randomised SVD (Halko et al., 2011).

    Returns:
        ``[V, width]`` float32.
    """
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd

    weights = counts.copy()
    weights.data = (1 + np.log(weights.data)) * inverse_frequencies(counts)[weights.indices]
    components = min(width, min(weights.shape) - 1)
    _, _, directions = randomized_svd(
        normalize(weights), n_components=components, n_iter=2, random_state=seed
    )
    vectors: FloatMatrix = np.zeros((counts.shape[1], width), np.float32)
    vectors[:, :components] = directions.T
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    noise = np.random.default_rng(seed).normal(size=vectors.shape).astype(np.float32)
    unseen = lengths[:, 0] < 1e-9
    vectors /= np.maximum(lengths, 1e-9)
    vectors[unseen] = _TINY * noise[unseen]
    return vectors
