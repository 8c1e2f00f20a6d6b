"""Embedding services behind the encoder protocol: OpenAI-compatible, TEI, Cohere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from encoders.base import EncoderIdentity, FloatMatrix, SparseVector
from encoders.dense import shorten
from encoders.errors import EncoderError, EncoderServiceError
from encoders.options import LoadOptions
from encoders.pruning import NO_PRUNING, Pruning, prune
from encoders.service import Service, Side

_PROBE = "dimension"


@dataclass(frozen=True)
class ServiceDenseEncoder:
    """Dense vectors from a service.

    Attributes:
        service: Does the calls.
        options: Prompts, dimension and length that were asked for.
    """

    service: Service
    options: LoadOptions = field(default_factory=LoadOptions)

    @cached_property
    def identity(self) -> EncoderIdentity:
        """Fingerprint over model and settings; the first use asks the service for its width."""
        served = self.service.served("dense")
        width = served.get("dimension") or self.service.dense([_PROBE], "query").shape[1]
        kept = min(self.options.dimension or width, width)
        prompts = [self.options.query_prompt or "", self.options.document_prompt or ""]
        if served and kept == width and not any(prompts):
            # The same as of the model at hand: indices built either way go together.
            fingerprint = str(served["fingerprint"])
        else:
            fingerprint = self.service.fingerprint("dense", kept, *prompts)
        return EncoderIdentity("dense", self.service.address.name, fingerprint, kept)

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, as far as it is known."""
        served = self.service.served("dense").get("max_tokens")
        return self.options.max_tokens or served or self.service.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text: exact with a local tokenizer, else an estimate."""
        return self.service.count_tokens(texts)

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """By the local tokenizer; without one the service is taken to know every language."""
        return self.service.knows(texts)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries to ``[len(texts), dimension]``."""
        return self._encode(texts, self.options.query_prompt or "", "query")

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode documents to ``[len(texts), dimension]``."""
        return self._encode(texts, self.options.document_prompt or "", "document")

    def _encode(self, texts: Sequence[str], prompt: str, side: Side) -> FloatMatrix:
        width = self.identity.dimension
        if not texts:
            return np.empty((0, width), dtype=np.float32)
        found = self.service.dense([prompt + text for text in texts], side)
        if found.shape[1] < width:
            msg = f"{self.service.address.name} changed its width to {found.shape[1]}"
            raise EncoderServiceError(msg)
        return shorten(found, width)


@dataclass(frozen=True)
class ServiceSparseEncoder:
    """Sparse vectors from TEI's ``/embed_sparse``.

    Attributes:
        service: Does the calls.
        vocabulary: Size of the vocabulary.
        pruning: What is left out of a document's vector.
    """

    service: Service
    vocabulary: int
    pruning: Pruning = NO_PRUNING

    @cached_property
    def identity(self) -> EncoderIdentity:
        """Fingerprint over model and pruning."""
        served = self.service.served("sparse")
        if served and self.pruning == NO_PRUNING:
            fingerprint = str(served["fingerprint"])
        else:
            fingerprint = self.service.fingerprint("sparse", self.pruning.as_dict())
        name = self.service.address.name
        return EncoderIdentity("sparse", name, fingerprint, self.vocabulary)

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, as far as it is known."""
        return int(self.service.served("sparse").get("max_tokens", self.service.max_tokens))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, by the local tokenizer."""
        return self.service.count_tokens(texts)

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """Whether the local tokenizer's vocabulary was made for each text's language."""
        return self.service.knows(texts)

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode queries."""
        return [self._vector(row, NO_PRUNING) for row in self.service.sparse(texts, "query")]

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode documents, pruned."""
        rows = self.service.sparse(texts, "document")
        return [self._vector(row, self.pruning) for row in rows]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Vocabulary entries of the given ids, by the local tokenizer."""
        tokenizer = self.service.tokenizer
        return [] if tokenizer is None else tokenizer.tokens(ids)

    def _vector(self, row: list[dict[str, Any]], pruning: Pruning) -> SparseVector:
        try:
            entries = sorted((int(entry["index"]), float(entry["value"])) for entry in row)
        except (KeyError, TypeError, ValueError) as error:
            msg = f"{self.service.address.name} answered nonsense: {error!r}"
            raise EncoderServiceError(msg) from error
        ids = np.asarray([number for number, _ in entries], dtype=np.int32)
        weights = np.asarray([weight for _, weight in entries], dtype=np.float32)
        inside = ids.size == 0 or (ids[0] >= 0 and ids[-1] < self.vocabulary)
        if not inside or np.any(np.diff(ids) == 0) or not np.isfinite(weights).all():
            msg = f"{self.service.address.name} answered nonsense: token ids or weights"
            raise EncoderServiceError(msg)
        return prune(ids, weights, pruning)


def service_dense(model: str, options: LoadOptions) -> ServiceDenseEncoder:
    """The dense encoder of a service's address; no call is made yet."""
    return ServiceDenseEncoder(Service.at(model), options)


def service_sparse(model: str, options: LoadOptions) -> ServiceSparseEncoder:
    """The sparse encoder of a TEI address.

    Raises:
        EncoderError: The service is not TEI, or no local tokenizer is named.
    """
    service = Service.at(model)
    if service.address.protocol != "tei" or service.tokenizer is None:
        msg = (
            "Sparse vectors come from TEI only, and it does not send its vocabulary: name a local "
            "tokenizer before the address, tei:TOKENIZER@URL (a preset, a folder or a hub id)"
        )
        raise EncoderError(msg)
    pruning = Pruning(options.top_k, options.prune_ratio)
    return ServiceSparseEncoder(service, service.tokenizer.vocabulary_size, pruning)
