"""From texts to everything a leg's training starts from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from encoders.base import FloatMatrix
from encoders.lexical import UNLIMITED_TOKENS, CorpusStatistics, PieceVocabulary
from encoders.tokenization import TextTokenizer
from training.run_folder import write_atomically
from training.static.config import DenseLeg, SparseLeg, StaticConfig
from training.static.examples import Examples, read_examples
from training.static.sources import TrainSource, all_texts, further_documents
from training.static.token_rows import TokenRows, tokenized
from training.static.tokenizer import train_tokenizer
from training.static.weighting import latent_vectors, statistics_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# A token in every document still says a little.
_LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class Prepared:
    """What a leg starts from.

    Attributes:
        tokenizer: Made from the corpus.
        sets: Training sets as token ids.
        vectors: A unit vector for each token, from the corpus, ``[V, d]``.
        content: 1 for each token that bears content, ``[V]``.
        statistics: Of all documents.
    """

    tokenizer: "Tokenizer"
    sets: tuple[Examples, ...]
    vectors: FloatMatrix
    content: npt.NDArray[np.float32]
    statistics: CorpusStatistics

    @property
    def idf(self) -> npt.NDArray[np.float32]:
        """Inverse document frequency of each token over all documents, ``[V]``."""
        return self.statistics.idf()

    @property
    def log_weights(self) -> npt.NDArray[np.float32]:
        """Logarithm of each token's weight in the mean at the start: its IDF."""
        weights: npt.NDArray[np.float32] = np.log(np.maximum(self.idf, _LEAST_WEIGHT))
        return weights


def prepare(
    config: StaticConfig, leg: DenseLeg | SparseLeg, sources: Sequence[TrainSource], kept: Path
) -> Prepared:
    """Train the tokenizer, read the data as token ids, and start the vectors.

    Args:
        config: The run.
        leg: Which model.
        sources: Its training sets.
        kept: File of the tokenizer: made once, and read again when a run is resumed.

    Raises:
        TrainingError: The data is missing or faulty.
    """
    tokenizer = _tokenizer(config, leg, sources, kept)
    vocabulary = _vocabulary(tokenizer)
    training = config.training
    sets = tuple(
        read_examples(source, vocabulary, config.model.max_tokens, training.hard_negatives)
        for source in sources
    )
    size = tokenizer.get_vocab_size()
    further = TokenRows.of(
        tokenized(tokenizer, further_documents(config.data), config.model.max_tokens)
    )
    joined = _joined_counts(sets, further, size)
    content = vocabulary.content.astype(np.float32)
    everything = [*(entry.documents for entry in sets), further]
    return Prepared(
        tokenizer=tokenizer,
        sets=sets,
        vectors=latent_vectors(joined, config.model.width, training.seed),
        content=content,
        statistics=statistics_of(TokenRows.joined(everything), content),
    )


def _tokenizer(
    config: StaticConfig, leg: DenseLeg | SparseLeg, sources: Sequence[TrainSource], kept: Path
) -> "Tokenizer":
    from tokenizers import Tokenizer

    if not kept.is_file():
        made = train_tokenizer(
            lambda: all_texts(config.data, sources), leg.tokenizer, leg.vocabulary
        )
        write_atomically(kept, made.to_str())
    return Tokenizer.from_str(kept.read_text(encoding="utf-8"))


def _joined_counts(sets: Sequence[Examples], further: TokenRows, size: int) -> Any:
    """Counts of documents, each query appended to its positives: scipy CSR ``[N, V]``.

    Queries beside their documents are the only link between words that mean the same, or between
    two languages.
    """
    from scipy.sparse import csr_matrix, vstack

    joined = []
    for entry in sets:
        links = [(row, q) for q, rows in enumerate(entry.positives) for row in rows]
        rows, queries = np.asarray(links).T
        shape = (len(entry.documents), len(entry.queries))
        link = csr_matrix((np.ones(len(links), np.float32), (rows, queries)), shape=shape)
        joined.append(entry.documents.counts(size) + link @ entry.queries.counts(size))
    if len(further):
        joined.append(further.counts(size))
    return vstack(joined).tocsr()


def _vocabulary(tokenizer: "Tokenizer") -> PieceVocabulary:
    text = TextTokenizer(tokenizer.to_str(), UNLIMITED_TOKENS, special_tokens=False)
    return PieceVocabulary("static", text)
