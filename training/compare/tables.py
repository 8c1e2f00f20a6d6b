"""A small table as aligned text and as Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of words and numbers.

    Attributes:
        headers: One per column.
        rows: As many cells each.
        words: How many of the first columns hold words; numbers are aligned to the right.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1

    def plain(self) -> str:
        """The table as aligned text."""
        lines = [self.headers, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.headers))]
        return "\n".join(self._line(line, widths) for line in lines)

    def markdown(self) -> str:
        """The table in Markdown."""
        rule = ["---"] * self.words + ["---:"] * (len(self.headers) - self.words)
        rows = [self.headers, rule, *self.rows]
        return "\n".join(f"| {' | '.join(_escaped(row))} |" for row in rows)

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        aligned = [
            cell.ljust(width) if i < self.words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(aligned).rstrip()


def _escaped(cells: Sequence[str]) -> list[str]:
    return [" ".join(cell.split()).replace("|", "\\|") for cell in cells]
