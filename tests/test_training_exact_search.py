import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders.base import SparseVector
from training.errors import EvaluationError
from training.exact_search import dense_run, sparse_matrix, sparse_run, top


def sparse(rng: np.random.Generator, width: int, size: int) -> SparseVector:
    ids = np.sort(rng.choice(width, size=size, replace=False)).astype(np.int32)
    return SparseVector(ids, rng.uniform(0.1, 2, size).astype(np.float32))


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_dense_is_what_sorting_everything_gives(seed, documents, k):
    rng = np.random.default_rng(seed)
    # Few distinct values: ties at the border are the rule.
    queries = rng.integers(-1, 2, (5, 3)).astype(np.float32)
    vectors = rng.integers(-1, 2, (documents, 3)).astype(np.float32)
    ids = [f"d{i}" for i in range(documents)]
    run = dense_run([f"q{i}" for i in range(5)], queries, ids, vectors, k)
    for number, query in enumerate(queries):
        order = sorted(range(documents), key=lambda i: -float(query @ vectors[i]))
        assert list(run[f"q{number}"]) == [ids[i] for i in order[:k]]


def test_sparse_is_dense_without_zeros():
    rng = np.random.default_rng(1)
    queries = [sparse(rng, 50, 4) for _ in range(6)]
    documents = [sparse(rng, 50, 9) for _ in range(30)]
    names, ids = [f"q{i}" for i in range(6)], [f"d{i}" for i in range(30)]
    run = sparse_run(names, queries, ids, documents, 50, k=10)
    full = dense_run(
        names,
        sparse_matrix(queries, 50).toarray(),
        ids,
        sparse_matrix(documents, 50).toarray(),
        k=10,
    )
    for name in names:
        expected = {d: score for d, score in full[name].items() if score > 0}
        assert list(run[name]) == list(expected)
        assert list(run[name].values()) == pytest.approx(list(expected.values()))


def test_blocks_do_not_change_anything(monkeypatch):
    rng = np.random.default_rng(2)
    queries = rng.normal(size=(17, 4)).astype(np.float32)
    documents = rng.normal(size=(23, 4)).astype(np.float32)
    names, ids = [str(i) for i in range(17)], [str(i) for i in range(23)]
    whole = dense_run(names, queries, ids, documents, 5)
    monkeypatch.setattr("training.exact_search._BLOCK_CELLS", 50)
    blocks = dense_run(names, queries, ids, documents, 5)
    assert [list(hits) for hits in blocks.values()] == [list(hits) for hits in whole.values()]


def test_nothing_found_is_an_empty_run():
    empty = SparseVector(np.empty(0, np.int32), np.empty(0, np.float32))
    assert sparse_run(["q"], [empty], ["d"], [empty], 10) == {"q": {}}
    assert sparse_matrix([], 10).shape == (0, 10)


def test_top_takes_all_where_there_are_fewer():
    assert top(np.array([[1.0, 3.0, 2.0]], np.float32), 9).tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("count", [1, 3])
def test_ids_and_vectors_must_match(count):
    vectors = np.zeros((2, 3), np.float32)
    with pytest.raises(EvaluationError, match=f"{count} ids for 2 vectors of documents"):
        dense_run(["a", "b"], vectors, ["d"] * count, vectors)


def test_a_broken_model_shows():
    vectors = np.full((1, 2), np.nan, np.float32)
    with pytest.raises(EvaluationError, match="no finite numbers"):
        dense_run(["q"], vectors, ["d"], vectors)
