"""Calls embedding services and checks what they answer."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np

from encoders.base import FloatMatrix
from encoders.coverage import VocabularyCoverage
from encoders.errors import EncoderError, EncoderServiceError
from encoders.fingerprint import combined_fingerprint
from encoders.options import LoadOptions
from encoders.service_address import DEFAULT_URLS, KEY_VARIABLES, ServiceAddress, parse_address
from encoders.service_client import RetryPolicy, ServiceClient
from encoders.source import find_source
from encoders.tokenization import TextTokenizer, read_tokenizer

Side: TypeAlias = Literal["query", "document"]

# Texts per call: TEI's default limit is 32, Cohere's is 96.
_BATCH_ROWS = {"openai": 128, "tei": 32, "cohere": 96}
_MAX_TOKENS = {"openai": 8191, "tei": 512, "cohere": 512}
_CHARACTERS_PER_TOKEN = 4


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
        variable = KEY_VARIABLES[address.protocol]
        if address.url == DEFAULT_URLS.get(address.protocol) and not os.environ.get(variable):
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

    def served(self, kind: Literal["dense", "sparse"]) -> Mapping[str, Any]:
        """What a Tandem server says about its encoder of a kind; nothing for other services.

        Raises:
            EncoderServiceError: It is a Tandem server, and serves no encoder of this kind.
        """
        entries = self.info.get("tandem")
        if not isinstance(entries, list):
            return {}
        found = next((entry for entry in entries if entry.get("kind") == kind), None)
        if found is None:
            msg = f"{self.address.url} serves no {kind} encoder"
            raise EncoderServiceError(msg)
        return dict(found)

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
                self._reject(f"{_length(found)} vectors for {len(batch)} texts")
            rows.extend(found)
        return self._unit_rows(rows)

    def sparse(self, texts: Sequence[str], side: Side) -> list[list[dict[str, Any]]]:
        """One list of ``{"index": …, "value": …}`` per text, from TEI.

        Raises:
            EncoderServiceError: The service failed, or answered nonsense.
        """
        rows: list[list[dict[str, Any]]] = []
        for batch in self._batches(texts):
            body = {"inputs": batch, "truncate": True, **self._side(side)}
            found = self.client.post("/embed_sparse", body)
            if not isinstance(found, list) or len(found) != len(batch):
                self._reject(f"{_length(found)} vectors for {len(batch)} texts")
            rows.extend(found)
        return rows

    def _batches(self, texts: Sequence[str]) -> list[list[str]]:
        size = _BATCH_ROWS[self.address.protocol]
        # Services refuse empty texts, but for Tandem's own.
        takes_any = "tandem" in self.info
        prepared = [text if takes_any or text.strip() else "." for text in texts]
        return [prepared[start : start + size] for start in range(0, len(prepared), size)]

    def _dense_batch(self, texts: list[str], side: Side) -> Any:
        model = self.address.model
        try:
            if self.address.protocol == "tei":
                body = {"inputs": texts, "normalize": True, "truncate": True, **self._side(side)}
                return self.client.post("/embed", body)
            if self.address.protocol == "openai":
                body = {"model": model, "input": self._cut(texts), "encoding_format": "float"}
                entries = self.client.post("/v1/embeddings", body)["data"]
                return [entry["embedding"] for entry in sorted(entries, key=_index)]
            body = {"model": model, "texts": texts, "input_type": f"search_{side}"}
            body |= {"embedding_types": ["float"], "truncate": "END"}
            return self.client.post("/v2/embed", body)["embeddings"]["float"]
        except (KeyError, TypeError) as error:
            self._reject(f"{error!r} is missing")

    def _side(self, side: Side) -> dict[str, str]:
        """A Tandem server puts the prompts before the texts itself; others know no sides."""
        return {"input_type": side} if "tandem" in self.info else {}

    def _cut(self, texts: list[str]) -> list[str]:
        """OpenAI refuses what is too long instead of cutting it: cut at a rough estimate."""
        limit = self.max_tokens * _CHARACTERS_PER_TOKEN
        return [text[:limit] for text in texts]

    def _unit_rows(self, rows: list[Any]) -> FloatMatrix:
        try:
            matrix = np.asarray(rows, dtype=np.float32)
        except (TypeError, ValueError):
            self._reject("vectors of different widths, or without numbers")
        if matrix.ndim != 2 or not matrix.shape[1] or not np.isfinite(matrix).all():
            self._reject("vectors that are not rows of finite numbers")
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        if not norms.all():
            self._reject("a vector of zeros")
        unit: FloatMatrix = matrix / norms
        return unit

    def _reject(self, what: str) -> NoReturn:
        msg = f"{self.address.name} answered nonsense: {what}"
        raise EncoderServiceError(msg)


def estimated_tokens(text: str) -> int:
    """A quarter of the ASCII characters, one for every other character."""
    ascii_characters = sum(map(str.isascii, text))
    return 1 + ascii_characters // _CHARACTERS_PER_TOKEN + len(text) - ascii_characters


def _index(entry: dict[str, Any]) -> int:
    return int(entry["index"])


def _length(found: Any) -> int | str:
    return len(found) if isinstance(found, list) else type(found).__name__
