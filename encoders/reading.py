"""How an encoder with a tokenizer looks at texts, dense or sparse alike."""

from collections.abc import Sequence
from functools import cached_property

from encoders.coverage import VocabularyCoverage
from encoders.model import Model


class Reading:
    """What follows from a model's tokenizer alone."""

    model: Model

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens, prompt included."""
        return self.model.settings.text.max_tokens

    @cached_property
    def coverage(self) -> VocabularyCoverage:
        """Which languages the vocabulary was made for."""
        return VocabularyCoverage(self.model.tokenizer)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before truncation, special tokens included, prompts not."""
        return self.model.tokenizer.count(texts)

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """Whether the vocabulary was made for the language of each text."""
        return self.coverage.knows(texts)
