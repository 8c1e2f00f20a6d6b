"""Pure parts of building an index."""

import numpy as np
import pytest

from opensearch.workflows.build import dense_floor, heaviest_weight, passage_lengths


class English:
    """Knows ASCII; other letters are three tokens each."""

    def count_tokens(self, texts):
        return [len(t.split()) if t.isascii() else 3 * len(t) for t in texts]

    def knows(self, texts):
        return [t.isascii() or t.startswith("é") for t in texts]

    def encode_queries(self, texts):
        return np.eye(len(texts), 8, dtype=np.float32)

    encode_documents = encode_queries


@pytest.mark.parametrize(
    ("text", "length"),
    [
        pytest.param("three plain words", 3, id="known"),
        pytest.param("é" * 10, 30, id="known, not ASCII"),
        # 90 characters are 45 usual tokens: a tenth of 450, so a tenth of the size of 256.
        pytest.param("가" * 90, 26, id="unknown"),
        pytest.param("가", 1, id="one syllable"),
    ],
)
def test_a_passage_is_measured_by_who_can_read_it(text: str, length: int) -> None:
    assert passage_lengths(English(), 256, [text]) == [length]


def test_the_floor_lies_below_the_mean_and_never_below_zero() -> None:
    assert dense_floor(English(), ["a b", "c d", "e f"]) == 0.0
    assert dense_floor(English(), ["only one text"]) is None
    assert dense_floor(English(), ["한국어", "문서만"]) is None


def test_without_weights_the_heaviest_is_one() -> None:
    assert heaviest_weight(None, ["text"]) == 1.0
