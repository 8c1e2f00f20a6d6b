"""How likely a query asks for a token of its document: what a capped document should keep."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.static.examples import Examples

# A token seen in few relevant documents has the rate of the tokens that are as rare as it.
_PRIOR_COUNT = 10.0
_BINS_PER_UNIT = 2
# Rates differ by at least this share over the whole vocabulary: where weights are equal, every
# runtime then cuts a full document at the same token.
_SPREAD = 0.01


def asking_rates(sets: Sequence[Examples], idf: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Share of the relevant documents with a token whose query holds it too, ``[V]``.

    Estimated from the training pairs; a token's own rate is drawn to that of its IDF's bin.

    Args:
        sets: Training sets.
        idf: Of each token, ``[V]``.
    """
    size = len(idf)
    held = np.zeros(size)
    both = np.zeros(size)
    for entry in sets:
        queries = entry.queries.counts(size)
        documents = entry.documents.counts(size)
        links = np.asarray([(q, row) for q, rows in enumerate(entry.positives) for row in rows])
        asked, found = queries[links[:, 0]], documents[links[:, 1]]
        asked.data[:] = found.data[:] = 1
        held += np.asarray(found.sum(axis=0)).ravel()
        both += np.asarray(found.multiply(asked).sum(axis=0)).ravel()
    bins = (np.maximum(idf, 0) * _BINS_PER_UNIT).astype(int)
    usual = (np.bincount(bins, both) + 1) / (np.bincount(bins, held) + _PRIOR_COUNT)
    rates = (both + _PRIOR_COUNT * usual[bins]) / (held + _PRIOR_COUNT)
    distinct: npt.NDArray[np.float32] = rates * np.linspace(1 + _SPREAD, 1, size)
    return distinct.astype(np.float32)
