"""Training sets as token ids: documents, queries, positives and hard negatives."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.lexical import CorpusStatistics, PieceVocabulary
from training.errors import TrainingError
from training.exact_search import top
from training.static.sources import TrainSource
from training.static.token_rows import TokenRows, tokenized
from training.static.weighting import bm25_weights, inverse_frequencies, statistics_of

_QUERY_BLOCK = 256


@dataclass(frozen=True)
class Examples:
    """One training set.

    Attributes:
        name: What it is called.
        documents: Its documents.
        queries: Its queries.
        positives: Rows of the relevant documents of each query.
        negatives: Rows of documents near each query that are not relevant.
        weight: Share of the batches, before all shares are made to sum to 1.
        statistics: How frequent tokens are in its documents.
    """

    name: str
    documents: TokenRows
    queries: TokenRows
    positives: tuple[tuple[int, ...], ...]
    negatives: tuple[tuple[int, ...], ...]
    weight: float
    statistics: CorpusStatistics


@dataclass
class _Pool:
    """Distinct texts and their rows; only digests and ids are held."""

    rows: dict[bytes, int] = field(default_factory=dict)

    def new(self, texts: Iterable[str]) -> Iterator[str]:
        for text in texts:
            digest = _digest(text)
            if digest not in self.rows:
                self.rows[digest] = len(self.rows)
                yield text

    def row(self, text: str) -> int:
        return self.rows[_digest(text)]


def read_examples(
    source: TrainSource, vocabulary: PieceVocabulary, max_tokens: int, hard_negatives: int
) -> Examples:
    """Read a training set and find hard negatives by BM25 where its records have none.

    Raises:
        TrainingDataError: A fault in the records.
        TrainingError: There is no record.
    """
    tokenizer = vocabulary.tokenizer.whole
    pool = _Pool()
    judged = (text for record in source.records() for text in (*record.pos, *record.neg))
    texts = (text for part in (source.documents(), judged) for text in part)
    documents = TokenRows.of(tokenized(tokenizer, pool.new(texts), max_tokens))
    links = [
        (tuple(map(pool.row, record.pos)), tuple(map(pool.row, record.neg)))
        for record in source.records()
    ]
    if not links:
        msg = f"{source.settings.path} holds no records to train on"
        raise TrainingError(msg)
    query_texts = (record.query for record in source.records())
    queries = TokenRows.of(tokenized(tokenizer, query_texts, max_tokens))
    positives = tuple(positive for positive, _ in links)
    given = [negative for _, negative in links]
    negatives = given
    if not all(given):
        found = _near(queries, documents, tokenizer.get_vocab_size(), hard_negatives)
        negatives = [
            own or tuple(row for row in near if row not in positive)
            for own, near, positive in zip(given, found, positives, strict=True)
        ]
    weight = source.settings.weight or float(len(links))
    return Examples(
        source.name,
        documents,
        queries,
        positives,
        tuple(negatives),
        weight,
        statistics_of(documents, vocabulary.content),
    )


def _near(
    queries: TokenRows, documents: TokenRows, vocabulary: int, count: int
) -> Iterator[Sequence[int]]:
    """Rows of the best documents of each query by BM25 over the tokens."""
    counts = documents.counts(vocabulary)
    transposed = bm25_weights(counts).T.tocsr()
    asked = queries.counts(vocabulary).multiply(inverse_frequencies(counts)[None, :]).tocsr()
    for start in range(0, len(queries), _QUERY_BLOCK):
        scores: npt.NDArray[Any] = (asked[start : start + _QUERY_BLOCK] @ transposed).toarray()
        for row, columns in zip(scores, top(scores, count), strict=True):
            yield [int(column) for column in columns if row[column] > 0]


def draw_set(sets: Sequence[Examples], random: np.random.Generator) -> Examples:
    """One of the sets, by weight."""
    weights = np.asarray([entry.weight for entry in sets])
    return sets[int(random.choice(len(sets), p=weights / weights.sum()))]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=12).digest()
