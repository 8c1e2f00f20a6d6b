"""Checks that run by themselves: texts are read alike by the trainer and by our encoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from encoders.base import DenseEncoder, FloatMatrix
from training.dense.merging import GateError
from training.dev_sets import DevSet

ALIKE = 1e-3
_PROBES = 8


@dataclass(frozen=True, slots=True)
class Probes:
    """A few texts of unequal length.

    Attributes:
        queries: Read with the query prompt.
        documents: Read with the document prompt.
    """

    queries: Sequence[str]
    documents: Sequence[str]

    @classmethod
    def of(cls, dev_set: DevSet) -> "Probes":
        """The first texts of a set, and one short document: a batch that has to be padded."""
        documents = [*islice(dev_set.documents(), _PROBES), "a"]
        return cls(dev_set.query_texts[:_PROBES], documents)

    def encode(self, model: Any) -> FloatMatrix:
        """Vectors of a ``SentenceTransformer``, all texts of a kind in one batch.

        Returns:
            ``[queries + documents, width]``, of unit length.
        """
        options = {"normalize_embeddings": True, "show_progress_bar": False}
        queries = model.encode_query(list(self.queries), **options)
        documents = model.encode_document(list(self.documents), **options)
        return np.concatenate([queries, documents]).astype(np.float32)

    def encode_singly(self, encoder: DenseEncoder) -> FloatMatrix:
        """The same by one of our encoders, text by text: without any padding."""
        rows = [encoder.encode_queries([text]) for text in self.queries]
        rows += [encoder.encode_documents([text]) for text in self.documents]
        return np.concatenate(rows)


def check_reading(model: Any, encoder: DenseEncoder, probes: Probes) -> float:
    """The trainer must read a padded batch as our encoder reads each text alone.

    A tokenizer that pads at the side where the pooling looks for the last token, a prompt that
    only one of them knows, or another pooling shows here, before any time is spent.

    Returns:
        Largest difference of a component.

    Raises:
        GateError: They do not.
    """
    found, expected = probes.encode(model), probes.encode_singly(encoder)
    difference = float(np.abs(found - expected).max())
    if not difference <= ALIKE:
        worst = int(np.abs(found - expected).max(axis=1).argmax())
        text = [*probes.queries, *probes.documents][worst]
        side = getattr(model.tokenizer, "padding_side", "?")
        msg = (
            f"the model reads texts in a batch otherwise than alone: vectors differ by up to "
            f"{difference:.2g}, most for {text[:60]!r}. Its tokenizer pads at the {side} side: "
            "check padding_side in tokenizer_config.json against the pooling (last token: "
            "usually left), and the prompts."
        )
        raise GateError(msg)
    return difference
