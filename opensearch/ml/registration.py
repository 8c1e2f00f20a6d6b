"""What a model is registered with: pure bodies."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from opensearch.ml.bundle import Bundle
from opensearch.ml.catalogue import NOTES_KEY, ModelInfo

Function: TypeAlias = Literal["TEXT_EMBEDDING", "SPARSE_ENCODING", "SPARSE_TOKENIZE"]
Format: TypeAlias = Literal["ONNX", "TORCH_SCRIPT"]
NOTES_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What ML Commons is told about a model.

    Attributes:
        name: Name of the model.
        function: What the node does with it.
        format: What the graph is written in.
        fingerprint: Of the encoder that gives the same vectors.
        source: Name under which that encoder is loaded.
        settings: The ``model_config``, without our notes; empty for sparse models, which ML
            Commons deploys only without one.
        group: Name of the model group.
    """

    name: str
    function: Function
    format: Format
    fingerprint: str
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    group: str = ""

    @property
    def notes(self) -> dict[str, Any]:
        """What we want to know of the model later."""
        return {
            "version": NOTES_VERSION,
            "model": self.source,
            "fingerprint": self.fingerprint,
            "settings": settings_digest(self.settings),
        }

    @property
    def config(self) -> dict[str, Any]:
        """The ``model_config`` with our notes in it; empty where there must be none."""
        if not self.settings:
            return {}
        notes = json.dumps({NOTES_KEY: self.notes}, ensure_ascii=False, sort_keys=True)
        return {**self.settings, "all_config": notes}


@dataclass(frozen=True, slots=True)
class DenseSettings:
    """How ML Commons runs a dense graph.

    Attributes:
        dimension: Components of the vector.
        model_type: Never ``bert``: for those the node feeds a third input.
        pooling_mode: How the node makes one vector of the graph's output.
        normalize_result: Whether the node normalises.
        query_prompt: Put before each query.
        document_prompt: Put before each document.
        space_type: For ``semantic`` fields; ``None`` for versions that do not know it.
    """

    dimension: int
    model_type: str
    pooling_mode: str
    normalize_result: bool
    query_prompt: str = ""
    document_prompt: str = ""
    space_type: str | None = None

    @property
    def asymmetric(self) -> bool:
        """Whether every prediction must say if it is of a query or of a passage."""
        return bool(self.query_prompt or self.document_prompt)


def dense_config(settings: DenseSettings) -> dict[str, Any]:
    """The ``model_config`` of a dense model."""
    config: dict[str, Any] = {
        "model_type": settings.model_type,
        "embedding_dimension": settings.dimension,
        "framework_type": "sentence_transformers",
        "pooling_mode": settings.pooling_mode,
        "normalize_result": settings.normalize_result,
    }
    if settings.asymmetric:
        config["query_prefix"] = settings.query_prompt
        config["passage_prefix"] = settings.document_prompt
    if settings.space_type is not None:
        config["additional_config"] = {"space_type": settings.space_type}
    return config


def register_body(card: ModelCard, bundle: Bundle, group_id: str) -> dict[str, Any]:
    """Body of the request that announces an upload."""
    body: dict[str, Any] = {
        "name": card.name,
        "model_group_id": group_id,
        "function_name": card.function,
        "model_format": card.format,
        "model_content_size_in_bytes": bundle.size,
        "model_content_hash_value": bundle.sha256,
        "total_chunks": bundle.chunks,
    }
    return {**body, "model_config": card.config} if card.config else body


def is_same(model: ModelInfo, card: ModelCard, bundle: Bundle) -> bool:
    """Whether the cluster's model is what would be pushed.

    Same bytes, or the same encoder exported elsewhere; in either case run with the same settings.
    """
    kind = (card.name, card.function, card.format)
    if (model.name, model.function, model.format) != kind:
        return False
    if card.settings and model.notes.get("settings") != settings_digest(card.settings):
        return False
    if model.content_hash == bundle.sha256:
        return True
    return not model.incomplete and model.fingerprint == card.fingerprint


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Digest of a ``model_config``; ML Commons itself rewrites some of its values."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
