"""How documents are cut into chunks."""

from dataclasses import dataclass

from ingest.errors import IngestError

TWO_LEVEL = "two-level"
STRATEGIES = ("recursive", "fixed", "sentence", "paragraph", "semantic", TWO_LEVEL)
COARSE_FACTOR = 4


@dataclass(frozen=True, slots=True)
class ChunkOptions:
    """Strategy and budget; the defaults fill a 512-token encoder and leave room for a prompt.

    Attributes:
        strategy: One of ``STRATEGIES``.
        size: Most tokens of a passage: title, text and special tokens.
        overlap: Most tokens that a chunk repeats from the one before; ``semantic`` repeats none.
        coarse_size: The same budget for coarse chunks of ``two-level``; default 4 * size. The
            encoder cuts off what exceeds its own limit.
    """

    strategy: str = "recursive"
    size: int = 450
    overlap: int = 50
    coarse_size: int | None = None

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            msg = f"unknown chunking strategy {self.strategy!r}; allowed: {', '.join(STRATEGIES)}"
            raise IngestError(msg)
        if self.size < 1:
            msg = f"chunk size is {self.size}; it must be at least 1 token"
            raise IngestError(msg)
        if not 0 <= self.overlap <= self.size // 2:
            msg = (
                f"chunk overlap is {self.overlap}; it must lie between 0 and half the chunk size "
                f"({self.size // 2})"
            )
            raise IngestError(msg)
        if self.coarse_size is not None and self.coarse_size < self.size:
            msg = f"coarse size {self.coarse_size} is below the size of fine chunks, {self.size}"
            raise IngestError(msg)

    @property
    def coarse_tokens(self) -> int:
        """The budget of coarse chunks."""
        return self.coarse_size or COARSE_FACTOR * self.size
