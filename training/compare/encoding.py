"""Vectors of a set's queries and documents, encoded once and kept in the user's cache."""

import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from encoders.base import DenseEncoder, FloatMatrix, SparseEncoder, SparseVector
from encoders.batching import batched
from encoders.cache import cache_folder
from encoders.export.precision import encoder_identity
from encoders.fingerprint import combined_fingerprint
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse, read_model
from encoders.service_address import is_service
from training.compare.systems import System
from training.dev_sets import DevSet
from training.whole_files import whole_file

logger = logging.getLogger(__name__)

Side: TypeAlias = Literal["queries", "documents"]
FOLDER = "compare"
# Raise it when the files or what is encoded change.
_VERSION = 1
_CHUNK = 1_024


@dataclass
class SystemEncoder:
    """A system's encoder, loaded only when something is not in the cache.

    Attributes:
        system: Dense or sparse.
        options: How it is loaded.
        cache: Folder of kept vectors; ``None`` keeps nothing.
    """

    system: System
    options: LoadOptions
    cache: Path | None = field(default_factory=lambda: cache_folder() / FOLDER)

    @cached_property
    def encoder(self) -> Any:
        """What encodes queries, and documents unless the system pairs with another model."""
        load: Callable[..., Any] = load_dense if self.system.kind == "dense" else load_sparse
        return load(self.system.model, self.options)

    @cached_property
    def document_encoder(self) -> Any:
        """What encodes documents."""
        if self.system.documents is None:
            return self.encoder
        return load_dense(self.system.documents, self.options)

    @cached_property
    def width(self) -> int:
        """Components of a vector, or size of the vocabulary."""
        return self._identity(self.system.model)[1]

    def dense(self, dev_set: DevSet, side: Side) -> FloatMatrix:
        """Dense vectors of one side of a set, ``[n, width]``."""
        found = self._kept(dev_set, side)
        if found is None:
            encode = self._encode(side)
            parts = [encode(chunk) for chunk in batched(_texts(dev_set, side), _CHUNK)]
            found = {"vectors": np.concatenate(parts)}
            self._keep(dev_set, side, found)
        vectors: FloatMatrix = found["vectors"]
        return vectors

    def sparse(self, dev_set: DevSet, side: Side) -> list[SparseVector]:
        """Sparse vectors of one side of a set."""
        found = self._kept(dev_set, side)
        if found is not None:
            return _unpacked(found)
        encode = self._encode(side)
        chunks = batched(_texts(dev_set, side), _CHUNK)
        vectors = [vector for chunk in chunks for vector in encode(chunk)]
        self._keep(dev_set, side, _packed(vectors))
        return vectors

    def _encode(self, side: Side) -> Callable[[Sequence[str]], Any]:
        logger.info("%s encodes %s", self.system.label, side)
        if side == "queries":
            queries: DenseEncoder | SparseEncoder = self.encoder
            return queries.encode_queries
        documents: DenseEncoder | SparseEncoder = self.document_encoder
        return documents.encode_documents

    def _kept(self, dev_set: DevSet, side: Side) -> dict[str, Any] | None:
        path = self._path(dev_set, side)
        if path is None or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return dict(file)
        except (OSError, ValueError, EOFError) as error:
            logger.warning("%s cannot be read and is made anew: %s", path, error)
            return None

    def _keep(self, dev_set: DevSet, side: Side, arrays: dict[str, Any]) -> None:
        path = self._path(dev_set, side)
        if path is None:
            return
        try:
            with whole_file(path) as part, part.open("wb") as file:
                np.savez(file, **arrays)
        except OSError as error:  # a full disk costs time at the next comparison, not this one
            logger.warning("vectors could not be kept in %s: %s", path, error.strerror or error)

    def _path(self, dev_set: DevSet, side: Side) -> Path | None:
        if self.cache is None:
            return None
        paired = self.system.documents is not None and side == "documents"
        model = self.system.documents if paired else self.system.model
        fingerprint = self._identity(model or "")[0]
        return self.cache / _set_digest(dev_set, side) / f"{fingerprint}-{side}.npz"

    def _identity(self, model: str) -> tuple[str, int]:
        """Fingerprint and width, without loading weights where that is possible."""
        if is_service(model):
            identity = self.encoder.identity
            return identity.fingerprint, identity.dimension
        kind: Literal["dense", "sparse"] = "sparse" if self.system.sparse else "dense"
        read = read_model(model, self.options, kind)
        identity = encoder_identity(read)
        # What lies behind a system's pruning changes its vectors, too.
        further = [self.options.dimension, self.options.top_k, self.options.prune_ratio]
        fingerprint = combined_fingerprint(_VERSION, identity.fingerprint, further)
        return fingerprint, self.options.dimension or identity.dimension


def _texts(dev_set: DevSet, side: Side) -> Iterable[str]:
    return dev_set.query_texts if side == "queries" else dev_set.documents()


def _set_digest(dev_set: DevSet, side: Side) -> str:
    """Digest over what is encoded: a changed corpus has other vectors."""
    digest = hashlib.sha256()
    if side == "queries":
        for text in dev_set.query_texts:
            digest.update(text.encode() + b"\0")
        return digest.hexdigest()[:32]
    with dev_set.corpus.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    for doc_id in dev_set.doc_ids:
        digest.update(doc_id.encode() + b"\0")
    return digest.hexdigest()[:32]


def _packed(vectors: Sequence[SparseVector]) -> dict[str, Any]:
    empty = SparseVector(np.zeros(0, np.int32), np.zeros(0, np.float32))
    several = [*vectors, empty]
    return {
        "starts": np.cumsum([0, *(len(vector) for vector in vectors)]),
        "ids": np.concatenate([vector.ids for vector in several]),
        "weights": np.concatenate([vector.weights for vector in several]),
    }


def _unpacked(arrays: dict[str, Any]) -> list[SparseVector]:
    starts = arrays["starts"].tolist()
    ids, weights = arrays["ids"], arrays["weights"]
    return [SparseVector(ids[start:end], weights[start:end]) for start, end in pairwise(starts)]
