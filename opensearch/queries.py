"""Query clauses of every leg: pure functions from texts, vectors and weights to JSON."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from encoders.base import FloatMatrix
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD

Clause = dict[str, Any]

# OpenSearch takes 1024 clauses in one query, all legs and filters counted: words, codes (64, in two
# fields) and tokens leave 84 for filters.
MAX_WORDS = 300
MAX_TOKENS = 512
# neural_sparse takes weights in (0, 64].
MAX_TOKEN_WEIGHT = 64.0
# An exact value counts like one more rare term, a little more than a word would.
EXACT_BOOST = 2.0
# A passage with the value in its title is about it; others mention it.
EXACT_TITLE_BOOST = 4.0
MAX_QUERY_CHARACTERS = 8_000
# What an analyzer may make a term of: an ideograph, syllable or symbol, or a run of other letters.
_IDEOGRAPH = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uff66-\uff9d\U00020000-\U0003ffff"
_TERM = re.compile(rf"[{_IDEOGRAPH}]|[^\W{_IDEOGRAPH}]+|[^\w\s!-~]")


def bm25_query(text: str, fields: Sequence[str], exact: Sequence[str] = ()) -> Clause:
    """BM25 over the given fields as if they were one, plus exact codes and amounts.

    Args:
        text: The query.
        fields: Fields with one analyzer, e.g. ``["title", "text"]``; several need OpenSearch 3.2.
        exact: Values that must match a keyword as written.
    """
    words = _words_query(first_words(text), fields)
    if not exact:
        return words
    boosts = (("exact", EXACT_BOOST), ("exact_title", EXACT_TITLE_BOOST))
    values = [
        {"term": {field: {"value": value, "boost": boost}}}
        for value in exact
        for field, boost in boosts
    ]
    return {"bool": {"should": [words, *values]}}


def _words_query(text: str, fields: Sequence[str]) -> Clause:
    if len(fields) == 1:
        return {"match": {fields[0]: {"query": text}}}
    return {"combined_fields": {"query": text, "fields": [*fields]}}


def first_words(text: str) -> str:
    """The beginning of a text, as long as OpenSearch takes it as a query."""
    text = text[:MAX_QUERY_CHARACTERS]
    end = 0
    for term in islice(_TERM.finditer(text), MAX_WORDS):
        end = term.end()
    return text[:end] or text


def knn_query(
    vector: FloatMatrix, k: int, filters: Sequence[Clause] = (), ef_search: int | None = None
) -> Clause:
    """Nearest neighbours of one ``[dimension]`` vector; the filter is applied while searching."""
    body: Clause = {"vector": np.asarray(vector, dtype=np.float32).tolist(), "k": k}
    if filters:
        body["filter"] = {"bool": {"filter": [*filters]}}
    if ef_search is not None:
        body["method_parameters"] = {"ef_search": ef_search}
    return {"knn": {DENSE_FIELD: body}}


def sparse_query(weights: Mapping[str, float]) -> Clause:
    """Dot product of token weights over ``rank_features``."""
    return {"neural_sparse": {SPARSE_FIELD: {"query_tokens": clip_tokens(weights)}}}


def seismic_query(weights: Mapping[int, float], k: int, filters: Sequence[Clause] = ()) -> Clause:
    """The same over a SEISMIC field, whose tokens are vocabulary ids."""
    tokens = clip_tokens({str(token): weight for token, weight in weights.items()})
    parameters: Clause = {"k": k, "top_n": 16, "heap_factor": 1.0}
    if filters:
        parameters["filter"] = {"bool": {"filter": [*filters]}}
    body = {"query_tokens": tokens, "method_parameters": parameters}
    return {"neural_sparse": {TOKENS_FIELD: body}}


def clip_tokens(weights: Mapping[str, float]) -> dict[str, float]:
    """Keep what OpenSearch accepts: positive weights up to 64, the heaviest of them."""
    positive = {token: min(w, MAX_TOKEN_WEIGHT) for token, w in weights.items() if w > 0}
    heaviest = sorted(positive.items(), key=lambda item: -item[1])[:MAX_TOKENS]
    return dict(heaviest)


def filtered(clause: Clause, filters: Sequence[Clause]) -> Clause:
    """A clause restricted by filters that do not score; k-NN takes them inside instead."""
    if not filters or "knn" in clause:
        return clause
    return {"bool": {"must": [clause], "filter": [*filters]}}


def hybrid_query(clauses: Sequence[Clause], depth: int) -> Clause:
    """Several legs, fused by a search pipeline.

    Filters must already be inside the clauses: around a hybrid query they would silently switch
    the normalisation off. ``depth`` candidates of each leg are normalised whatever the page size,
    so that a page of 10 ranks like the first ten of a page of 100.
    """
    return {"hybrid": {"queries": [*clauses], "pagination_depth": depth}}
