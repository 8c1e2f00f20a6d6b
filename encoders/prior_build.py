"""Builds an untrained sparse encoder from a sentence encoder and a corpus.

It ranks like BM25 over word pieces, with a mild expansion on top, before anything is learned.
"""

import logging
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from encoders.base import FloatMatrix
from encoders.batching import BatchPlan, plan_batches
from encoders.coverage import script_of
from encoders.errors import EncoderError
from encoders.lexical import CorpusStatistics, PieceVocabulary, gather_statistics
from encoders.model import Model
from encoders.prior import BACKBONE, DEFAULT_TOP_K, PriorHead, PriorSettings, write_prior
from encoders.stopwords import ENGLISH_STOP_WORDS

logger = logging.getLogger(__name__)

MIN_LETTERS = 3
# A Han character or a Hangul syllable says as much as two or three letters.
MIN_SYLLABLES = 2
_SYLLABLE_SCRIPTS = ("HANGUL", "CJK", "HIRAGANA", "KATAKANA")
_PLAN = BatchPlan(max_tokens=4096, max_rows=512)
_BOUNDARY_MARKS = ("▁", "Ġ")


@dataclass(frozen=True, slots=True)
class PriorOptions:
    """How an untrained head is made.

    Attributes:
        expansion_rank: The threshold of expansion is set where a document's word of this rank is.
        samples: Documents that decide it.
        gamma: Weight of the expansion at the start.
        alpha: Steepness of the expansion.
        max_tokens: Longest input; ``None`` is the sentence encoder's own limit.
        top_k: Entries a document keeps.
        words: Ids a document may be expanded to; ``None`` takes the vocabulary's whole words.
        corpus_words: Take only words that the corpus holds: faster, but a query's word that no
            document holds then finds nothing.
    """

    expansion_rank: int = 70
    samples: int = 200
    gamma: float = 0.3
    alpha: float = 10.0
    max_tokens: int | None = None
    top_k: int | None = DEFAULT_TOP_K
    words: tuple[int, ...] | None = None
    corpus_words: bool = False


@dataclass(frozen=True)
class PriorParts:
    """What a head is made from, as :func:`build_prior` gathers it.

    Attributes:
        model: The sentence encoder.
        backbone: Its network: a transformer, or an embedding of the vocabulary.
        statistics: Of the corpus, counted with the encoder's tokenizer.
        samples: Some of its documents.
    """

    model: Model
    backbone: Any
    statistics: CorpusStatistics
    samples: Sequence[str]


def prior_statistics(model: Model, texts: Iterable[str], max_tokens: int) -> CorpusStatistics:
    """Statistics of what the model will read of a corpus, one pass in constant memory.

    Args:
        model: The sentence encoder, whose tokenizer counts.
        texts: The corpus.
        max_tokens: Longest input; pieces beyond it count for nothing.
    """
    return gather_statistics(texts, piece_vocabulary(model, max_tokens))


def piece_vocabulary(model: Model, max_tokens: int) -> PieceVocabulary:
    """The model's tokenizer without special tokens, cut where the model cuts."""
    tokenizer = replace(model.tokenizer, special_tokens=False, max_tokens=max(1, max_tokens - 2))
    return PieceVocabulary(model.name, tokenizer)


def build_prior(
    model: Model, texts: Iterable[str], target: Path, options: PriorOptions | None = None
) -> PriorHead:
    """Write an untrained model folder.

    Args:
        model: A dense model read from its source files (:func:`encoders.registry.read_model`).
        texts: The corpus, as it will be encoded.
        target: The new model's folder.
        options: How the head is made.

    Raises:
        EncoderError: The model has no source files, or the corpus is empty.
    """
    chosen = options or PriorOptions()
    settings = _settings(model, chosen)
    kept = _Kept(texts, chosen.samples)
    statistics = prior_statistics(model, kept, settings.max_tokens)
    if not statistics.documents:
        msg = "The corpus is empty: a lexical prior needs its statistics"
        raise EncoderError(msg)
    _copy_backbone(model, target)
    from encoders.export.prior_graph import load_backbone

    backbone = load_backbone(target / BACKBONE, settings).eval()
    parts = PriorParts(model, backbone, statistics, kept.samples)
    head = untrained_head(
        parts, replace(settings, average_length=statistics.average_length), chosen
    )
    write_prior(target, head, vocabulary_tokens(model, head.vocabulary))
    return head


def untrained_head(parts: PriorParts, settings: PriorSettings, options: PriorOptions) -> PriorHead:
    """The head's first tensors: BM25, and words near the document by the encoder itself."""
    vocabulary = piece_vocabulary(parts.model, settings.max_tokens)
    words = options.words or tuple(expandable_words(vocabulary))
    if options.corpus_words:
        seen = parts.statistics.document_frequencies
        words = tuple(number for number in words if seen[number])
    if not words:
        msg = f"The vocabulary of {parts.model.name} holds no whole word to expand to"
        raise EncoderError(msg)
    ids = np.asarray(words, dtype=np.int64)
    names = [vocabulary.coverage.piece_texts[number].strip() for number in words]
    vectors = pooled_vectors(parts, names, settings)
    vectors -= vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-9)
    size, width = len(vocabulary.content), vectors.shape[1]
    tensors: dict[str, npt.NDArray[Any]] = {
        "content": vocabulary.content.astype(np.float32),
        "idf": parts.statistics.idf(),
        "query_gain": np.zeros(size, np.float32),
        "asked": np.ones(size, np.float32),
        "words": ids,
        "word_vectors": vectors,
        "thresholds": np.zeros(len(ids), np.float32),
        "projection.weight": np.eye(width, dtype=np.float32),
        "projection.bias": np.zeros(width, np.float32),
        "gamma": np.full(1, options.gamma, np.float32),
    }
    if settings.backbone == "static":
        tensors["own"] = np.zeros(size, np.float32)
    else:
        tensors["gain"] = np.zeros(width, np.float32)
    tensors["thresholds"] += _first_threshold(parts, PriorHead(settings, tensors), options)
    return PriorHead(settings, tensors)


def expandable_words(vocabulary: PieceVocabulary) -> Iterator[int]:
    """Ids of whole alphabetic words of three letters or more (two syllables in Korean)."""
    tokenizer = vocabulary.tokenizer
    size = len(vocabulary.content)
    names = tokenizer.tokens(range(size))
    marks = _word_marks(names)
    for number, text in sorted(vocabulary.coverage.piece_texts.items()):
        word = text.strip()
        whole = names[number].startswith(marks) if marks else not names[number].startswith("##")
        if whole and vocabulary.content[number] and _is_word(word):
            yield number


def pooled_vectors(parts: PriorParts, texts: Sequence[str], settings: PriorSettings) -> FloatMatrix:
    """Unit pooled vectors of texts by the backbone, ``[len(texts), d]`` float32."""
    import torch
    from torch.nn.functional import normalize

    found: dict[int, Any] = {}
    with torch.inference_mode():
        for positions, ids, mask in _batches(parts.model, texts, settings):
            rows = normalize(_pool(parts.backbone, ids, mask, settings), dim=-1).numpy()
            found.update(zip(positions.tolist(), rows, strict=True))
    return np.stack([found[place] for place in range(len(texts))]).astype(np.float32)


def vocabulary_tokens(model: Model, size: int) -> list[str]:
    """Name of each vocabulary entry."""
    return model.tokenizer.tokens(range(size))


def _settings(model: Model, options: PriorOptions) -> PriorSettings:
    if model.files is None:
        msg = f"{model.name} is an export; build from the model it was exported from"
        raise EncoderError(msg)
    graph, text = model.settings.graph, model.settings.text
    kind: Literal["transformer", "static"] = (
        "static" if graph.network == "static" else "transformer"
    )
    return PriorSettings(
        backbone=kind,
        average_length=1.0,
        max_tokens=options.max_tokens or text.max_tokens,
        pooling=graph.pooling,
        alpha=options.alpha,
        top_k=options.top_k,
        document_prompt=text.document_prompt,
        lowercase=text.lowercase,
    )


def _copy_backbone(model: Model, target: Path) -> None:
    """The network's own files; what only Sentence Transformers needs stays behind."""
    source = model.folder / (model.files.transformer if model.files else "")
    backbone = target / BACKBONE
    backbone.mkdir(parents=True, exist_ok=True)
    wanted = ("*.json", "*.txt", "*.model", "*.safetensors", "*.py")
    for path in {path for pattern in wanted for path in source.glob(pattern)}:
        shutil.copy2(path, backbone / path.name)
    (backbone / "tokenizer.json").write_text(model.serialized_tokenizer, encoding="utf-8")


def _first_threshold(parts: PriorParts, head: PriorHead, options: PriorOptions) -> float:
    """Where the word of the wanted rank is, in the median of the sampled documents."""
    import torch

    from encoders.export.prior_graph import prior_graph

    graph = prior_graph(parts.backbone, head).eval()
    rank = min(options.expansion_rank, len(head.tensors["words"]))
    found: list[float] = []
    with torch.inference_mode():
        for _, ids, mask in _batches(parts.model, parts.samples, head.settings):
            _, matches = graph.parts(ids, mask)
            found += (options.alpha * matches.topk(rank, dim=1).values[:, -1]).tolist()
    return float(np.median(found)) if found else 0.0


def _batches(
    model: Model, texts: Sequence[str], settings: PriorSettings
) -> Iterator[tuple[npt.NDArray[np.intp], Any, Any]]:
    import torch

    tokenizer = replace(model.tokenizer, max_tokens=settings.max_tokens)
    if settings.backbone == "static":
        tokenizer = replace(tokenizer, special_tokens=False)
    rows = tokenizer.token_ids(list(texts))
    for positions in plan_batches([len(row) for row in rows], _PLAN):
        batch = tokenizer.pad([rows[place] for place in positions])
        yield positions, torch.from_numpy(batch.ids), torch.from_numpy(batch.mask)


def _pool(backbone: Any, ids: Any, mask: Any, settings: PriorSettings) -> Any:
    from encoders.export.graphs import POOLERS

    if settings.backbone == "static":
        return (backbone(ids) * mask.unsqueeze(-1).float()).sum(1)
    hidden = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    return POOLERS[settings.pooling](hidden, mask)


def _word_marks(names: Sequence[str]) -> tuple[str, ...]:
    """The marks that begin a word in this vocabulary, if it has such marks."""
    return tuple(
        mark for mark in _BOUNDARY_MARKS if sum(n.startswith(mark) for n in names) > len(names) / 10
    )


def _is_word(word: str) -> bool:
    if not word.isalpha() or word.lower() in ENGLISH_STOP_WORDS:
        return False
    syllables = script_of(word[0]) in _SYLLABLE_SCRIPTS
    return len(word) >= (MIN_SYLLABLES if syllables else MIN_LETTERS)


class _Kept:
    """Passes texts through and keeps an even sample of them, whatever their number."""

    def __init__(self, texts: Iterable[str], size: int) -> None:
        self._texts = texts
        self._size = size
        self._random = np.random.default_rng(0)
        self.samples: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for number, text in enumerate(self._texts):
            if len(self.samples) < self._size:
                self.samples.append(text)
            elif (place := int(self._random.integers(number + 1))) < self._size:
                self.samples[place] = text
            yield text
