"""Folders written and read by sentence-transformers give the same vectors here and there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoder_models import DENSE_MODELS, ENGLISH, WIDTH, idf_table, model_folder, write_json

from encoders.base import SparseVector
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse

TEXTS = ["annual fee", *ENGLISH]
TORCH = LoadOptions(runtime="torch")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


@pytest.mark.parametrize("name", DENSE_MODELS)
def test_dense_folder_encodes_as_there(name: str, root: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(model_folder(name, root)), device="cpu")
    theirs.save(str(tmp_path / "saved"))
    for folder in (model_folder(name, root), tmp_path / "saved"):
        ours = load_dense(str(folder), TORCH)
        queries, documents = ours.encode_queries(TEXTS), ours.encode_documents(TEXTS)
        np.testing.assert_allclose(queries, theirs.encode_query(TEXTS), atol=1e-5)
        np.testing.assert_allclose(documents, theirs.encode_document(TEXTS), atol=1e-5)
        assert ours.max_tokens == theirs.max_seq_length


def test_projection_behind_the_pooling(root: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize

    trunk = SentenceTransformer(str(model_folder("bert-mean", root)), device="cpu")
    modules = [trunk[0], trunk[1], Dense(WIDTH, 16), Normalize()]
    theirs = SentenceTransformer(modules=modules, device="cpu")
    theirs.save(str(tmp_path))
    ours = load_dense(str(tmp_path), TORCH)
    assert ours.identity.dimension == 16
    np.testing.assert_allclose(ours.encode_documents(TEXTS), theirs.encode(TEXTS), atol=1e-5)


def test_sparse_bi_encoder_encodes_as_there(root: Path, tmp_path: Path) -> None:
    from sentence_transformers import SparseEncoder

    folder = model_folder("modernbert-splade", root)
    theirs = SparseEncoder(str(folder), device="cpu")
    theirs.save(str(tmp_path / "saved"))
    expected = _rows(theirs.encode_document(TEXTS))
    for place in (folder, tmp_path / "saved"):
        ours = load_sparse(str(place), TORCH)
        found = _dense_rows(ours.encode_documents(TEXTS), ours.identity.dimension)
        np.testing.assert_allclose(found, _without_specials(expected, theirs), atol=1e-5)
        found = _dense_rows(ours.encode_queries(TEXTS), ours.identity.dimension)
        np.testing.assert_allclose(found, _without_specials(expected, theirs), atol=1e-5)


def test_router_with_inference_free_queries(root: Path, tmp_path: Path) -> None:
    from sentence_transformers import SparseEncoder
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    folder = model_folder("bert-inference-free", root)
    documents = SparseEncoder(str(folder), device="cpu")
    write_json(tmp_path / "idf.json", idf_table(folder))
    queries = SparseStaticEmbedding.from_json(
        str(tmp_path / "idf.json"), tokenizer=documents.tokenizer
    )
    router = Router.for_query_document([queries], list(documents))
    theirs = SparseEncoder(modules=[router], device="cpu")
    theirs.save(str(tmp_path / "saved"))
    ours = load_sparse(str(tmp_path / "saved"), TORCH)
    size = ours.identity.dimension
    expected = _without_specials(_rows(theirs.encode_query(TEXTS)), theirs)
    found = _dense_rows(ours.encode_queries(TEXTS), size)
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, atol=1e-5)
    expected = _without_specials(_rows(theirs.encode_document(TEXTS)), theirs)
    found = _dense_rows(ours.encode_documents(TEXTS), size)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.any()


def _rows(tensor: Any) -> Any:
    return tensor.to_dense().cpu().numpy()


def _without_specials(rows: Any, model: Any) -> Any:
    """Special tokens, and rows beyond the vocabulary, get no weight here."""
    silent = [*model.tokenizer.all_special_ids, *range(len(model.tokenizer), rows.shape[1])]
    rows = rows.copy()
    rows[:, silent] = 0
    return rows


def _dense_rows(vectors: list[SparseVector], size: int) -> Any:
    rows = np.zeros((len(vectors), size), dtype=np.float32)
    for row, vector in zip(rows, vectors, strict=True):
        row[vector.ids] = vector.weights
    return rows
