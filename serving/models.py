"""What the server serves, and how it is described to clients."""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from encoders.base import DenseEncoder, Reranker, SparseEncoder
from encoders.presets import find_preset
from serving.errors import ServingError

WARM_UP = ("warm", "up " * 64)


@dataclass(frozen=True)
class ServedModels:
    """Loaded encoders; at least one.

    Attributes:
        dense: Behind ``/v1/embeddings``, ``/dense`` and ``/embed``.
        sparse: Behind ``/sparse`` and ``/embed_sparse``.
        reranker: Behind ``/rerank``.
    """

    dense: DenseEncoder | None = None
    sparse: SparseEncoder | None = None
    reranker: Reranker | None = None

    def __post_init__(self) -> None:
        if not (self.dense or self.sparse or self.reranker):
            msg = "Nothing to serve: name a --dense, a --sparse or a --rerank model"
            raise ServingError(msg)

    def warm_up(self) -> None:
        """Encode something with each, so that the first request waits for nothing.

        Raises:
            EncoderError: An encoder cannot encode.
        """
        for encoder in (self.dense, self.sparse):
            if encoder is not None:
                encoder.encode_queries(WARM_UP)
                encoder.encode_documents(WARM_UP)
        if self.reranker is not None:
            self.reranker.score(WARM_UP[0], WARM_UP)

    def describe(self) -> list[dict[str, Any]]:
        """Each model with what a client needs to know, JSON-ready."""
        found: list[dict[str, Any]] = []
        entry: dict[str, Any]
        for encoder in (self.dense, self.sparse):
            if encoder is not None:
                identity = encoder.identity
                entry = {"kind": identity.kind, "model": shown_name(identity.model)}
                entry |= {"fingerprint": identity.fingerprint, "dimension": identity.dimension}
                found.append(entry | _running(encoder))
        if self.reranker is not None:
            known = self.reranker.identity
            entry = {"kind": "rerank", "model": shown_name(known.model)}
            entry |= {"fingerprint": known.fingerprint, "dimension": None}
            found.append(entry | _running(self.reranker))
        return found


def _running(encoder: Any) -> dict[str, Any]:
    runner = getattr(encoder, "runner", None)
    runtime = runner.description if runner is not None else "no network of its own"
    return {"max_tokens": encoder.max_tokens, "runtime": runtime}


def shown_name(model: str) -> str:
    """A model's name for clients: of a folder only its last part, places stay private."""
    if model.count("/") > 1 or model.startswith(("/", "~", ".")) or "\\" in model:
        return PurePath(model.replace("\\", "/")).name
    return model


def is_named(model: str, wanted: str) -> bool:
    """Whether ``wanted`` names this model: as it was given, as it is shown, or its last part."""
    names = {model, shown_name(model), shown_name(model).rpartition("/")[2]}
    return wanted.casefold() in {name.casefold() for name in names}


def is_matryoshka(model: str) -> bool:
    """Whether a preset says that its vectors may be cut shorter."""
    preset = find_preset(model)
    return preset is not None and preset.matryoshka
