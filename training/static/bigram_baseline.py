"""What a model has to beat: BM25 over what OpenSearch's ``cjk`` analyzer makes of a text."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from training.dev_sets import DevSet
from training.evaluation.metrics import Evaluated
from training.evaluation.runs import Run
from training.exact_search import top
from training.static.tokenizer import OVERLAPPING
from training.static.weighting import bm25_weights, inverse_frequencies

_WORDS = re.compile(f"[{OVERLAPPING}]+|[^\\W{OVERLAPPING}]+")
_BLOCK = 256
_DEPTH = 100


def bigrams(text: str) -> Iterator[str]:
    """Overlapping pairs of Hangul, Han and Kana; other words whole."""
    for word in _WORDS.findall(unicodedata.normalize("NFKC", text).lower()):
        if len(word) == 1 or not _WORDS.fullmatch(word[0]) or not _is_overlapping(word[0]):
            yield word
        else:
            yield from (word[i : i + 2] for i in range(len(word) - 1))


def bigram_bm25(dev_set: DevSet) -> Evaluated:
    """All metrics of BM25 (k1 1.2, b .75) over these terms."""
    return dev_set.evaluate(bigram_run(dev_set))


def bigram_run(dev_set: DevSet) -> Run:
    """What BM25 (k1 1.2, b .75) over these terms returns."""
    vocabulary: dict[str, int] = {}
    documents = _counts(dev_set.documents(), vocabulary, grow=True)
    queries = _counts(dev_set.query_texts, vocabulary, grow=False)
    weights = bm25_weights(documents).T.tocsr()
    asked = queries.multiply(inverse_frequencies(documents)[None, :]).tocsr()
    run: Run = {}
    for start in range(0, len(dev_set.query_ids), _BLOCK):
        scores = (asked[start : start + _BLOCK] @ weights).toarray()
        ids = dev_set.query_ids[start : start + _BLOCK]
        for query_id, row, columns in zip(ids, scores, top(scores, _DEPTH), strict=True):
            run[query_id] = {dev_set.doc_ids[c]: float(row[c]) for c in columns if row[c] > 0}
    return run


def _counts(texts: Iterable[str], vocabulary: dict[str, int], *, grow: bool) -> Any:
    from scipy.sparse import csr_matrix

    ids: list[int] = []
    values: list[int] = []
    bounds = [0]
    for text in texts:
        for term, count in Counter(bigrams(text)).items():
            number = vocabulary.setdefault(term, len(vocabulary)) if grow else vocabulary.get(term)
            if number is not None:
                ids.append(number)
                values.append(count)
        bounds.append(len(ids))
    shape = (len(bounds) - 1, len(vocabulary))
    return csr_matrix((np.asarray(values, np.float32), ids, bounds), shape=shape)


def _is_overlapping(character: str) -> bool:
    return re.match(f"[{OVERLAPPING}]", character) is not None
