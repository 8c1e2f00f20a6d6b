"""A sample of a corpus: every document equally likely, in the order of the corpus."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ingest.records import Chunk, Document, Reject
from operations.planning.errors import PlanningError

_SEED = 0


@dataclass(frozen=True, slots=True)
class DocumentSample:
    """Some documents, and how many times as much text the corpus is.

    Attributes:
        documents: The sample.
        total: Documents of the corpus.
        factor: Text of the corpus by text of the sample.
    """

    documents: tuple[Document, ...]
    total: int
    factor: float

    def scaled_to(self, documents: int) -> "DocumentSample":
        """The same sample as that of a corpus with so many documents."""
        return DocumentSample(self.documents, documents, self.factor * documents / self.total)


def sample_documents(items: Iterable[Document | Reject], most: int) -> DocumentSample:
    """Read a corpus once and keep so many of its documents (reservoir sampling, algorithm R).

    Raises:
        PlanningError: It has no documents.
    """
    generator = random.Random(_SEED)  # noqa: S311  # a sample, not a secret
    kept: list[tuple[int, Document]] = []
    total = text = 0
    for item in items:
        if not isinstance(item, Document):
            continue
        place = generator.randint(0, total)
        if total < most:
            kept.append((total, item))
        elif place < most:
            kept[place] = (total, item)
        total += 1
        text += _size(item)
    if not kept:
        msg = "The corpus has no documents, so there is nothing to plan with."
        raise PlanningError(msg)
    documents = tuple(document for _, document in sorted(kept, key=lambda pair: pair[0]))
    return DocumentSample(documents, total, text / max(1, sum(map(_size, documents))))


def chunks_of(
    sample: DocumentSample, chunk: Callable[[Document], Iterable[Chunk]]
) -> tuple[Chunk, ...]:
    """The passages of the sample's documents."""
    return tuple(piece for document in sample.documents for piece in chunk(document))


def _size(document: Document) -> int:
    return len(document.title.encode()) + len(document.text.encode())
