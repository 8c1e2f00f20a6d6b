"""The texts that queries are written for."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from encoders.errors import EncoderError
from ingest.corpus import CorpusOptions, read_corpus
from ingest.errors import IngestError
from ingest.records import Document
from opensearch.languages import main_script
from training.data.beir import passage
from training.data.errors import TrainingDataError


@dataclass(frozen=True, slots=True)
class Passage:
    """A text without queries.

    Attributes:
        id: Its id in the corpus.
        title: Its title, may be empty.
        text: What queries are asked about.
    """

    id: str
    title: str
    text: str

    @property
    def whole(self) -> str:
        """Title and text, as encoders read them."""
        return passage(self.title, self.text)

    @property
    def language(self) -> str:
        """``ko`` where most is written in Hangul, else ``en``."""
        return "ko" if main_script(self.text) == "hangul" else "en"


def read_passages(corpus: Path, *, least: int = 1, limit: int | None = None) -> Iterator[Passage]:
    """The documents of a corpus, in its order; faulty ones are passed over.

    Long documents should be chunked first: an LLM reads only the beginning of a text.

    Args:
        corpus: Anything `tandem index` reads.
        least: Shorter texts are left out (characters).
        limit: Take only so many.

    Raises:
        TrainingDataError: The corpus cannot be read.
    """
    items = read_corpus(CorpusOptions(source=corpus))
    found = (
        Passage(item.id, item.title, item.text)
        for item in items
        if isinstance(item, Document) and len(item.text) >= least
    )
    try:
        yield from islice(found, limit)
    except (IngestError, EncoderError) as error:
        raise TrainingDataError([str(error)]) from error
