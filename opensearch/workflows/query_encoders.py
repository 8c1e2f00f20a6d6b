"""Load the encoders that built an index."""

from dataclasses import replace
from typing import Any

from encoders.base import DenseEncoder, EncoderIdentity, SparseEncoder
from encoders.lexical import NAME as LEXICAL
from encoders.lexical import LexicalEncoder
from encoders.registry import LoadOptions, load_dense, load_sparse
from opensearch.encoder_store import load_state
from opensearch.fusion import Bounds, Fusion, Leg, Method, dense_bounds
from opensearch.index_info import IndexInfo
from opensearch.plan import QueryEncoders
from opensearch.search import Searcher


def open_searcher(
    client: Any,
    info: IndexInfo,
    options: LoadOptions,
    *,
    dense: str | None = None,
    sparse: str | None = None,
) -> Searcher:
    """A searcher for an index, with the encoders its ``_meta`` names.

    Args:
        client: The client.
        info: The index.
        options: How models are loaded.
        dense: Load the dense encoder from here instead; it must be the same model.
        sparse: The same for the sparse encoder.

    Raises:
        EncoderMismatchError: A loaded encoder is not the one that built the index.
        EncoderError: A model cannot be loaded.
    """
    encoders = load_query_encoders(client, info, options, dense=dense, sparse=sparse)
    return Searcher(client, info, encoders)


def load_query_encoders(
    client: Any,
    info: IndexInfo,
    options: LoadOptions,
    *,
    dense: str | None = None,
    sparse: str | None = None,
) -> QueryEncoders:
    """The query side of an index: the encoders its ``_meta`` names, and its word statistics.

    Args:
        client: The client.
        info: The index.
        options: How models are loaded.
        dense: Load the dense encoder from here instead; it must be the same model.
        sparse: The same for the sparse encoder.

    Raises:
        EncoderError: A model cannot be loaded.
    """
    options = stored_options(info, options)
    token_weights = stored_sparse(client, info.sparse, sparse, options)
    return QueryEncoders(
        dense=_dense(info.dense, dense, options),
        sparse=token_weights,
        words=_words(client, info, token_weights),
    )


def _words(client: Any, info: IndexInfo, sparse: SparseEncoder | None) -> LexicalEncoder | None:
    """Word statistics of the corpus: the lexical encoder itself, or the one kept beside it."""
    if isinstance(sparse, LexicalEncoder):
        return sparse
    fingerprint = info.notes.get("word_statistics")
    return LexicalEncoder.from_state(load_state(client, fingerprint)) if fingerprint else None


def _dense(
    identity: EncoderIdentity | None, model: str | None, options: LoadOptions
) -> DenseEncoder | None:
    if identity is None and model is None:
        return None
    return load_dense(model or identity.model, options)  # type: ignore[union-attr]


def stored_sparse(
    client: Any, identity: EncoderIdentity | None, model: str | None, options: LoadOptions
) -> SparseEncoder | None:
    """The sparse encoder of an index; a lexical one is read from the cluster."""
    if identity is None and model is None:
        return None
    if model is None and identity is not None and identity.model == LEXICAL:
        return LexicalEncoder.from_state(load_state(client, identity.fingerprint))
    return load_sparse(model or identity.model, options)  # type: ignore[union-attr]


FUSION_NOTE = "fusion"
# Options that change what an encoder gives: an index remembers them, so that nobody has to.
_REMEMBERED = (
    "revision",
    "max_tokens",
    "dimension",
    "top_k",
    "prune_ratio",
    "pooling",
    "activation",
    "query_prompt",
    "document_prompt",
)


def changed_options(options: LoadOptions) -> dict[str, Any]:
    """The options that an index must remember, as JSON-ready values."""
    values = {name: getattr(options, name) for name in _REMEMBERED}
    return {name: value for name, value in values.items() if value is not None}


def stored_options(info: IndexInfo | None, options: LoadOptions) -> LoadOptions:
    """The given options, completed by those the index was built with."""
    stored = info.notes.get("encoder_options", {}) if info else {}
    missing = {name: v for name, v in stored.items() if getattr(options, name, None) is None}
    return replace(options, **missing)


def default_fusion(info: IndexInfo, method: Method | None = None) -> Fusion:
    """The fusion an index is searched with when nothing else is asked for.

    What ``tandem tune`` found for the index, else the project's defaults.

    Args:
        info: The index.
        method: Fuse by this method; what was tuned for another says nothing about it.
    """
    stored = info.notes.get(FUSION_NOTE)
    if stored and method in (None, stored["method"]):
        return Fusion.from_dict(stored)
    bounds: dict[Leg, Bounds] = {"dense": dense_bounds(info.notes.get("dense_floor"))}
    return Fusion(method=method or "minmax", bounds=bounds)
