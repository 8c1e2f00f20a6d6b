"""What a pipeline file may say: closed to keys it does not know."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from opensearch.fusion import LEGS, Combination, Leg, Method
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD

# Where the passage stands while encoders read it; removed before the document is stored.
PASSAGE = "tandem_passage"
PruneType = Literal["max_ratio", "alpha_mass", "top_k", "abs_value", "none"]
Chunking = Literal["fixed_token_length", "fixed_char_length", "delimiter"]
Fields = Annotated[Mapping[str, str], Field(min_length=1)]


class Part(BaseModel):
    """A part of the file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PassageStep(Part):
    """Joins title and text as ``tandem index`` does, and fills what an index of Tandem's wants.

    Attributes:
        title: Field of the title.
        text: Field of the text.
        to: Temporary field that the encoders read; removed at the end.
        document: Also fill ``doc_id``, ``ordinal``, ``level``, ``start``, ``end`` and the exact
            values, so that the document is like one that ``tandem index`` wrote.
    """

    step: Literal["passage"]
    title: str = "title"
    text: str = "text"
    to: str = PASSAGE
    document: bool = True


class ChunkingStep(Part):
    """Cuts a text into a list of texts; ``tandem index`` does it by the encoder's own tokens.

    Attributes:
        fields: Source field to field of the list.
        algorithm: How to cut.
        token_limit: Of ``fixed_token_length``: longest chunk in tokens of the analyzer.
        tokenizer: Of ``fixed_token_length``.
        char_limit: Of ``fixed_char_length``: longest chunk in characters.
        overlap_rate: Share of a chunk that the next one repeats.
        delimiter: Of ``delimiter``.
        max_chunk_limit: Most chunks of a document; -1 is no limit.
    """

    step: Literal["text_chunking"]
    fields: Fields
    algorithm: Chunking = "fixed_token_length"
    token_limit: int | None = Field(None, ge=1)
    tokenizer: str | None = None
    char_limit: int | None = Field(None, ge=1)
    overlap_rate: float | None = Field(None, ge=0, le=0.5)
    delimiter: str | None = None
    max_chunk_limit: int | None = Field(None, ge=-1)

    @model_validator(mode="after")
    def _parameters_of_the_algorithm(self) -> "ChunkingStep":
        given = set(self.parameters())
        if strange := given - CHUNKING_PARAMETERS[self.algorithm]:
            allowed = ", ".join(sorted(CHUNKING_PARAMETERS[self.algorithm]))
            msg = f"{self.algorithm} takes {allowed}; not {', '.join(sorted(strange))}"
            raise ValueError(msg)
        return self

    def parameters(self) -> dict[str, Any]:
        """What was given for the algorithm."""
        values = self.model_dump(exclude={"step", "fields", "algorithm"})
        return {name: value for name, value in values.items() if value is not None}


CHUNKING_PARAMETERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "fixed_token_length": frozenset(
            {"token_limit", "tokenizer", "overlap_rate", "max_chunk_limit"}
        ),
        "fixed_char_length": frozenset({"char_limit", "overlap_rate", "max_chunk_limit"}),
        "delimiter": frozenset({"delimiter", "max_chunk_limit"}),
    }
)


class DenseStep(Part):
    """Writes vectors.

    Attributes:
        model: Name or id of a dense model in the cluster.
        fields: Text field to vector field.
        batch_size: Documents of a bulk request that go to the model at once.
        skip_existing: Leave a document alone whose text is what the index holds already.
    """

    step: Literal["text_embedding"]
    model: str
    fields: Fields = Field(default_factory=lambda: {PASSAGE: DENSE_FIELD})
    batch_size: int = Field(16, ge=1)
    skip_existing: bool = False


class SparseStep(Part):
    """Writes token weights.

    Attributes:
        model: Name or id of a sparse model in the cluster.
        fields: Text field to ``rank_features`` or ``sparse_vector`` field.
        batch_size: Documents of a bulk request that go to the model at once.
        skip_existing: Leave a document alone whose text is what the index holds already.
        prune_type: How light tokens are found.
        prune_ratio: Below what they are dropped.
    """

    step: Literal["sparse_encoding"]
    model: str
    fields: Fields = Field(default_factory=lambda: {PASSAGE: SPARSE_FIELD})
    batch_size: int = Field(16, ge=1)
    skip_existing: bool = False
    prune_type: PruneType = "none"
    prune_ratio: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _ratio_where_pruned(self) -> "SparseStep":
        check_prune(self.prune_type, self.prune_ratio)
        return self


def check_prune(prune_type: PruneType, ratio: float | None) -> None:
    """Refuse a ratio that its type does not take.

    Raises:
        ValueError: It is missing, superfluous or out of range.
    """
    if (prune_type == "none") != (ratio is None):
        msg = "prune_type and prune_ratio go together; `none` takes no ratio"
        raise ValueError(msg)
    if prune_type in ("max_ratio", "alpha_mass") and ratio is not None and ratio >= 1:
        msg = f"prune_ratio of {prune_type} lies between 0 and 1, not {ratio}"
        raise ValueError(msg)
    if prune_type == "top_k" and ratio is not None and (ratio < 1 or ratio != int(ratio)):
        msg = f"prune_ratio of top_k is a number of tokens, not {ratio}"
        raise ValueError(msg)


Step = Annotated[PassageStep | ChunkingStep | DenseStep | SparseStep, Field(discriminator="step")]


class IngestPipeline(Part):
    """An ingest pipeline: its steps in order.

    Attributes:
        description: One line for people.
        index: Index whose writers go through it unless they say otherwise.
        steps: What is done to a document.
    """

    description: str = ""
    index: str | None = None
    steps: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _skips_only_what_is_stored(self) -> "IngestPipeline":
        temporary = {step.to for step in self.steps if isinstance(step, PassageStep)}
        for step in self.steps:
            if not isinstance(step, DenseStep | SparseStep) or not step.skip_existing:
                continue
            if temporary & set(step.fields):
                msg = (
                    "skip_existing compares with the stored text, and the passage of title and "
                    f"text is not stored: let {step.step} read a stored field, such as text, "
                    "or leave skip_existing out"
                )
                raise ValueError(msg)
        return self


class QueryModels(Part):
    """Models of queries that name none (``neural_query_enricher``).

    Attributes:
        default: For every field.
        fields: For particular fields.
    """

    default: str | None = None
    fields: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_something(self) -> "QueryModels":
        if self.default is None and not self.fields:
            msg = "name a default model, or models for fields"
            raise ValueError(msg)
        return self


class BoundsPart(Part):
    """Scores of a leg that count as 0 and as 1.

    Attributes:
        low: Counts as 0; the lowest candidate's if not given.
        high: Counts as 1; the highest candidate's if not given.
    """

    low: float | None = Field(None, ge=-10_000, le=10_000)
    high: float | None = Field(None, ge=-10_000, le=10_000)


class FusionPart(Part):
    """How a hybrid query's sub-queries become one ranking.

    Attributes:
        legs: The sub-queries, in the order in which queries will hold them.
        method: As of ``tandem search``.
        combination: Mean of the scaled scores.
        weights: Weight of each leg; equal if not given.
        bounds: Ends of the scale per leg, for ``minmax``.
        rank_constant: The k of reciprocal rank fusion.
        explain: Explain fused scores to queries that ask for explanations.
    """

    legs: tuple[Leg, ...] = LEGS
    method: Method = "minmax"
    combination: Combination = "arithmetic"
    weights: Mapping[Leg, Annotated[float, Field(ge=0)]] | None = None
    bounds: Mapping[Leg, BoundsPart] = Field(default_factory=dict)
    rank_constant: int = Field(60, ge=1, le=10_000)
    explain: bool = False

    @field_validator("legs")
    @classmethod
    def _distinct(cls, value: tuple[Leg, ...]) -> tuple[Leg, ...]:
        if len(value) < 2 or len(set(value)) != len(value):
            msg = "a hybrid query has two or three different legs"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _only_its_legs(self) -> "FusionPart":
        named: Sequence[str] = [*(self.weights or {}), *self.bounds]
        if strange := set(named) - set(self.legs):
            msg = f"weights and bounds are for the legs {', '.join(self.legs)}; not {strange}"
            raise ValueError(msg)
        if self.bounds and self.method != "minmax":
            msg = f"bounds belong to minmax, not to {self.method}"
            raise ValueError(msg)
        return self


class TwoPhasePart(Part):
    """Light tokens of a sparse query score only the best candidates of the heavy ones.

    Attributes:
        prune_type: How light tokens are found.
        prune_ratio: Below what they are light.
        expansion_rate: Candidates of the first phase, as a multiple of the hits asked for.
        max_window_size: Most of them.
    """

    prune_type: PruneType = "max_ratio"
    prune_ratio: float | None = Field(0.4, ge=0)
    expansion_rate: float = Field(5.0, ge=1)
    max_window_size: int = Field(10_000, ge=50)

    @model_validator(mode="after")
    def _ratio_where_pruned(self) -> "TwoPhasePart":
        check_prune(self.prune_type, self.prune_ratio)
        return self


class RerankPart(Part):
    """Re-ranks hits by a cross-encoder.

    Attributes:
        model: Name or id of a connected rerank model.
        fields: Fields it reads. OpenSearch joins several without a space between them.
        ignore_failure: Answer unranked hits where the model or the query's text is missing.
    """

    model: str
    fields: tuple[str, ...] = Field(("text",), min_length=1)
    ignore_failure: bool = False


class SearchPipeline(Part):
    """A search pipeline.

    Attributes:
        description: One line for people.
        index: Index whose searches go through it unless they say otherwise.
        query_models: Models of queries that name none.
        two_phase: Two-phase search of sparse queries.
        fusion: Fusion of hybrid queries.
        rerank: Re-ranking of the hits.
    """

    description: str = ""
    index: str | None = None
    query_models: QueryModels | None = None
    two_phase: TwoPhasePart | None = None
    fusion: FusionPart | None = None
    rerank: RerankPart | None = None

    @model_validator(mode="after")
    def _does_something(self) -> "SearchPipeline":
        parts = (self.query_models, self.two_phase, self.fusion, self.rerank)
        if not any(part is not None for part in parts):
            msg = "it does nothing; give query_models, two_phase, fusion or rerank"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _searches_without_rerank_text(self) -> "SearchPipeline":
        if self.index is not None and self.rerank is not None and not self.rerank.ignore_failure:
            msg = (
                "as an index's default it would fail every search that brings no "
                "ext.rerank.query_context: set rerank.ignore_failure, or leave index out and name "
                "the pipeline in the searches that want it"
            )
            raise ValueError(msg)
        return self


class PipelineFile(Part):
    """A whole file.

    Attributes:
        ingest: Ingest pipelines by name.
        search: Search pipelines by name.
    """

    ingest: Mapping[str, IngestPipeline] = Field(default_factory=dict)
    search: Mapping[str, SearchPipeline] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_default_per_index(self) -> "PipelineFile":
        for kind in (self.ingest, self.search):
            names = [p.index for p in kind.values() if p.index is not None]
            if twice := {name for name in names if names.count(name) > 1}:
                msg = f"two pipelines of one kind want to be the default of {', '.join(twice)}"
                raise ValueError(msg)
        return self


STEPS: Mapping[str, type[Part]] = MappingProxyType(
    {
        "passage": PassageStep,
        "text_chunking": ChunkingStep,
        "text_embedding": DenseStep,
        "sparse_encoding": SparseStep,
    }
)
SECTIONS: Mapping[str, type[Part]] = MappingProxyType(
    {
        "query_models": QueryModels,
        "two_phase": TwoPhasePart,
        "fusion": FusionPart,
        "rerank": RerankPart,
    }
)
