"""How long work tells of itself; the command line renders it, the library stays silent."""

from typing import Protocol


class EngineProgress(Protocol):
    """Receiver of what happens while an engine is assembled and started.

    `received` and `file_done` are called from several threads, never two at the same time.
    """

    def stage(self, message: str) -> None:
        """A new step begins."""

    def downloads(self, files: int, size: int) -> None:
        """`files` files, together about `size` bytes, are about to be fetched."""

    def received(self, size: int) -> None:
        """Another `size` bytes have arrived; negative where a file begins anew."""

    def file_done(self, name: str) -> None:
        """One file is there, and verified."""


class Silent:
    """A progress that nobody sees."""

    def stage(self, message: str) -> None:
        """Ignore it."""

    def downloads(self, files: int, size: int) -> None:
        """Ignore it."""

    def received(self, size: int) -> None:
        """Ignore it."""

    def file_done(self, name: str) -> None:
        """Ignore it."""
