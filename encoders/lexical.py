"""The lexical encoder: a sparse encoder without a trained model, the floor to beat.

Documents carry BM25's saturated term frequency, queries carry IDF; their dot product is BM25 over
the word pieces of a tokenizer (Robertson and Zaragoza, "The Probabilistic Relevance Framework",
2009; IDF in the always positive form of Lucene).
"""

import base64
import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from encoders.base import EncoderIdentity, SparseVector
from encoders.batching import batched
from encoders.coverage import VocabularyCoverage
from encoders.errors import EncoderError
from encoders.options import LoadOptions
from encoders.presets import DEFAULT_DENSE
from encoders.pruning import NO_PRUNING, Pruning, prune
from encoders.source import find_source
from encoders.stopwords import ENGLISH_STOP_WORDS
from encoders.tokenization import TextTokenizer, read_tokenizer

NAME = "lexical"
K1 = 1.2
B = 0.75
MAX_QUERY_WEIGHT = 64.0  # the largest query weight OpenSearch's rank_features scores
UNLIMITED_TOKENS = 1_000_000
FIT_BATCH = 1000
STATE_VERSION = 1


@dataclass(frozen=True)
class CorpusStatistics:
    """What the lexical encoder knows about a corpus.

    Attributes:
        documents: Number of documents.
        average_length: Content pieces per document.
        document_frequencies: Documents that hold each piece, ``[vocabulary]`` int64.
    """

    documents: int
    average_length: float
    document_frequencies: npt.NDArray[np.int64]

    def idf(self) -> npt.NDArray[np.float32]:
        """``ln(1 + (N - df + .5) / (df + .5))`` of each piece, ``[vocabulary]``."""
        seen = self.document_frequencies
        return np.log1p((self.documents - seen + 0.5) / (seen + 0.5)).astype(np.float32)


@dataclass(frozen=True)
class PieceVocabulary:
    """A tokenizer, and which of its pieces mean something.

    Attributes:
        name: Model whose tokenizer it is.
        tokenizer: The tokenizer, without special tokens.
    """

    name: str
    tokenizer: TextTokenizer

    @classmethod
    def load(cls, name: str = DEFAULT_DENSE) -> "PieceVocabulary":
        """The tokenizer of a preset, a folder or a hub id."""
        serialized = read_tokenizer(find_source(name, LoadOptions()).folder)
        tokenizer = TextTokenizer(serialized, UNLIMITED_TOKENS, special_tokens=False)
        return cls(name, tokenizer)

    @cached_property
    def digest(self) -> str:
        """Digest over the tokenizer."""
        return hashlib.sha256(self.tokenizer.serialized.encode()).hexdigest()

    @cached_property
    def coverage(self) -> VocabularyCoverage:
        """Which languages the vocabulary was made for."""
        return VocabularyCoverage(self.tokenizer)

    @cached_property
    def content(self) -> npt.NDArray[np.bool_]:
        """For each id, whether it bears content: neither special, punctuation nor stop word."""
        content = np.zeros(self.tokenizer.vocabulary_size, dtype=np.bool_)
        for number, text in self.coverage.piece_texts.items():
            content[number] = _bears_content(text.strip())
        return content

    def counts(self, texts: Sequence[str]) -> "PieceCounts":
        """Content pieces of each text, counted."""
        rows = [np.asarray(ids, dtype=np.int64) for ids in self.tokenizer.token_ids(texts)]
        rows = [row[self.content[row]] for row in rows]
        return PieceCounts.of(rows, len(self.content))


def _bears_content(text: str) -> bool:
    if text.lower() in ENGLISH_STOP_WORDS:
        return False
    # U+FFFD: a fragment of a character in a byte-level vocabulary.
    return any(char.isalnum() or char == "\ufffd" for char in text)


@dataclass(frozen=True, slots=True)
class PieceCounts:
    """Distinct pieces of several texts, one after the other.

    Attributes:
        lengths: Pieces of each text, repetitions included, ``[texts]``.
        bounds: Where each text begins in ``ids``, and the end, ``[texts + 1]``.
        ids: Distinct pieces of each text, ascending within a text.
        counts: How often each occurs in its text.
    """

    lengths: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[npt.NDArray[np.int64]], vocabulary: int) -> "PieceCounts":
        """Count all rows by one sort over (row, piece) pairs."""
        lengths = np.asarray([len(row) for row in rows], dtype=np.int64)
        flat = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64)
        pairs = np.repeat(np.arange(len(rows)), lengths) * vocabulary + flat
        distinct, counts = np.unique(pairs, return_counts=True)
        bounds = np.searchsorted(distinct, np.arange(len(rows) + 1) * vocabulary)
        return cls(lengths, bounds.astype(np.int64), distinct % vocabulary, counts)

    def split(self, weights: npt.NDArray[np.float32], pruning: Pruning) -> list[SparseVector]:
        """One sparse vector per text, from a weight for each entry of ``ids``."""
        ids = self.ids.astype(np.int32)
        return [
            prune(ids[start:end], weights[start:end], pruning)
            for start, end in pairwise(self.bounds.tolist())
        ]


@dataclass(frozen=True)
class LexicalEncoder:
    """Word pieces weighted by BM25's saturation (documents) and IDF (queries).

    Attributes:
        vocabulary: Tokenizer and its content pieces.
        statistics: What is known about the corpus.
        pruning: What is left out of a document's vector.
    """

    vocabulary: PieceVocabulary
    statistics: CorpusStatistics
    pruning: Pruning = NO_PRUNING

    @classmethod
    def fit(
        cls, texts: Iterable[str], tokenizer: str = DEFAULT_DENSE, *, pruning: Pruning = NO_PRUNING
    ) -> "LexicalEncoder":
        """Gather the statistics of a corpus in one pass and constant memory.

        Args:
            texts: The corpus, as it will be encoded.
            tokenizer: Preset, folder or hub id whose tokenizer cuts words into pieces.
            pruning: What to leave out of a document's vector.
        """
        vocabulary = PieceVocabulary.load(tokenizer)
        return cls(vocabulary, gather_statistics(texts, vocabulary), pruning)

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], *, pruning: Pruning = NO_PRUNING
    ) -> "LexicalEncoder":
        """The encoder that :meth:`state` was taken from.

        Args:
            state: What ``state`` gave.
            pruning: What to leave out of a document's vector; by default what the state says.

        Raises:
            EncoderError: The state is not one, or its tokenizer has changed since.
        """
        try:
            vocabulary = PieceVocabulary.load(state["tokenizer"])
            statistics = _statistics_of(state)
            stored = Pruning(**state.get("pruning", {}))
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            msg = f"These are no statistics of the lexical encoder: {error!r}. Fit it again."
            raise EncoderError(msg) from error
        if vocabulary.digest != state.get("tokenizer_digest"):
            msg = (
                f"The tokenizer of {vocabulary.name} is not the one the lexical encoder was fitted "
                "with. Fit it again, and index the corpus again."
            )
            raise EncoderError(msg)
        return cls(vocabulary, statistics, stored if pruning == NO_PRUNING else pruning)

    def state(self) -> dict[str, Any]:
        """Everything needed to load the encoder again, JSON-ready (tens of kilobytes)."""
        frequencies = self.statistics.document_frequencies.astype("<i8").tobytes()
        return {
            "encoder": NAME,
            "version": STATE_VERSION,
            "tokenizer": self.vocabulary.name,
            "tokenizer_digest": self.vocabulary.digest,
            "documents": self.statistics.documents,
            "average_length": self.statistics.average_length,
            "document_frequencies": base64.b64encode(zlib.compress(frequencies, 9)).decode(),
            # Only where there is any, so that older states stay what they were.
            **({"pruning": self.pruning.as_dict()} if self.pruning != NO_PRUNING else {}),
        }

    @cached_property
    def identity(self) -> EncoderIdentity:
        """Fingerprint over tokenizer, statistics and pruning."""
        digest = hashlib.sha256()
        for part in (
            f"{NAME} {STATE_VERSION} {K1} {B} {self.pruning.as_dict()}",
            self.vocabulary.digest,
            f"{self.statistics.documents} {self.statistics.average_length!r}",
        ):
            digest.update(part.encode())
        digest.update(self.statistics.document_frequencies.astype("<i8").tobytes())
        size = self.vocabulary.tokenizer.vocabulary_size
        return EncoderIdentity("sparse", NAME, digest.hexdigest()[:32], size)

    @property
    def max_tokens(self) -> int:
        """Practically unlimited: nothing is cut off."""
        return self.vocabulary.tokenizer.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Word pieces of each text, punctuation and stop words included."""
        return self.vocabulary.tokenizer.count(texts)

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """Whether the tokenizer's vocabulary was made for the language of each text."""
        return self.vocabulary.coverage.knows(texts)

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weight = IDF times count in the query, at most 64."""
        found = self.vocabulary.counts(texts)
        weights = np.minimum(self._idf[found.ids] * found.counts, MAX_QUERY_WEIGHT)
        return found.split(weights.astype(np.float32), NO_PRUNING)

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weight = BM25's saturated, length-normalised term frequency (k1 1.2, b .75)."""
        found = self.vocabulary.counts(texts)
        average = self.statistics.average_length or 1.0
        norms = K1 * (1 - B + B * found.lengths / average)
        norm = np.repeat(norms, np.diff(found.bounds))
        weights = found.counts * (K1 + 1) / (found.counts + norm)
        return found.split(weights.astype(np.float32), self.pruning)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Vocabulary entries of the given ids."""
        return self.vocabulary.tokenizer.tokens(ids)

    def information(self, text: str) -> float | None:
        """Sum of the IDF of a text's distinct content pieces; ``None`` in an unknown language."""
        if not self.knows([text])[0]:
            return None
        return float(self._idf[self.vocabulary.counts([text]).ids].sum())

    @property
    def highest_idf(self) -> float:
        """IDF of a piece that no document holds."""
        return float(np.log1p((self.statistics.documents + 0.5) / 0.5))

    @property
    def saturation(self) -> float:
        """The limit of a document's weights, k1 + 1."""
        return K1 + 1

    @cached_property
    def _idf(self) -> npt.NDArray[np.float32]:
        return self.statistics.idf()


def gather_statistics(texts: Iterable[str], vocabulary: PieceVocabulary) -> CorpusStatistics:
    """Count the pieces of a corpus in one pass and constant memory."""
    frequencies = np.zeros(len(vocabulary.content), dtype=np.int64)
    documents = pieces = 0
    for batch in batched(texts, FIT_BATCH):
        found = vocabulary.counts(batch)
        frequencies += np.bincount(found.ids, minlength=len(frequencies))
        documents += len(batch)
        pieces += int(found.lengths.sum())
    return CorpusStatistics(documents, pieces / documents if documents else 0.0, frequencies)


def _statistics_of(state: Mapping[str, Any]) -> CorpusStatistics:
    if state["version"] != STATE_VERSION:
        msg = f"version {state['version']} instead of {STATE_VERSION}"
        raise ValueError(msg)
    packed = zlib.decompress(base64.b64decode(state["document_frequencies"]))
    frequencies = np.frombuffer(packed, dtype="<i8").astype(np.int64)
    return CorpusStatistics(int(state["documents"]), float(state["average_length"]), frequencies)
