"""Where the sample corpus that ships with the project lies."""

from importlib.resources import files
from pathlib import Path


def sample_folder() -> Path:
    """The folder of the sample, in BEIR form.

    Returns:
        A folder with ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/test.tsv``; ``SOURCE.md``
        says who wrote it and how it was judged.
    """
    return Path(str(files("training.sample")))
