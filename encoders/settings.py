"""What a model's files say about it, as far as it matters for encoding."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from encoders.options import Activation, Pooling

Network: TypeAlias = Literal["transformer", "static", "prior"]

_REQUIRED = object()
_LATER: Mapping[str, Any] = MappingProxyType({"network": "transformer", "top_k": None})


@dataclass(frozen=True, slots=True)
class Projection:
    """A linear layer behind the pooling (the ``Dense`` module of Sentence Transformers).

    Attributes:
        path: Its folder, relative to the model's.
        inputs: Width it takes.
        outputs: Width it gives.
        bias: Whether it adds a bias.
        activation: Name of the function behind it, a class of ``torch.nn``.
    """

    path: str
    inputs: int
    outputs: int
    bias: bool
    activation: str


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """Everything that decides what the network computes from token ids.

    Attributes:
        kind: ``dense`` or ``sparse``.
        width: Width of the output: components, or size of the vocabulary.
        pooling: How a dense model makes one vector of many.
        projections: Linear layers behind a dense model's pooling.
        splade_pooling: How a sparse model makes one row of many.
        activation: What a sparse model does to its logits.
        network: What computes: a transformer; a table of token vectors (``static``); or a
            vocabulary head with a lexical prior on one of the two (``prior``).
        top_k: A sparse document keeps so many tokens, chosen inside the graph.
    """

    kind: Literal["dense", "sparse"]
    width: int
    pooling: Pooling = "mean"
    projections: tuple[Projection, ...] = ()
    splade_pooling: Literal["max", "sum"] = "max"
    activation: Activation = "log1p_relu"
    network: Network = "transformer"
    top_k: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        values = asdict(self)
        # Left out where they say nothing new: fingerprints of older indices stay valid.
        return {k: v for k, v in values.items() if _LATER.get(k, _REQUIRED) != v}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GraphSettings":
        """The settings that :meth:`as_dict` gave."""
        projections = tuple(Projection(**entry) for entry in values["projections"])
        return cls(**{**values, "projections": projections})


@dataclass(frozen=True, slots=True)
class TextSettings:
    """Everything that decides which token ids a text becomes.

    Attributes:
        max_tokens: Longest input, special tokens included.
        padding_side: Where a batch is filled up.
        lowercase: Whether texts are lower-cased first.
        query_prompt: Put before each query.
        document_prompt: Put before each document.
        special_tokens: Whether the tokenizer adds its special tokens; not for static models.
    """

    max_tokens: int
    padding_side: Literal["left", "right"] = "right"
    lowercase: bool = False
    query_prompt: str = ""
    document_prompt: str = ""
    special_tokens: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        values = asdict(self)
        # Left out where it says nothing new: fingerprints of older indices stay valid.
        if self.special_tokens:
            del values["special_tokens"]
        return values


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Both, and how a sparse model encodes queries.

    Attributes:
        graph: Token ids to vectors.
        text: Texts to token ids.
        query_side: ``inference-free`` needs a table of weights and no network.
    """

    graph: GraphSettings
    text: TextSettings
    query_side: Literal["bi-encoder", "inference-free"] = "bi-encoder"

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON-ready values."""
        return {
            "graph": self.graph.as_dict(),
            "text": self.text.as_dict(),
            "query_side": self.query_side,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ModelSettings":
        """The settings that :meth:`as_dict` gave."""
        return cls(
            GraphSettings.from_dict(values["graph"]),
            TextSettings(**values["text"]),
            values["query_side"],
        )


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where the parts of a model are, all inside its folder.

    Attributes:
        transformer: Folder of ``config.json`` and the weights.
        projections: Folders of the linear layers behind the pooling.
        query_table: Folder or file of the weights of inference-free queries.
        head: Folder of a vocabulary head with a lexical prior.
    """

    transformer: str = ""
    projections: tuple[str, ...] = ()
    query_table: str | None = None
    head: str | None = None


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """A model folder, read: its settings and its files."""

    settings: ModelSettings
    files: ModelFiles = field(default_factory=ModelFiles)
