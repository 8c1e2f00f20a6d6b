"""The figures that `tandem models recommend` shows, gathered from what other benchmarks measured.

    python benchmarks/model_figures.py       # writes training/recommending/figures.json

Nothing is measured here. Run it after benchmarks/results.py, serving.py or training_results.py.
"""

import json
from pathlib import Path
from typing import Any

from training.recommending.figures import COMMITTED, committed_values

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "training" / "recommending" / COMMITTED


def main() -> None:
    """Read the committed results and write the packaged file."""
    parts = (committed("results"), committed("serving-results"), committed("training-results"))
    values = committed_values(*parts)
    TARGET.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def committed(name: str) -> dict[str, Any]:
    """A file of figures; empty where it was not measured yet."""
    path = ROOT / "docs" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


if __name__ == "__main__":
    main()
