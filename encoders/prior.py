"""A vocabulary head with a lexical prior: its folder, its settings and its tensors.

A document's weight for the vocabulary entry t is::

    w[t] = sat_tf[t] · gain(t) + γ · log1p(relu(α · max_i cos(lin(h_i), T_t) − θ_t))

``sat_tf`` is BM25's saturated, length-normalised frequency of the document's own content pieces,
so that a model starts at BM25's quality; the second term adds words the document does not hold.
``h_i`` are the hidden states of a sentence encoder and its pooled vector, ``T_t`` the sentence
embedding of the word t. Queries need no network: each of their pieces weighs its IDF.

A folder of ours: ``config.json``, ``model.safetensors`` (the head), ``idf.json`` (query weights)
and ``backbone/`` (the sentence encoder with its ``tokenizer.json``).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from encoders.errors import EncoderError
from encoders.lexical import K1, MAX_QUERY_WEIGHT, B, CorpusStatistics
from encoders.options import POOLINGS, Pooling

MODEL_TYPE = "lexical-prior"
FORMAT_VERSION = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
QUERY_TABLE = "idf.json"
BACKBONE = "backbone"
DEFAULT_TOP_K = 150

# Name -> number of axes; `own` only on a static backbone, `gain` only on a transformer.
TENSORS: Mapping[str, int] = MappingProxyType(
    {
        "content": 1,
        "idf": 1,
        "query_gain": 1,
        "asked": 1,
        "words": 1,
        "word_vectors": 2,
        "thresholds": 1,
        "projection.weight": 2,
        "projection.bias": 1,
        "gamma": 1,
    }
)
BACKBONE_TENSOR: Mapping[str, str] = MappingProxyType({"transformer": "gain", "static": "own"})

Tensors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class PriorSettings:
    """What the head's ``config.json`` says.

    Attributes:
        backbone: What gives the hidden states; of a ``static`` one there is only the pooled vector.
        pooling: How a transformer's hidden states become one vector.
        average_length: Content pieces of a document, on average; BM25's ``avgdl``.
        max_tokens: Longest input, special tokens included.
        alpha: Steepness of the expansion.
        k1: BM25's saturation.
        b: BM25's length normalisation.
        top_k: A document keeps so many entries, those with the largest weight times query weight
            times ``asked``: what they add to a score, if a query asks for them.
        query_prompt: Put before each query; a prompt's pieces weigh like others.
        document_prompt: Put before each document.
        lowercase: Whether texts are lower-cased first.
    """

    backbone: Literal["transformer", "static"]
    average_length: float
    max_tokens: int
    pooling: Pooling = "mean"
    alpha: float = 10.0
    k1: float = K1
    b: float = B
    top_k: int | None = DEFAULT_TOP_K
    query_prompt: str = ""
    document_prompt: str = ""
    lowercase: bool = False


@dataclass(frozen=True)
class PriorHead:
    """Everything of the model but its backbone.

    Attributes:
        settings: What ``config.json`` says.
        tensors: ``content`` [V] 1 for a piece that bears content; ``idf`` [V]; ``query_gain`` [V]
            logarithm of what training made of the IDF; ``asked`` [V] how likely a query asks for
            a piece that its document holds, up to a factor; ``words`` [E] ids a document may be
            expanded to; ``word_vectors`` [E, d] unit rows; ``thresholds`` [E];
            ``projection.weight`` [d, d] and ``projection.bias`` [d]; ``gamma`` [1];
            ``gain`` [d] on a transformer or ``own`` [V] on a static backbone.
    """

    settings: PriorSettings
    tensors: Tensors

    def __post_init__(self) -> None:
        _check_shapes(self.tensors, self.settings.backbone)

    @property
    def vocabulary(self) -> int:
        """Entries of the vocabulary."""
        return len(self.tensors["content"])

    def query_weights(self) -> npt.NDArray[np.float32]:
        """Weight of each piece in a query: IDF times learned gain, 0 without content, ``[V]``."""
        learned = self.tensors["idf"] * np.exp(self.tensors["query_gain"])
        weights = np.minimum(learned, MAX_QUERY_WEIGHT) * self.tensors["content"]
        return np.asarray(weights, dtype=np.float32)

    def adapted(self, statistics: CorpusStatistics) -> "PriorHead":
        """The same head for another corpus: its IDF and its average length.

        Raises:
            EncoderError: The statistics were counted with another vocabulary.
        """
        if len(statistics.document_frequencies) != self.vocabulary:
            msg = (
                f"The statistics count {len(statistics.document_frequencies)} pieces, the model "
                f"has {self.vocabulary}. Count them with the model's own tokenizer."
            )
            raise EncoderError(msg)
        length = statistics.average_length or self.settings.average_length
        return PriorHead(
            replace(self.settings, average_length=length),
            {**self.tensors, "idf": statistics.idf()},
        )


def is_prior(folder: Path) -> bool:
    """Whether a folder holds a model with a lexical prior."""
    return _read_config(folder).get("model_type") == MODEL_TYPE


def read_prior(folder: Path) -> PriorHead:
    """Read the head of a model folder.

    Raises:
        EncoderError: A file is missing, broken or of another version.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    settings = read_prior_settings(folder)
    try:
        tensors = load_file(str(folder / WEIGHTS))
        # Folders written before there was such a tensor: all pieces alike.
        tensors.setdefault("asked", np.ones_like(tensors["content"]))
        return PriorHead(settings, tensors)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        msg = f"{folder / WEIGHTS} cannot be read: {error}. Train or build the model again."
        raise EncoderError(msg) from error


def read_prior_settings(folder: Path) -> PriorSettings:
    """Read the settings alone.

    Raises:
        EncoderError: ``config.json`` is broken or of another version.
    """
    config = _read_config(folder)
    try:
        if config["version"] != FORMAT_VERSION:
            msg = f"version {config['version']} instead of {FORMAT_VERSION}"
            raise ValueError(msg)
        settings = PriorSettings(**config["settings"])
        if settings.pooling not in POOLINGS or settings.backbone not in BACKBONE_TENSOR:
            msg = f"backbone {settings.backbone!r}, pooling {settings.pooling!r}"
            raise ValueError(msg)
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{folder / CONFIG} does not describe a model with a lexical prior: {error!r}"
        raise EncoderError(msg) from error
    return settings


def write_prior(folder: Path, head: PriorHead, tokens: list[str]) -> None:
    """Write the head into a folder whose ``backbone/`` is or will be there.

    Args:
        folder: The model's folder; made if need be.
        head: Settings and tensors.
        tokens: Name of each vocabulary entry, for the readable table of query weights.
    """
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: np.ascontiguousarray(value) for name, value in head.tensors.items()}
    save_file(tensors, str(folder / WEIGHTS))
    (folder / WEIGHTS).chmod(0o644)  # written for its owner only
    config = {
        "model_type": MODEL_TYPE,
        "version": FORMAT_VERSION,
        "vocab_size": head.vocabulary,
        # Large files are fingerprinted by samples; this makes the fingerprint see every change.
        "digest": _digest(tensors),
        "settings": asdict(head.settings),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    weights = head.query_weights()
    table = {tokens[number]: float(weights[number]) for number in np.flatnonzero(weights)}
    path = folder / QUERY_TABLE
    path.write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path} is not valid JSON: {error}"
        raise EncoderError(msg) from error
    return config if isinstance(config, dict) else {}


def _check_shapes(tensors: Tensors, backbone: str) -> None:
    needed = {**TENSORS, BACKBONE_TENSOR[backbone]: 1}
    wrong = [n for n, axes in needed.items() if n not in tensors or tensors[n].ndim != axes]
    if wrong:
        msg = f"tensors missing or of another shape: {', '.join(wrong)}"
        raise ValueError(msg)
    vocabulary, words = len(tensors["content"]), len(tensors["words"])
    width = tensors["word_vectors"].shape[1]
    expected: dict[str, tuple[int, ...]] = {
        "idf": (vocabulary,),
        "query_gain": (vocabulary,),
        "asked": (vocabulary,),
        "word_vectors": (words, width),
        "thresholds": (words,),
        "projection.weight": (width, width),
        "projection.bias": (width,),
        "gamma": (1,),
        "gain": (width,),
        "own": (vocabulary,),
    }
    for name in needed.keys() & expected.keys():
        if tensors[name].shape != expected[name]:
            msg = f"{name} is {tensors[name].shape}, not {expected[name]}"
            raise ValueError(msg)


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()[:32]
