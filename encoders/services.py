"""Embedding services behind the encoder protocol: OpenAI-compatible, TEI, Cohere."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import numpy as np

from encoders.base import EncoderIdentity, FloatMatrix, SparseVector
from encoders.coverage import VocabularyCoverage
from encoders.dense import shorten
from encoders.errors import EncoderError, EncoderServiceError
from encoders.fingerprint import combined_fingerprint
from encoders.options import LoadOptions
from encoders.pruning import NO_PRUNING, Pruning, prune
from encoders.service_client import RetryPolicy, ServiceClient
from encoders.source import find_source
from encoders.tokenization import TextTokenizer, read_tokenizer

Side: TypeAlias = Literal["query", "document"]
Protocol: TypeAlias = Literal["openai", "tei", "cohere"]

PROTOCOLS: tuple[Protocol, ...] = ("openai", "tei", "cohere")
_DEFAULT_URLS = {"openai": "https://api.openai.com", "cohere": "https://api.cohere.com"}
_KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "tei": "TEI_API_KEY",
    "cohere": "COHERE_API_KEY",
}
# Texts per call: TEI's default limit is 32, Cohere's is 96.
_BATCH_ROWS = {"openai": 128, "tei": 32, "cohere": 96}
_MAX_TOKENS = {"openai": 8191, "tei": 512, "cohere": 512}
_CHARACTERS_PER_TOKEN = 4
_PROBE = "dimension"


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Which model at which service.

    Attributes:
        protocol: How the service is spoken to.
        model: Name the service knows the model by; for TEI, a local tokenizer, or empty.
        url: Base address.
    """

    protocol: Protocol
    model: str
    url: str

    @property
    def name(self) -> str:
        """The address as it is given on the command line."""
        if _DEFAULT_URLS.get(self.protocol) == self.url:
            return f"{self.protocol}:{self.model}"
        return f"{self.protocol}:{self.model}{'@' if self.model else ''}{self.url}"


def is_service(model: str) -> bool:
    """Whether a model's name is a service's address."""
    return model.partition(":")[0] in PROTOCOLS


def parse_address(model: str) -> ServiceAddress:
    """``openai:MODEL[@URL]``, ``cohere:MODEL[@URL]``, ``tei:[TOKENIZER@]URL``.

    Raises:
        EncoderError: The address is incomplete, or carries a password.
    """
    name, _, rest = model.partition(":")
    protocol = next((known for known in PROTOCOLS if known == name), None)
    if protocol is None:
        msg = f"{name!r} is no embedding service; known are {', '.join(PROTOCOLS)}"
        raise EncoderError(msg)
    place = max(rest.find("http://"), rest.find("https://"))
    label = (rest if place < 0 else rest[:place]).removesuffix("@")
    url = _DEFAULT_URLS.get(protocol, "") if place < 0 else rest[place:].rstrip("/")
    if not url or (protocol != "tei" and not label):
        msg = (
            "Write openai:MODEL@URL, cohere:MODEL or tei:URL (URL begins with http:// or https://)"
        )
        raise EncoderError(msg)
    if urlsplit(url).username or urlsplit(url).password:
        msg = f"No secrets in an address: put the key into {_KEY_VARIABLES[protocol]} instead"
        raise EncoderError(msg)
    return ServiceAddress(protocol, label, url)


@dataclass(frozen=True)
class Service:
    """Calls one service and checks what it answers.

    Attributes:
        address: Which model at which service.
        client: Does the HTTP.
    """

    address: ServiceAddress
    client: ServiceClient

    @classmethod
    def at(cls, model: str, policy: RetryPolicy | None = None) -> "Service":
        """The service of an address.

        Raises:
            EncoderError: The address is wrong, or the public service needs a key that is not set.
        """
        address = parse_address(model)
        variable = _KEY_VARIABLES[address.protocol]
        if address.url == _DEFAULT_URLS.get(address.protocol) and not os.environ.get(variable):
            msg = f"{address.url} needs a key: set the environment variable {variable}"
            raise EncoderError(msg)
        return cls(address, ServiceClient(address.url, variable, policy or RetryPolicy()))

    @cached_property
    def info(self) -> dict[str, Any]:
        """What TEI says about the model it serves; nothing for other services.

        Raises:
            EncoderServiceError: TEI does not say which model it serves.
        """
        if self.address.protocol != "tei":
            return {}
        found = self.client.get("/info")
        if not isinstance(found, dict) or "model_id" not in found:
            msg = f"{self.address.url}/info does not say which model it serves"
            raise EncoderServiceError(msg)
        return found

    @cached_property
    def tokenizer(self) -> TextTokenizer | None:
        """The local tokenizer that a TEI address names."""
        if self.address.protocol != "tei" or not self.address.model:
            return None
        folder = find_source(self.address.model, LoadOptions()).folder
        return TextTokenizer(read_tokenizer(folder), self.max_tokens)

    @property
    def max_tokens(self) -> int:
        """Longest input the service takes, as far as it is known."""
        return int(self.info.get("max_input_length", _MAX_TOKENS[self.address.protocol]))

    def fingerprint(self, *settings: Any) -> str:
        """Fingerprint over the model's name as the service knows it, and settings."""
        served = [self.info.get("model_id"), self.info.get("model_sha")]
        model = served if self.address.protocol == "tei" else self.address.model
        return combined_fingerprint(self.address.protocol, model, list(settings))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text: exact with a local tokenizer, else an estimate."""
        if self.tokenizer is not None:
            return self.tokenizer.count(texts)
        return [estimated_tokens(text) for text in texts]

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """By the local tokenizer; without one the service is taken to know every language."""
        if self.tokenizer is not None:
            return VocabularyCoverage(self.tokenizer).knows(texts)
        return [True] * len(texts)

    def dense(self, texts: Sequence[str], side: Side) -> FloatMatrix:
        """One unit-length vector per text (at least one text).

        Raises:
            EncoderServiceError: The service failed, or answered nonsense.
        """
        rows: list[Any] = []
        for batch in self._batches(texts):
            found = self._dense_batch(batch, side)
            if not isinstance(found, list) or len(found) != len(batch):
                raise self._nonsense(f"{_length(found)} vectors for {len(batch)} texts")
            rows.extend(found)
        return self._unit_rows(rows)

    def sparse(self, texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        """One list of ``{"index": …, "value": …}`` per text, from TEI.

        Raises:
            EncoderServiceError: The service failed, or answered nonsense.
        """
        rows: list[list[dict[str, Any]]] = []
        for batch in self._batches(texts):
            found = self.client.post("/embed_sparse", {"inputs": batch, "truncate": True})
            if not isinstance(found, list) or len(found) != len(batch):
                raise self._nonsense(f"{_length(found)} vectors for {len(batch)} texts")
            rows.extend(found)
        return rows

    def _batches(self, texts: Sequence[str]) -> list[list[str]]:
        size = _BATCH_ROWS[self.address.protocol]
        # Services refuse empty texts.
        prepared = [text if text.strip() else "." for text in texts]
        return [prepared[start : start + size] for start in range(0, len(prepared), size)]

    def _dense_batch(self, texts: list[str], side: Side) -> Any:
        model = self.address.model
        try:
            if self.address.protocol == "tei":
                body = {"inputs": texts, "normalize": True, "truncate": True}
                return self.client.post("/embed", body)
            if self.address.protocol == "openai":
                body = {"model": model, "input": self._cut(texts), "encoding_format": "float"}
                entries = self.client.post("/v1/embeddings", body)["data"]
                return [entry["embedding"] for entry in sorted(entries, key=_index)]
            body = {"model": model, "texts": texts, "input_type": f"search_{side}"}
            body |= {"embedding_types": ["float"], "truncate": "END"}
            return self.client.post("/v2/embed", body)["embeddings"]["float"]
        except (KeyError, TypeError) as error:
            raise self._nonsense(f"{error!r} is missing") from error

    def _cut(self, texts: list[str]) -> list[str]:
        """OpenAI refuses what is too long instead of cutting it: cut at a rough estimate."""
        limit = self.max_tokens * _CHARACTERS_PER_TOKEN
        return [text[:limit] for text in texts]

    def _unit_rows(self, rows: list[Any]) -> FloatMatrix:
        try:
            matrix = np.asarray(rows, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise self._nonsense("vectors of different widths, or without numbers") from error
        if matrix.ndim != 2 or not matrix.shape[1] or not np.isfinite(matrix).all():
            raise self._nonsense("vectors that are not rows of finite numbers")
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        if not norms.all():
            raise self._nonsense("a vector of zeros")
        unit: FloatMatrix = matrix / norms
        return unit

    def _nonsense(self, what: str) -> EncoderServiceError:
        msg = f"{self.address.name} answered nonsense: {what}"
        return EncoderServiceError(msg)


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
        width = self.service.dense([_PROBE], "query").shape[1]
        kept = min(self.options.dimension or width, width)
        prompts = [self.options.query_prompt or "", self.options.document_prompt or ""]
        fingerprint = self.service.fingerprint("dense", kept, *prompts)
        return EncoderIdentity("dense", self.service.address.name, fingerprint, kept)

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, as far as it is known."""
        return self.options.max_tokens or self.service.max_tokens

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
        fingerprint = self.service.fingerprint("sparse", self.pruning.as_dict())
        name = self.service.address.name
        return EncoderIdentity("sparse", name, fingerprint, self.vocabulary)

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, as far as it is known."""
        return self.service.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, by the local tokenizer."""
        return self.service.count_tokens(texts)

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """Whether the local tokenizer's vocabulary was made for each text's language."""
        return self.service.knows(texts)

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode queries."""
        return [self._vector(row, NO_PRUNING) for row in self.service.sparse(texts)]

    def encode_documents(self, texts: Sequence[str]) -> list[SparseVector]:
        """Encode documents, pruned."""
        return [self._vector(row, self.pruning) for row in self.service.sparse(texts)]

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


def estimated_tokens(text: str) -> int:
    """A quarter of the ASCII characters, one for every other character."""
    ascii_characters = sum(map(str.isascii, text))
    return 1 + ascii_characters // _CHARACTERS_PER_TOKEN + len(text) - ascii_characters


def _index(entry: dict[str, Any]) -> int:
    return int(entry["index"])


def _length(found: Any) -> int | str:
    return len(found) if isinstance(found, list) else type(found).__name__
