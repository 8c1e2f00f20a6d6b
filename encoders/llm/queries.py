"""What encoders share that only change queries."""

from collections.abc import Sequence

from encoders.base import DenseEncoder, EncoderIdentity, FloatMatrix


class OtherQueries:
    """Everything of a dense encoder but its queries: documents keep their vectors."""

    inner: DenseEncoder

    @property
    def identity(self) -> EncoderIdentity:
        """The inner encoder's: its documents are searched."""
        return self.inner.identity

    @property
    def max_tokens(self) -> int:
        """Longest input in tokens."""
        return self.inner.max_tokens

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return self.inner.count_tokens(texts)

    def knows(self, texts: Sequence[str]) -> list[bool]:
        """Whether the vocabulary was made for the language of each text."""
        return self.inner.knows(texts)

    def encode_documents(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode documents, ``[len(texts), dimension]``."""
        return self.inner.encode_documents(texts)
