"""A cross-encoder as it lies on disk: settings, tokenizer, fingerprint; no weights loaded.

Read are the folders Transformers saves (a sequence classifier with one label) and those Sentence
Transformers saves (versions 2 to 6 write the activation into different files).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from encoders.errors import EncoderError
from encoders.fingerprint import combined_fingerprint, graph_fingerprint, text_digest
from encoders.layout import longest_input, read_json, read_modules, transformer_config
from encoders.options import LoadOptions
from encoders.settings import GraphSettings, ModelFiles
from encoders.source import ModelSource
from encoders.tokenization import TextTokenizer, read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ScoreActivation: TypeAlias = Literal["sigmoid", "identity"]

_ACTIVATIONS: dict[str, ScoreActivation] = {"Sigmoid": "sigmoid", "Identity": "identity"}


@dataclass(frozen=True, slots=True)
class RerankerSettings:
    """How a pair becomes a score.

    Attributes:
        max_tokens: Longest pair, special tokens included.
        padding_side: Where a batch is filled up.
        activation: What is done to the network's one logit.
        segments: Whether the network tells query and text apart by token types.
    """

    max_tokens: int
    padding_side: Literal["left", "right"] = "right"
    activation: ScoreActivation = "sigmoid"
    segments: bool = False


@dataclass(frozen=True)
class RerankerModel:
    """Everything about a cross-encoder but its weights.

    Attributes:
        name: Name under which it can be loaded again.
        folder: Where its files are.
        settings: How pairs become scores.
        serialized_tokenizer: Content of its ``tokenizer.json``.
        network_fingerprint: Of configuration and weights, whatever is done around them.
    """

    name: str
    folder: Path
    settings: RerankerSettings
    serialized_tokenizer: str = field(repr=False)
    network_fingerprint: str

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer."""
        settings = self.settings
        return TextTokenizer(self.serialized_tokenizer, settings.max_tokens, settings.padding_side)

    @property
    def truncating(self) -> "Tokenizer":
        """Cuts pairs at ``max_tokens``, from the longer of the two."""
        return self.tokenizer.truncating

    @property
    def whole(self) -> "Tokenizer":
        """Cuts nothing."""
        return self.tokenizer.whole

    @property
    def graph_fingerprint(self) -> str:
        """Of what the exported graph computes: network, activation, segments."""
        settings = self.settings
        return combined_fingerprint(
            self.network_fingerprint, settings.activation, settings.segments
        )

    @property
    def fingerprint(self) -> str:
        """Of everything that changes a score."""
        return combined_fingerprint(
            self.network_fingerprint, text_digest(self.serialized_tokenizer), asdict(self.settings)
        )


def read_reranker(source: ModelSource, options: LoadOptions) -> RerankerModel:
    """Read a cross-encoder from its files.

    Raises:
        EncoderError: The folder holds no cross-encoder with one score.
    """
    folder = source.folder
    config = transformer_config(folder)
    _check(source, config)
    serialized = read_tokenizer(folder, trust_remote_code=options.trust_remote_code)
    tokenizer = read_json(folder / "tokenizer_config.json", default={})
    declared = read_json(folder / "sentence_bert_config.json", default={})
    settings = RerankerSettings(
        max_tokens=options.max_tokens or longest_input(folder, declared, tokenizer),
        padding_side="left" if tokenizer.get("padding_side") == "left" else "right",
        activation=_activation(source, config),
        segments=_segments(config, tokenizer),
    )
    fingerprint = graph_fingerprint(folder, ModelFiles(), GraphSettings("dense", 1), "")
    return RerankerModel(source.name, folder, settings, serialized, fingerprint)


def _check(source: ModelSource, config: Mapping[str, Any]) -> None:
    architecture = str((config.get("architectures") or ["?"])[0])
    labels = len(config.get("id2label") or range(int(config.get("num_labels", 2))))
    modules = [module.name for module in read_modules(source.folder)]
    if not architecture.endswith("ForSequenceClassification") or labels != 1:
        msg = (
            f"{source.name} is no cross-encoder: it is a {architecture} with {labels} label(s); "
            "needed is a sequence classifier with one label, such as BAAI/bge-reranker-v2-m3"
        )
        raise EncoderError(msg)
    if modules not in ([], ["Transformer"]):
        msg = f"{source.name} has modules {', '.join(modules)}; only a Transformer can be loaded"
        raise EncoderError(msg)


def _activation(source: ModelSource, config: Mapping[str, Any]) -> ScoreActivation:
    """The activation the model declares, in the places of versions 5 and 6, 4, and 2 and 3."""
    declared = read_json(source.folder / "config_sentence_transformers.json", default={})
    name = (
        declared.get("activation_fn")
        or (config.get("sentence_transformers") or {}).get("activation_fn")
        or config.get("sbert_ce_default_activation_function")
        or "Sigmoid"
    )
    known = _ACTIVATIONS.get(str(name).rsplit(".", maxsplit=1)[-1])
    if known is None:
        msg = f"{source.name} applies {name} to its scores; known are {', '.join(_ACTIVATIONS)}"
        raise EncoderError(msg)
    return known


def _segments(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> bool:
    """Whether token types are given: the network has them, and its tokenizer does not say no."""
    declared = tokenizer.get("model_input_names", ["token_type_ids"])
    return int(config.get("type_vocab_size") or 0) > 1 and "token_type_ids" in declared
