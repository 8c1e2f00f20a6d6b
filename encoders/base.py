"""The protocol every encoder stands behind, and the values it returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

FloatMatrix: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """Which encoder made a vector: stored with every index, compared at every search.

    Two encoders with the same fingerprint give interchangeable vectors, whatever runs them
    (PyTorch, ONNX Runtime).

    Attributes:
        kind: ``dense`` or ``sparse``.
        model: Name under which the encoder can be loaded again (preset, folder or hub id).
        fingerprint: Hex digest over weights, tokenizer and settings that change the output.
        dimension: Width of the dense vector, or size of the sparse vocabulary.
        documents: Fingerprint of the encoder whose documents this one's queries search; ``None``:
            its own. A model that was tuned on the query side alone has the base's here.
    """

    kind: Literal["dense", "sparse"]
    model: str
    fingerprint: str
    dimension: int
    documents: str | None = None

    @property
    def stamp(self) -> str:
        """What is kept with each document: the head of the fingerprint of who encodes documents.

        A model that was tuned on the query side alone leaves the documents of its base as they are.
        """
        return (self.documents or self.fingerprint)[:12]

    def searches(self, other: "EncoderIdentity") -> bool:
        """Whether this encoder's queries belong to the other's documents."""
        return other.fingerprint == (self.documents or self.fingerprint)

    def as_dict(self) -> dict[str, Any]:
        """The identity as JSON-ready values."""
        return {
            "kind": self.kind,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "dimension": self.dimension,
            **({"documents": self.documents} if self.documents else {}),
        }


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Token weights of one text: vocabulary ids, ascending, with strictly positive weights."""

    ids: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.ids.shape != self.weights.shape or self.ids.ndim != 1:
            msg = f"ids {self.ids.shape} and weights {self.weights.shape} must be equally long"
            raise ValueError(msg)
        if self.ids.size and (np.any(np.diff(self.ids) <= 0) or not np.all(self.weights > 0)):
            msg = "ids must ascend without repetition and weights must be positive"
            raise ValueError(msg)

    def __len__(self) -> int:
        return int(self.ids.size)


class Encoder(Protocol):
    """What dense and sparse encoders have in common."""

    @property
    def identity(self) -> EncoderIdentity:
        """Which encoder this is."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens; what lies beyond is cut off."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before truncation, special tokens included."""
        ...

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """For each text, whether the encoder's vocabulary was made for its language.

        A text in an unknown script falls apart into characters or unknown tokens; its vector
        would be noise. Callers leave such texts out of the leg rather than drag it down.
        """
        ...


@runtime_checkable
class DenseEncoder(Encoder, Protocol):
    """Texts to unit-length vectors; queries and documents by different methods."""

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries to a ``[len(texts), dimension]`` float32 matrix."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode documents to a ``[len(texts), dimension]`` float32 matrix."""
        ...


@runtime_checkable
class SparseEncoder(Encoder, Protocol):
    """Texts to weights over a vocabulary; queries and documents by different methods."""

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode queries; an inference-free encoder only tokenizes and looks weights up."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode documents."""
        ...

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Vocabulary entries of the given ids: the feature names in a ``rank_features`` field."""
        ...


@dataclass(frozen=True, slots=True)
class RerankerIdentity:
    """Which cross-encoder gave a score.

    Attributes:
        model: Name under which it can be loaded again (folder or hub id).
        fingerprint: Hex digest over weights, tokenizer and settings that change a score.
    """

    model: str
    fingerprint: str


@runtime_checkable
class Reranker(Protocol):
    """Reads a query and a text together and says how well the text answers."""

    @property
    def identity(self) -> RerankerIdentity:
        """Which cross-encoder this is."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longest pair in tokens; what lies beyond is cut off."""
        ...

    def count_tokens(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        """Tokens of each pair of query and text before truncation, special tokens included."""
        ...

    def score(self, query: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Score each text against one query, ``[len(texts)]``; higher is better."""
        ...

    def score_pairs(self, pairs: Sequence[tuple[str, str]]) -> npt.NDArray[np.float32]:
        """Score pairs of query and text, ``[len(pairs)]``; queries may differ."""
        ...


def stamp_of(*identities: EncoderIdentity | None) -> str:
    """What each document keeps of the encoders that made it; an absent encoder leaves no trace."""
    return "+".join(identity.stamp for identity in identities if identity)


def named_weights(encoder: SparseEncoder, vector: SparseVector) -> dict[str, float]:
    """A sparse vector as ``{token: weight}``, heaviest first."""
    order = np.argsort(-vector.weights, kind="stable")
    names = encoder.tokens(vector.ids[order].tolist())
    return dict(zip(names, vector.weights[order].tolist(), strict=True))
