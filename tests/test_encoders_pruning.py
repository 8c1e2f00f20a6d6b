import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.pruning import NO_PRUNING, Pruning, prune, sparse_rows

ROW = np.asarray([[0.0, 2.0, 0.5, 0.0, 1.0, 0.5]], dtype=np.float32)
WEIGHTS = st.lists(st.floats(0, 10, width=32), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("pruning", "ids"),
    [
        (NO_PRUNING, [1, 2, 4, 5]),
        (Pruning(top_k=2), [1, 4]),
        (Pruning(top_k=3), [1, 2, 4]),  # of two equal weights the lower id stays
        (Pruning(ratio=0.5), [1, 4]),
        (Pruning(ratio=0.0), [1, 2, 4, 5]),
        (Pruning(top_k=1, ratio=0.1), [1]),
        (Pruning(top_k=100), [1, 2, 4, 5]),
    ],
)
def test_what_is_left(pruning: Pruning, ids: list[int]) -> None:
    [vector] = sparse_rows(ROW, pruning)
    assert vector.ids.tolist() == ids
    assert vector.weights.tolist() == ROW[0, ids].tolist()


def test_a_row_of_zeros_is_empty() -> None:
    [vector] = sparse_rows(np.zeros((1, 5), dtype=np.float32), Pruning(top_k=3, ratio=0.5))
    assert len(vector) == 0


@given(WEIGHTS, st.integers(1, 40))
def test_top_k_keeps_the_heaviest(weights: list[float], top_k: int) -> None:
    values = np.asarray(weights, dtype=np.float32)
    vector = prune(np.arange(len(values), dtype=np.int32), values, Pruning(top_k=top_k))
    heaviest = sorted((value for value in values.tolist() if value > 0), reverse=True)[:top_k]
    assert sorted(vector.weights.tolist(), reverse=True) == heaviest
