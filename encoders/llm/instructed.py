"""A task instruction for each query, for models that were trained to follow one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from encoders.base import FloatMatrix
from encoders.dense import TransformerDenseEncoder
from encoders.errors import EncoderError
from encoders.llm.chat import ChatClient
from encoders.llm.prompts import read_prompt
from encoders.llm.queries import OtherQueries

_MARK = "Instruct:"
REMEMBERED = 512


@dataclass(frozen=True)
class InstructedEncoder(OtherQueries):
    """A dense encoder that puts an instruction of its own before each query.

    Documents carry no instruction, so their vectors stay as they are.

    Attributes:
        inner: The encoder; its query prompt has the form ``Instruct: …`` and ``Query:``.
        instruct: From a query to its instruction.
    """

    inner: TransformerDenseEncoder
    instruct: Callable[[str], str]

    def __post_init__(self) -> None:
        if _MARK not in self.inner.model.settings.text.query_prompt:
            msg = (
                f"{self.inner.identity.model} takes no instruction: its query prompt is "
                f"{self.inner.model.settings.text.query_prompt!r}. Use a model that was trained "
                "with instructions, such as Qwen3-Embedding-0.6B."
            )
            raise EncoderError(msg)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode each query under its own instruction, ``[len(texts), dimension]``."""
        rows = [self._with(self.instruct(text)).encode_queries([text])[0] for text in texts]
        return np.stack(rows) if rows else self.inner.encode_queries([])

    def _with(self, instruction: str) -> TransformerDenseEncoder:
        model = self.inner.model
        prompt = f"{_MARK} {instruction}\nQuery:"
        text = replace(model.settings.text, query_prompt=prompt)
        return replace(
            self.inner, model=replace(model, settings=replace(model.settings, text=text))
        )


def fixed_instruction(instruction: str) -> Callable[[str], str]:
    """The same instruction for every query."""
    return lambda _: " ".join(instruction.split())


def written_instruction(chat: ChatClient, prompt: Path | None = None) -> Callable[[str], str]:
    """An instruction that an LLM writes for each query.

    Args:
        chat: Writes it.
        prompt: A template of one's own, with the field ``{query}``.
    """

    @lru_cache(REMEMBERED)
    def write(query: str) -> str:
        text = chat.complete(read_prompt("instruction", {"query": query}, prompt)).text
        return " ".join(text.split()) or "Given a search query, retrieve passages that answer it"

    return write
