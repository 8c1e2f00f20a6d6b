"""Texts to token ids, with truncation said explicitly and padding done per batch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from encoders.errors import EncoderError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# Exported graphs take two tokens or more.
MIN_LENGTH = 2

IdMatrix: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded token ids and their mask, both ``[rows, longest]`` int64."""

    ids: IdMatrix
    mask: IdMatrix


@dataclass(frozen=True)
class TextTokenizer:
    """A ``tokenizer.json``, its padding side and the longest input.

    Attributes:
        serialized: Content of ``tokenizer.json``.
        max_tokens: Special tokens included; what lies beyond is cut off at the right.
        padding_side: Where a batch is filled up.
        lowercase: Lower-case texts first (``do_lower_case`` of Sentence Transformers).
        special_tokens: Whether special tokens are added.
    """

    serialized: str = field(repr=False)
    max_tokens: int
    padding_side: Literal["left", "right"] = "right"
    lowercase: bool = False
    special_tokens: bool = True

    @cached_property
    def truncating(self) -> "Tokenizer":
        """The tokenizer that cuts at ``max_tokens``."""
        tokenizer = _restore(self.serialized)
        tokenizer.enable_truncation(max_length=self.max_tokens)
        return tokenizer

    @cached_property
    def whole(self) -> "Tokenizer":
        """The tokenizer that cuts nothing."""
        return _restore(self.serialized)

    @cached_property
    def pad_id(self) -> int:
        """Id that fills up a batch: the declared padding token, else 0 (it is masked anyway)."""
        padding = json.loads(self.serialized).get("padding") or {}
        if "pad_id" in padding:
            return int(padding["pad_id"])
        for name in ("[PAD]", "<pad>", "<|endoftext|>"):
            found = self.whole.token_to_id(name)
            if found is not None:
                return int(found)
        return 0

    @property
    def vocabulary_size(self) -> int:
        """Entries of the vocabulary, added tokens included."""
        return int(self.whole.get_vocab_size(with_added_tokens=True))

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut at ``max_tokens``."""
        return [encoding.ids for encoding in self._encode(self.truncating, texts)]

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before truncation."""
        return [len(encoding.ids) for encoding in self._encode(self.whole, texts)]

    def pad(self, rows: Sequence[Sequence[int]]) -> Batch:
        """Fill rows up to the longest of them; an empty row keeps one token to attend to."""
        rows = [row or [self.pad_id] for row in rows]
        width = max([MIN_LENGTH, *map(len, rows)])
        ids = np.full((len(rows), width), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        for number, row in enumerate(rows):
            span = slice(width - len(row), width) if self._pads_left else slice(0, len(row))
            ids[number, span] = row
            mask[number, span] = 1
        return Batch(ids, mask)

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """Vocabulary entries of ids."""
        names = [self.whole.id_to_token(number) for number in ids]
        for number, name in zip(ids, names, strict=True):
            if name is None:
                msg = (
                    f"token id {number} is not in the vocabulary of {self.vocabulary_size} entries"
                )
                raise EncoderError(msg)
        return [str(name) for name in names]

    def special_ids(self) -> list[int]:
        """Ids of special tokens: they carry no meaning of a text."""
        decoder = self.whole.get_added_tokens_decoder()
        return sorted(number for number, token in decoder.items() if token.special)

    def portable(self) -> str:
        """``tokenizer.json`` with truncation and padding set to what this tokenizer does.

        Where no special tokens are wanted, it adds none, whoever calls it.
        """
        serialized = self.serialized
        if not self.special_tokens:
            serialized = json.dumps({**json.loads(serialized), "post_processor": None})
        tokenizer = _restore(serialized)
        tokenizer.enable_truncation(max_length=self.max_tokens)
        pad_token = self.whole.id_to_token(self.pad_id)
        tokenizer.enable_padding(
            direction=self.padding_side, pad_id=self.pad_id, pad_token=pad_token or "[PAD]"
        )
        return str(tokenizer.to_str())

    @property
    def _pads_left(self) -> bool:
        return self.padding_side == "left"

    def _encode(self, tokenizer: "Tokenizer", texts: Sequence[str]) -> "list[Encoding]":
        prepared = [text.lower() for text in texts] if self.lowercase else list(texts)
        return tokenizer.encode_batch_fast(prepared, add_special_tokens=self.special_tokens)


def read_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> str:
    """Content of a folder's ``tokenizer.json``, converted from older files where it is absent.

    Raises:
        EncoderError: The folder holds no tokenizer that can be read.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    return _convert(folder, trust_remote_code=trust_remote_code)


def _convert(folder: Path, *, trust_remote_code: bool) -> str:
    try:
        from transformers import AutoTokenizer

        loaded: Any = AutoTokenizer.from_pretrained(
            str(folder), use_fast=True, trust_remote_code=trust_remote_code
        )
        return str(loaded.backend_tokenizer.to_str())
    except (ImportError, OSError, ValueError, AttributeError) as error:
        msg = f"{folder} holds no tokenizer.json, and none could be made from its files: {error}"
        raise EncoderError(msg) from error


def _restore(serialized: str) -> "Tokenizer":
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(serialized)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
