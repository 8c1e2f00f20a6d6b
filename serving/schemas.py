"""Requests and answers: what the OpenAPI description is made of.

Fields that a schema does not name are refused, so that a misspelt option is noticed.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

# Marks a list of texts in the description; the server's own limits are put there.
TEXTS_MARK = "x-texts"
# Marks the width of a dense vector.
WIDTH_MARK = "x-width"

InputType: TypeAlias = Literal["query", "document", "passage"]


def _sound(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = "a text holds half of a surrogate pair, which is no character"
        raise ValueError(msg) from None
    return text


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _whole(value: Any) -> Any:
    """To JSON, 3.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Number: TypeAlias = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Text: TypeAlias = Annotated[str, AfterValidator(_sound)]
_TEXT_LIST: dict[str, Any] = {
    "type": "array",
    "items": {"type": "string"},
    "minItems": 1,
    TEXTS_MARK: True,
}
Texts: TypeAlias = Annotated[list[Text], Field(min_length=1), WithJsonSchema(_TEXT_LIST)]
OneOrMore: TypeAlias = Annotated[
    list[Text],
    Field(min_length=1),
    BeforeValidator(_as_list),
    WithJsonSchema({"anyOf": [{"type": "string", TEXTS_MARK: True}, _TEXT_LIST]}),
]


class Request(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _one_of(first: str, second: str) -> ConfigDict:
    schema: dict[str, Any] = {"oneOf": [{"required": [first]}, {"required": [second]}]}
    return ConfigDict(json_schema_extra=schema)


def _exactly_one(given: set[str], *names: str) -> None:
    if len(given & set(names)) != 1:
        msg = f"give exactly one of {' and '.join(names)}"
        raise ValueError(msg)


class EmbeddingsRequest(Request):
    """OpenAI's request for embeddings, and which side the texts are on."""

    input: OneOrMore = Field(description="A text or several; token ids are not taken.")
    model: str | None = Field(None, description="If given, it must be the model served here.")
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="base64 is little-endian float32."
    )
    dimensions: Number | None = Field(
        None,
        description="Keep so many components, at unit length again (Matryoshka).",
        json_schema_extra={WIDTH_MARK: True},
    )
    user: str | None = Field(None, description="Not used, not logged.")
    input_type: InputType | None = Field(None, description="Default: document.")


class DenseRequest(Request):
    """What ML Commons sends to an asymmetric remote model."""

    texts: Texts
    content_type: InputType = "passage"


class SparseRequest(Request):
    """Texts for the sparse encoder, under one of two names."""

    model_config = _one_of("input", "texts")

    input: OneOrMore = []
    texts: OneOrMore = []
    input_type: InputType = "document"
    format: Literal["WORD", "TOKEN_ID"] = Field(
        "WORD", description="Whether weights are listed by token or by its number."
    )

    @model_validator(mode="after")
    def _check(self) -> "SparseRequest":
        _exactly_one(self.model_fields_set, "input", "texts")
        return self


class RerankRequest(Request):
    """A query and the texts to put in order, under one of two names."""

    model_config = _one_of("documents", "texts")

    query: Text = Field(json_schema_extra={TEXTS_MARK: True})
    documents: Texts = []
    texts: Texts = []
    top_n: Number | None = Field(None, description="Give back only so many, the best ones.")
    model: str | None = Field(None, description="If given, it must be the model served here.")

    @model_validator(mode="after")
    def _check(self) -> "RerankRequest":
        _exactly_one(self.model_fields_set, "documents", "texts")
        return self


class EmbedRequest(Request):
    """The form of Text Embeddings Inference."""

    inputs: OneOrMore
    normalize: Literal[True] = Field(True, description="Vectors always have unit length.")
    truncate: bool = Field(True, description="Long texts are cut either way, and counted.")
    input_type: InputType = "document"


class EmbedSparseRequest(Request):
    """The form of Text Embeddings Inference."""

    inputs: OneOrMore
    truncate: bool = Field(True, description="Long texts are cut either way, and counted.")
    input_type: InputType = "document"


class Usage(BaseModel):
    """What was counted."""

    prompt_tokens: int
    total_tokens: int


class Embedding(BaseModel):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsAnswer(BaseModel):
    """OpenAI's answer."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Ranked(BaseModel):
    """One text's score."""

    index: int
    relevance_score: float


class RerankAnswer(BaseModel):
    """Texts, the best first."""

    model: str
    results: list[Ranked]
    usage: Usage


class WeightedToken(BaseModel):
    """One entry of a sparse vector."""

    index: int
    value: float


class ServedModel(BaseModel):
    """A model behind this server."""

    kind: Literal["dense", "sparse", "rerank"]
    model: str
    fingerprint: str
    dimension: int | None
    max_tokens: int
    runtime: str


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether requests are taken."""

    status: Literal["ready", "starting", "stopping"]
    models: list[ServedModel]


class Info(BaseModel):
    """What Text Embeddings Inference says about itself, and what is served here."""

    model_id: str
    model_sha: str
    max_input_length: int
    max_client_batch_size: int
    tandem: list[ServedModel]


class ListedModel(BaseModel):
    """An entry of OpenAI's list of models."""

    id: str
    object: Literal["model"]
    owned_by: str


class ModelList(BaseModel):
    """OpenAI's list of models."""

    object: Literal["list"]
    data: list[ListedModel]


class Fault(BaseModel):
    """What went wrong."""

    message: str
    type: str
    code: str


class ErrorAnswer(BaseModel):
    """Every error has this form."""

    error: Fault
