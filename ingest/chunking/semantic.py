"""Borders where the topic changes: where neighbouring sentences have little in common."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from encoders.base import FloatMatrix
from ingest.chunking.packing import SENTENCES, Unit, measured_units, pack
from ingest.chunking.spans import Span
from ingest.chunking.tokens import TokenMeter

Embed: TypeAlias = Callable[[Sequence[str]], FloatMatrix]
"""Texts to a ``[len(texts), dimension]`` matrix: ``DenseEncoder.encode_documents``."""

SENTENCES_PER_CALL = 256
# Topics shorter than this part of the budget are joined to the next: a lone sentence says little.
SMALLEST_PART = 8


class SemanticSplitter:
    """Starts a chunk where the similarity of neighbouring sentences drops.

    A drop is a cosine similarity more than one standard deviation below the document's mean.
    Within a topic sentences are packed up to the budget.
    """

    def __init__(self, meter: TokenMeter, embed: Embed) -> None:
        self._meter = meter
        self._embed = embed

    def split(self, text: str, budget: int) -> list[Span]:
        """Cut at topics; see ``Splitter.split``."""
        units = measured_units(text, self._meter, SENTENCES, budget)
        similarities = self._similarities([text[unit.start : unit.end] for unit in units])
        topics = group(units, drops(similarities), budget // SMALLEST_PART)
        return [span for topic in topics for span in pack(topic, budget, 0)]

    def _similarities(self, sentences: Sequence[str]) -> FloatMatrix:
        """Cosine similarity of each sentence to the next: ``[len(sentences) - 1]``."""
        found: list[FloatMatrix] = []
        before: FloatMatrix | None = None
        for at in range(0, len(sentences), SENTENCES_PER_CALL):
            vectors = _normalised(self._embed(sentences[at : at + SENTENCES_PER_CALL]))
            joined = vectors if before is None else np.concatenate([before, vectors])
            found.append(np.sum(joined[:-1] * joined[1:], axis=1))
            before = vectors[-1:]
        return np.concatenate(found)


def drops(similarities: FloatMatrix) -> set[int]:
    """Indices of sentences that begin a topic, from the similarity of each to its successor."""
    if similarities.size == 0:
        return set()
    threshold = float(similarities.mean()) - float(similarities.std())
    return {int(index) + 1 for index in np.flatnonzero(similarities < threshold - 1e-6)}


def group(units: Sequence[Unit], borders: set[int], smallest: int) -> Iterator[list[Unit]]:
    """Units between borders; a border is passed over while its topic is below the smallest."""
    topic: list[Unit] = []
    for index, unit in enumerate(units):
        if index in borders and sum(member.tokens for member in topic) >= max(1, smallest):
            yield topic
            topic = []
        topic.append(unit)
    if topic:
        yield topic


def _normalised(vectors: FloatMatrix) -> FloatMatrix:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)
