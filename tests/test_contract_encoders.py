"""What every encoder promises, checked over every kind of encoder and both runtimes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoder_models import DENSE_MODELS, ENGLISH, SPARSE_MODELS, model_folder

from encoders.base import DenseEncoder, SparseEncoder, SparseVector, named_weights
from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse

RUNTIMES = ("torch", "onnx")
DENSE = [(name, runtime) for name in DENSE_MODELS for runtime in RUNTIMES]
SPARSE = [(name, runtime) for name in SPARSE_MODELS for runtime in RUNTIMES]
SPARSE.append(("lexical", "none"))
TEXTS = ["annual fee", "", "a loan with a fixed interest rate is repaid", "deposits", "fee " * 500]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="session")
def loaded(root: Path) -> dict[tuple[str, str], Any]:
    return {}


@pytest.fixture
def own_cache(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(root / "encoder-cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def _load(name: str, runtime: str, root: Path, loaded: dict[tuple[str, str], Any]) -> Any:
    if (name, runtime) not in loaded:
        loaded[name, runtime] = _fresh(name, runtime, root)
    return loaded[name, runtime]


def _fresh(name: str, runtime: str, root: Path, **options: Any) -> Any:
    if name == "lexical":
        return LexicalEncoder.fit(ENGLISH)
    load = load_dense if name in DENSE_MODELS else load_sparse
    chosen = LoadOptions(runtime=runtime, **options)  # type: ignore[arg-type]
    return load(str(model_folder(name, root)), chosen)


@pytest.fixture(params=DENSE, ids=["-".join(pair) for pair in DENSE])
def dense(
    request: pytest.FixtureRequest, root: Path, loaded: dict[tuple[str, str], Any], own_cache: None
) -> DenseEncoder:
    return _load(*request.param, root, loaded)


@pytest.fixture(params=SPARSE, ids=["-".join(pair) for pair in SPARSE])
def sparse(
    request: pytest.FixtureRequest, root: Path, loaded: dict[tuple[str, str], Any], own_cache: None
) -> SparseEncoder:
    return _load(*request.param, root, loaded)


@pytest.fixture(params=[*DENSE, *SPARSE], ids=["-".join(pair) for pair in [*DENSE, *SPARSE]])
def encoder(
    request: pytest.FixtureRequest, root: Path, loaded: dict[tuple[str, str], Any], own_cache: None
) -> Any:
    return _load(*request.param, root, loaded)


def test_dense_vectors_are_unit_rows_of_float32(dense: DenseEncoder) -> None:
    for found in (dense.encode_queries(TEXTS), dense.encode_documents(TEXTS)):
        assert found.shape == (len(TEXTS), dense.identity.dimension)
        assert found.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_dense_of_no_texts_has_no_rows(dense: DenseEncoder) -> None:
    for found in (dense.encode_queries([]), dense.encode_documents([])):
        assert found.shape == (0, dense.identity.dimension)


def test_dense_keeps_the_order_and_ignores_its_neighbours(dense: DenseEncoder) -> None:
    together = dense.encode_documents(TEXTS)
    alone = np.vstack([dense.encode_documents([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=2e-5)


def test_dense_is_deterministic(dense: DenseEncoder) -> None:
    first = dense.encode_documents(TEXTS)
    np.testing.assert_array_equal(first, dense.encode_documents(TEXTS))


def test_dense_cuts_what_is_too_long(dense: DenseEncoder) -> None:
    short, long = dense.encode_documents(["fee " * 200, "fee " * 5000])
    np.testing.assert_allclose(short, long, atol=1e-5)


def test_dense_satisfies_the_protocol(dense: DenseEncoder) -> None:
    assert isinstance(dense, DenseEncoder)
    assert dense.identity.kind == "dense"


def test_sparse_vectors_lie_in_the_vocabulary(sparse: SparseEncoder) -> None:
    for found in (sparse.encode_queries(TEXTS), sparse.encode_documents(TEXTS)):
        assert [type(vector) for vector in found] == [SparseVector] * len(TEXTS)
        assert len(found[0]) > 0
        for vector in found:
            assert vector.ids.dtype == np.int32
            assert vector.weights.dtype == np.float32
            assert np.isfinite(vector.weights).all()
            assert len(set(named_weights(sparse, vector))) == len(vector)


def test_sparse_gives_no_weight_to_special_tokens(sparse: SparseEncoder) -> None:
    found = sparse.encode_queries(TEXTS) + sparse.encode_documents(TEXTS)
    names = {name for vector in found for name in sparse.tokens(vector.ids.tolist())}
    assert not names & {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


def test_sparse_of_no_texts_is_empty(sparse: SparseEncoder) -> None:
    assert sparse.encode_queries([]) == []
    assert sparse.encode_documents([]) == []


def test_sparse_keeps_the_order_and_ignores_its_neighbours(sparse: SparseEncoder) -> None:
    together = sparse.encode_documents(TEXTS)
    for text, found in zip(TEXTS, together, strict=True):
        [alone] = sparse.encode_documents([text])
        assert _distance(found, alone, sparse.identity.dimension) < 2e-5


def test_sparse_is_deterministic(sparse: SparseEncoder) -> None:
    for first, second in zip(
        sparse.encode_documents(TEXTS), sparse.encode_documents(TEXTS), strict=True
    ):
        np.testing.assert_array_equal(first.ids, second.ids)
        np.testing.assert_array_equal(first.weights, second.weights)


def test_sparse_satisfies_the_protocol(sparse: SparseEncoder) -> None:
    assert isinstance(sparse, SparseEncoder)
    assert sparse.identity.kind == "sparse"


def test_counts_are_of_the_whole_text(encoder: Any) -> None:
    short, long = encoder.count_tokens(["fee", "fee " * 5000])
    assert 1 <= short < 10
    assert long >= 5000


def test_knows_the_language_it_was_made_for(encoder: Any) -> None:
    known = encoder.knows(["the annual fee", "유동성 위험", "12 345", ""])
    assert known == [True, False, True, True]


def test_identity_is_json_ready(encoder: Any) -> None:
    identity = encoder.identity.as_dict()
    assert set(identity) == {"kind", "model", "fingerprint", "dimension"}
    assert len(identity["fingerprint"]) == 32
    assert encoder.max_tokens > 0


@pytest.mark.parametrize("name", DENSE_MODELS)
def test_dense_runtimes_agree(
    name: str, root: Path, loaded: dict[tuple[str, str], Any], own_cache: None
) -> None:
    torch, onnx = (_load(name, runtime, root, loaded) for runtime in RUNTIMES)
    texts = [*TEXTS, *ENGLISH]
    for method in ("encode_queries", "encode_documents"):
        cosines = (getattr(torch, method)(texts) * getattr(onnx, method)(texts)).sum(1)
        assert cosines.min() >= 0.9999
    assert torch.identity == onnx.identity


@pytest.mark.parametrize("name", SPARSE_MODELS)
def test_sparse_runtimes_agree(
    name: str, root: Path, loaded: dict[tuple[str, str], Any], own_cache: None
) -> None:
    torch, onnx = (_load(name, runtime, root, loaded) for runtime in RUNTIMES)
    for method in ("encode_queries", "encode_documents"):
        pairs = zip(getattr(torch, method)(TEXTS), getattr(onnx, method)(TEXTS), strict=True)
        assert max(_distance(*pair, torch.identity.dimension) for pair in pairs) < 2e-5
    assert torch.identity == onnx.identity


def _distance(first: SparseVector, second: SparseVector, size: int) -> float:
    rows = np.zeros((2, size), dtype=np.float32)
    rows[0, first.ids] = first.weights
    rows[1, second.ids] = second.weights
    return float(np.abs(rows[0] - rows[1]).max())
