"""The configurations that a plan compares."""

from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias, get_args

from opensearch.index_spec import SparseField
from operations.planning.errors import PlanningError

Vectors: TypeAlias = Literal["float", "4x", "byte", "32x"]
VECTORS: tuple[Vectors, ...] = get_args(Vectors)
BUILDABLE: tuple[Vectors, ...] = ("float", "4x")
M = 16


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way of building an index.

    Attributes:
        dense: Dense model; ``None`` without one.
        dimension: Components of a vector; 0 without a dense model.
        vectors: How they are kept: ``float``; ``4x`` (seven bits beside the floats), ``byte``
            (eight bits alone), ``32x`` (one bit beside the floats).
        sparse: Sparse model; ``None`` without one.
        sparse_field: Where token weights are kept.
        top_k: Token weights kept of each passage; ``None`` is all.
        shards: Primary shards.
        replicas: Copies of each.
    """

    dense: str | None = None
    dimension: int = 0
    vectors: Vectors = "float"
    sparse: str | None = None
    sparse_field: SparseField = "rank_features"
    top_k: int | None = None
    shards: int = 1
    replicas: int = 0

    @property
    def buildable(self) -> bool:
        """Whether ``tandem index`` builds it; of others there is the formula only."""
        return self.dense is None or self.vectors in BUILDABLE

    @property
    def copies(self) -> int:
        """How often everything is kept."""
        return 1 + self.replicas

    @property
    def label(self) -> str:
        """The candidate in a few words."""
        parts = ["BM25"]
        if self.dense is not None:
            parts.append(f"{self.dimension}d {self.vectors}")
        if self.sparse is not None:
            kept = f" top {self.top_k}" if self.top_k else ""
            parts.append(f"{self.sparse_field}{kept}")
        return " + ".join(parts)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a plan varies; every combination is a candidate.

    Attributes:
        dense: Dense model; ``None`` leaves it out.
        dimensions: Sizes of its vectors.
        vectors: How they are kept.
        sparse: Sparse model; ``None`` leaves it out.
        sparse_fields: Where token weights are kept.
        top_ks: Token weights kept; ``None`` in it is all.
        shards: Primary shards.
        replicas: Copies of each.
    """

    dense: str | None
    dimensions: tuple[int, ...]
    vectors: tuple[Vectors, ...]
    sparse: str | None
    sparse_fields: tuple[SparseField, ...]
    top_ks: tuple[int | None, ...]
    shards: int = 1
    replicas: int = 0


def candidates(choices: Choices) -> list[Candidate]:
    """Every combination, the index without encoders first.

    Raises:
        PlanningError: A dense model was named without a dimension.
    """
    if choices.dense is not None and not choices.dimensions:
        msg = f"{choices.dense}: name the size of its vectors with --dimension."
        raise PlanningError(msg)
    found = [Candidate(shards=choices.shards, replicas=choices.replicas)]
    for (dimension, vectors), (field, top_k) in product(_dense(choices), _sparse(choices)):
        found.append(
            Candidate(
                dense=choices.dense,
                dimension=dimension,
                vectors=vectors,
                sparse=choices.sparse,
                sparse_field=field,
                top_k=top_k,
                shards=choices.shards,
                replicas=choices.replicas,
            )
        )
    return list(dict.fromkeys(found))


def _dense(choices: Choices) -> list[tuple[int, Vectors]]:
    if choices.dense is None:
        return [(0, "float")]
    return list(product(choices.dimensions, choices.vectors))


def _sparse(choices: Choices) -> list[tuple[SparseField, int | None]]:
    if choices.sparse is None:
        return [("rank_features", None)]
    return list(product(choices.sparse_fields, choices.top_ks))
