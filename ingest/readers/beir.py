"""BEIR folders: ``corpus.jsonl`` beside queries and judgements."""

from collections.abc import Iterator
from pathlib import Path

from ingest.errors import SourceError
from ingest.readers.jsonl import read_jsonl
from ingest.readers.options import ReadOptions
from ingest.records import Document, Reject

CORPUS_NAMES = ("corpus.jsonl", "corpus.jsonl.gz")


def corpus_file(folder: Path) -> Path | None:
    """The corpus of a BEIR folder, or None if it is not one."""
    return next((folder / name for name in CORPUS_NAMES if (folder / name).is_file()), None)


def read_beir(folder: Path, options: ReadOptions) -> Iterator[Document | Reject]:
    """Read the corpus of a BEIR folder.

    Raises:
        SourceError: The folder holds no corpus.
    """
    corpus = corpus_file(folder)
    if corpus is None:
        msg = f"{folder} is not a BEIR folder: it holds neither {' nor '.join(CORPUS_NAMES)}"
        raise SourceError(msg)
    return read_jsonl(corpus, options)
