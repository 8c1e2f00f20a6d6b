"""Open the arms of an experiment: their indices, with the encoders that belong to them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from encoders.base import DenseEncoder, Encoder, SparseEncoder, SparseVector
from encoders.lexical import LexicalEncoder
from encoders.registry import LoadOptions
from opensearch.fusion import Fusion
from opensearch.hits import SearchResult
from opensearch.index_info import IndexInfo, read_index_info
from opensearch.plan import QueryEncoders, SearchRequest
from opensearch.reranking import Searches
from opensearch.search import Searcher
from opensearch.workflows.query_encoders import default_fusion, load_query_encoders
from opensearch.workflows.query_models import ModelChoice, open_model_searcher
from operations.experiments.experiment import Arm


@dataclass(frozen=True, slots=True)
class OpenArm:
    """An arm that can be searched.

    Attributes:
        arm: Which.
        searcher: Searches its index.
        fusion: How its legs are fused.
    """

    arm: Arm
    searcher: Searches
    fusion: Fusion

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer one query, fused as this arm does."""
        return self.searcher.search(replace(request, fusion=self.fusion))


class ArmOpener:
    """Opens arms, and loads an encoder that two of them share only once.

    Args:
        client: The client.
        options: How models are loaded.
    """

    def __init__(self, client: Any, options: LoadOptions | None = None) -> None:
        self._client = client
        self._options = options or LoadOptions()
        self._loaded: dict[Any, QueryEncoders] = {}

    def __call__(self, arm: Arm) -> OpenArm:
        """Open an arm.

        Raises:
            SearchBackendError: Its index is not there.
            EncoderError: A model cannot be loaded.
        """
        info = read_index_info(self._client, arm.physical)
        return OpenArm(arm, self._searcher(arm, info), default_fusion(info))

    def _searcher(self, arm: Arm, info: IndexInfo) -> Searcher:
        client = _Fused(self._client, arm.pipeline) if arm.pipeline else self._client
        if arm.dense_model or arm.sparse_model:
            return open_model_searcher(client, info, ModelChoice(arm.dense_model, arm.sparse_model))
        return Searcher(client, info, self._encoders(info))

    def _encoders(self, info: IndexInfo) -> QueryEncoders:
        """Both legs, each loaded once however many arms have it."""
        dense = self._leg(replace(info, sparse=None, notes=_unworded(info)), "dense")
        sparse = self._leg(replace(info, dense=None), "sparse")
        return QueryEncoders(dense=dense.dense, sparse=sparse.sparse, words=sparse.words)

    def _leg(self, info: IndexInfo, leg: str) -> QueryEncoders:
        options = info.notes.get("encoder_options", {})
        identity = getattr(info, leg)
        key = (
            leg,
            identity and identity.fingerprint,
            info.notes.get("word_statistics"),
            repr(sorted(options.items())),
        )
        if key not in self._loaded:
            loaded = load_query_encoders(self._client, info, self._options)
            self._loaded[key] = _one_at_a_time(loaded)
        return self._loaded[key]


def _unworded(info: IndexInfo) -> dict[str, Any]:
    return {name: note for name, note in info.notes.items() if name != "word_statistics"}


class _Fused:
    """A client whose hybrid searches are fused by a pipeline of the cluster."""

    def __init__(self, client: Any, pipeline: str) -> None:
        self._client = client
        self._pipeline = pipeline

    def search(self, *, index: str, body: dict[str, Any]) -> Any:
        if isinstance(body.get("search_pipeline"), dict):
            body = {**body, "search_pipeline": self._pipeline}
        return self._client.search(index=index, body=body)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def _one_at_a_time(encoders: QueryEncoders) -> QueryEncoders:
    """Encoders that several threads may use: fast tokenizers refuse to be shared."""
    sparse = encoders.sparse
    return replace(
        encoders,
        dense=encoders.dense and _LockedDense(encoders.dense),
        # A lexical encoder only looks up, and the planner knows it by its identity as an object.
        sparse=sparse
        if sparse is None or isinstance(sparse, LexicalEncoder)
        else _LockedSparse(sparse),
    )


class _Locked:
    """What both kinds share."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = threading.Lock()
        self.identity = encoder.identity
        self.max_tokens = encoder.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        with self._lock:
            return self._encoder.count_tokens(texts)

    def knows(self, texts: Sequence[str]) -> list[bool]:
        with self._lock:
            return self._encoder.knows(texts)


class _LockedDense(_Locked):
    def __init__(self, encoder: DenseEncoder) -> None:
        super().__init__(encoder)
        self._dense = encoder

    def encode_queries(self, texts: Sequence[str]) -> npt.NDArray[Any]:
        with self._lock:
            return self._dense.encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> npt.NDArray[Any]:
        with self._lock:
            return self._dense.encode_documents(texts)


class _LockedSparse(_Locked):
    def __init__(self, encoder: SparseEncoder) -> None:
        super().__init__(encoder)
        self._sparse = encoder

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        with self._lock:
            return self._sparse.encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        with self._lock:
            return self._sparse.encode_documents(texts)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        with self._lock:
            return self._sparse.tokens(ids)
