"""Our encoders as MTEB calls them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from encoders.base import FloatMatrix, SparseVector
from encoders.batching import batched
from training.compare.encoding import SystemEncoder
from training.compare.systems import System
from training.evaluation.runs import Run
from training.exact_search import sparse_matrix, top

_CHUNK = 1_024
_QUERY = "query"
_BLOCK_CELLS = 2**24


class DenseAdapter:
    """A dense encoder behind MTEB's ``EncoderProtocol``: every task of texts.

    Queries of retrieval and reranking get the query prompt; texts that are neither query nor
    document (clustering, classification, similarity) are read as documents.

    Args:
        encoder: Encodes queries and documents.
        meta: What MTEB keeps results under.
    """

    def __init__(self, encoder: SystemEncoder, meta: Any, **_: Any) -> None:
        self._encoder = encoder
        self._meta = meta

    @property
    def mteb_model_meta(self) -> Any:
        """Name and fingerprint of the model."""
        return self._meta

    def encode(self, inputs: Iterable[Mapping[str, Any]], **options: Any) -> FloatMatrix:
        """Vectors of all texts, ``[texts, width]``.

        Args:
            inputs: MTEB's batches; ``text`` of each is read.
            options: What MTEB says of the task; ``prompt_type`` tells queries from documents.
        """
        asked = options.get("prompt_type")
        is_query = getattr(asked, "value", asked) == _QUERY
        encoder = self._encoder.encoder if is_query else self._encoder.document_encoder
        encode = encoder.encode_queries if is_query else encoder.encode_documents
        texts = (text for batch in inputs for text in batch["text"])
        parts = [encode(chunk) for chunk in batched(texts, _CHUNK)]
        return np.concatenate(parts) if parts else np.zeros((0, self._encoder.width), np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Inner products of unit vectors, each with each, as a torch tensor."""
        first, second = _tensor(embeddings1), _tensor(embeddings2)
        return first @ second.T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Inner products of unit vectors, row by row, as a torch tensor."""
        return (_tensor(embeddings1) * _tensor(embeddings2)).sum(dim=-1)


class SparseAdapter:
    """A sparse encoder behind MTEB's ``SearchProtocol``: retrieval and reranking.

    Args:
        encoder: Encodes queries and documents.
        meta: What MTEB keeps results under.
    """

    def __init__(self, encoder: SystemEncoder, meta: Any) -> None:
        self._encoder = encoder
        self._meta = meta
        self._ids: list[str] = []
        self._documents: list[SparseVector] = []

    @property
    def mteb_model_meta(self) -> Any:
        """Name and fingerprint of the model."""
        return self._meta

    def index(self, corpus: Any, **_: Any) -> None:
        """Encode a corpus and keep it for :meth:`search`.

        Args:
            corpus: Rows with ``id``, ``text`` and perhaps ``title``.
        """
        self._ids, self._documents = [], []
        for chunk in batched(corpus, _CHUNK):
            self._ids += [str(row["id"]) for row in chunk]
            texts = [_document_text(row) for row in chunk]
            self._documents += self._encoder.document_encoder.encode_documents(texts)

    def search(
        self,
        queries: Any,
        *,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **_: Any,
    ) -> Run:
        """The best documents of each query.

        Args:
            queries: Rows with ``id`` and ``text``.
            top_k: How many.
            top_ranked: Query -> the documents to choose from, in reranking tasks.

        Returns:
            Query id -> document id -> score; a document that shares no entry is left out, but in a
            reranking task it scores 0.
        """
        rows = list(queries)
        ids = [str(row["id"]) for row in rows]
        vectors = self._encoder.encoder.encode_queries([_query_text(row) for row in rows])
        width = self._encoder.width
        matrix = sparse_matrix(vectors, width)
        documents = sparse_matrix(self._documents, width).T.tocsr()
        found: Run = {}
        size = max(1, _BLOCK_CELLS // max(1, len(self._ids)))
        for start in range(0, len(ids), size):
            scores = np.asarray((matrix[start : start + size] @ documents).toarray())
            for query_id, row in zip(ids[start : start + size], scores, strict=True):
                wanted = None if top_ranked is None else top_ranked.get(query_id, ())
                found[query_id] = self._best(row, top_k, wanted)
        return found

    def _best(self, scores: FloatMatrix, k: int, wanted: Sequence[str] | None) -> dict[str, float]:
        if wanted is not None:
            places = {doc_id: place for place, doc_id in enumerate(self._ids)}
            pairs = [(str(d), float(scores[places[str(d)]])) for d in wanted]
            return dict(sorted(pairs, key=lambda pair: -pair[1])[:k])
        columns = top(scores[None, :], k)[0].tolist()
        return {self._ids[c]: float(scores[c]) for c in columns if scores[c] > 0}


def adapt(encoder: SystemEncoder) -> Any:
    """The adapter for a system's encoder."""
    system = encoder.system
    identity = encoder.encoder.identity
    meta = _meta(system, identity.fingerprint, identity.dimension, encoder.encoder.max_tokens)
    return SparseAdapter(encoder, meta) if system.sparse else DenseAdapter(encoder, meta)


def _meta(system: System, fingerprint: str, width: int, max_tokens: int) -> Any:
    from mteb.models import ModelMeta

    # Results are kept by name and revision: the fingerprint keeps two trainings apart.
    values: dict[str, Any] = dict.fromkeys(
        (
            "loader",
            "release_date",
            "languages",
            "n_parameters",
            "memory_usage_mb",
            "license",
            "open_weights",
            "public_training_code",
            "public_training_data",
            "use_instructions",
            "training_datasets",
        )
    )
    values["similarity_fn_name"] = "dot" if system.sparse else "cosine"
    return ModelMeta(
        **values,
        name=f"tandem/{re.sub(r'[^A-Za-z0-9._-]+', '-', system.label).strip('-') or 'model'}",
        revision=fingerprint,
        max_tokens=max_tokens,
        embed_dim=width,
        framework=["PyTorch"],
    )


def _document_text(row: Mapping[str, Any]) -> str:
    """Title and text as MTEB joins them for dense models, so that figures can be compared."""
    return f"{row.get('title') or ''} {row['text']}".strip()


def _query_text(row: Mapping[str, Any]) -> str:
    text = row["text"]
    instruction = row.get("instruction")
    return f"{text} {instruction}" if instruction else str(text)


def _tensor(values: Any) -> Any:
    import torch

    return torch.as_tensor(values)
