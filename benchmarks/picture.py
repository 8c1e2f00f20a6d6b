"""The picture in the README: what `tandem quickstart` prints, as SVG.

    python benchmarks/picture.py             # runs the quickstart, writes docs/quickstart.svg

It uses the cluster that `tandem` finds, and ends where the first explained query ends.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent.parent / "docs" / "quickstart.svg"
WIDTH = 124
LINES = 34


def main() -> None:
    """Run the quickstart in an empty folder and draw its first lines."""
    program = "from opensearch.cli.root import main; main()"
    command = [sys.executable, "-c", program, "quickstart", *sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "COLUMNS": str(WIDTH)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=True,
        )
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: PTH123
    console.print(Text("$ tandem quickstart", style="bold"))
    for line in done.stdout.splitlines()[:LINES]:
        console.print(_styled(line))
    PICTURE.write_text(console.export_svg(title="tandem quickstart"), encoding="utf-8")


def _styled(line: str) -> Text:
    text = Text(line, no_wrap=True, overflow="ellipsis")
    if line.startswith(("hybrid ", "Over ", "Queries that")):
        text.stylize("bold")
    if line.startswith("“"):
        text.stylize("cyan")
    if line.lstrip().startswith(("legs:", "document tokens:", "query tokens:")):
        text.stylize("dim")
    return text


if __name__ == "__main__":
    main()
