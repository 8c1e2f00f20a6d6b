"""Who writes queries: an LLM, or the passage's own words."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Protocol

from encoders.llm.chat import ChatClient
from encoders.llm.prompts import read_prompt
from training.data.synthesis.answers import AnswerFault, Written, parse_answer
from training.data.synthesis.chunks import Passage
from training.data.synthesis.styles import described

logger = logging.getLogger(__name__)

# More of a passage is not read: its queries would not be about one thing.
MAX_PASSAGE = 6_000
_AGAIN = (
    "\n\nYour last answer could not be used: {fault}. Answer again, with the JSON object alone."
)


class Writer(Protocol):
    """Writes queries for passages."""

    def write(self, passage: Passage) -> list[Written]:
        """Queries that the passage answers.

        Raises:
            AnswerFault: None could be had.
        """
        ...


@dataclass
class LlmWriter:
    """Lets an LLM write.

    Attributes:
        chat: The LLM.
        styles: In which the queries are written, in turn.
        count: Queries per passage.
        language: ``en``, ``ko`` or ``auto``.
        prompt: A template of one's own, with {count}, {styles}, {title} and {text}.
        prompt_tokens: Tokens read so far, as the endpoint counts.
        completion_tokens: Tokens written so far.
    """

    chat: ChatClient
    styles: Sequence[str]
    count: int = 3
    language: str = "auto"
    prompt: Path | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def write(self, passage: Passage) -> list[Written]:
        """Ask, and ask once more where the answer is no good.

        Raises:
            AnswerFault: The second answer is no good either.
            EncoderServiceError: The endpoint refused, or failed for too long.
        """
        prompt = self.prompt_for(passage)
        try:
            return self._ask(prompt, passage)
        except AnswerFault as fault:
            logger.info("%s: %s; asking again", passage.id, fault)
            return self._ask(prompt + _AGAIN.format(fault=fault), passage)

    def prompt_for(self, passage: Passage) -> str:
        """What the LLM is sent.

        Raises:
            EncoderError: The template cannot be used.
        """
        language = passage.language if self.language == "auto" else self.language
        fields = {
            "count": str(self.count),
            "styles": described(self.styles, language),
            "title": passage.title,
            "text": passage.text[:MAX_PASSAGE],
        }
        name = f"queries-{language}"
        if self.prompt is not None:
            return read_prompt(name, fields, self.prompt)
        folder = files("training.data.synthesis").joinpath("prompts")
        with as_file(folder.joinpath(f"{name}.txt")) as path:
            return read_prompt(name, fields, path)

    def _ask(self, prompt: str, passage: Passage) -> list[Written]:
        completion = self.chat.complete(prompt)
        self.prompt_tokens += completion.prompt_tokens
        self.completion_tokens += completion.completion_tokens
        return parse_answer(completion.text, passage, self.styles, self.count)
