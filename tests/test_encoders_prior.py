"""The model with a lexical prior: its folder, its quality before training, its graph."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from encoder_models import ENGLISH, dense_bert, write_tokenizer

from encoders.base import SparseEncoder
from encoders.errors import EncoderError
from encoders.export.prior_graph import load_backbone, prior_graph
from encoders.lexical import LexicalEncoder
from encoders.options import LoadOptions
from encoders.prior import BACKBONE, PriorHead, is_prior, read_prior, write_prior
from encoders.prior_build import PriorOptions, build_prior, expandable_words, piece_vocabulary
from encoders.registry import load_dense, load_sparse, read_model

DOCUMENTS = [*ENGLISH, "a fee is charged for a loan", "annual deposits and annual payments"]
QUERIES = ["annual fee", "interest rate of a loan", "open an account", "foreign currency"]
OPTIONS = PriorOptions(expansion_rank=5, max_tokens=40, top_k=12)


@pytest.fixture(scope="module")
def sentence_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dense") / "bert"
    dense_bert(folder)
    return folder


@pytest.fixture(scope="module")
def folder(sentence_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("prior") / "model"
    model = read_model(str(sentence_encoder), LoadOptions(), "dense")
    build_prior(model, DOCUMENTS, target, OPTIONS)
    return target


def _load(folder: Path, **options: object) -> SparseEncoder:
    return load_sparse(str(folder), LoadOptions(runtime="torch", **options))  # type: ignore[arg-type]


def _scores(encoder: SparseEncoder) -> np.ndarray:
    width = encoder.identity.dimension

    def dense(vectors: list) -> np.ndarray:
        rows = np.zeros((len(vectors), width))
        for row, vector in zip(rows, vectors, strict=True):
            row[vector.ids] = vector.weights
        return rows

    queries = dense(encoder.encode_queries(QUERIES))
    return queries @ dense(encoder.encode_documents(DOCUMENTS)).T


def _without_expansion(folder: Path, target: Path, **changes: np.ndarray) -> Path:
    head = read_prior(folder)
    tensors = {**head.tensors, "gamma": np.zeros(1, np.float32), **changes}
    model = read_model(str(folder), LoadOptions(), "sparse")
    write_prior(
        target, PriorHead(head.settings, tensors), model.tokenizer.tokens(range(head.vocabulary))
    )
    (target / BACKBONE).symlink_to(folder / BACKBONE)
    return target


def test_without_expansion_it_is_bm25_over_pieces(
    folder: Path, sentence_encoder: Path, tmp_path: Path
) -> None:
    lexical = LexicalEncoder.fit(DOCUMENTS, str(sentence_encoder))
    plain = _load(_without_expansion(folder, tmp_path / "plain"), top_k=300)
    np.testing.assert_allclose(_scores(plain), _scores(lexical), rtol=1e-5)


def test_expansion_adds_whole_words_that_the_document_does_not_hold(folder: Path) -> None:
    encoder = _load(folder)
    words = set(read_prior(folder).tensors["words"].tolist())
    added: set[int] = set()
    # Which documents have room for more depends on pieces that differ from process to process.
    for text in DOCUMENTS:
        (vector,) = encoder.encode_documents([text])
        (own,) = encoder.encode_queries([text])
        added |= set(vector.ids.tolist()) - set(own.ids.tolist())
    assert added
    assert added <= words


def test_a_document_keeps_at_most_top_k_entries_worth_most(folder: Path, tmp_path: Path) -> None:
    long = " ".join(ENGLISH)
    kept = _load(folder).encode_documents([long])[0]
    whole = _load(folder, top_k=300).encode_documents([long])[0]
    assert len(kept) == 12 < len(whole)
    worth = whole.weights * read_prior(folder).query_weights()[whole.ids]
    best = np.argsort(-worth, kind="stable")[:12]
    np.testing.assert_array_equal(np.sort(whole.ids[best]), kept.ids)


def test_torch_and_onnx_agree(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))
    exported = load_sparse(str(folder), LoadOptions(runtime="onnx"))
    original = _load(folder)
    assert exported.identity == original.identity
    texts = ["", "fee", *DOCUMENTS]
    pairs = zip(original.encode_documents(texts), exported.encode_documents(texts), strict=True)
    for first, second in pairs:
        # Entries at the very threshold may be 0 in one and 1e-7 in the other.
        found, expected = (
            {k: w for k, w in zip(v.ids.tolist(), v.weights.tolist(), strict=True) if w > 1e-5}
            for v in (first, second)
        )
        assert found == pytest.approx(expected, abs=1e-5)
    for first, second in zip(
        original.encode_queries(QUERIES), exported.encode_queries(QUERIES), strict=True
    ):
        np.testing.assert_allclose(first.weights, second.weights, rtol=1e-6)


def test_padding_changes_nothing(folder: Path) -> None:
    head = read_prior(folder)
    graph = prior_graph(load_backbone(folder / BACKBONE, head.settings), head).eval()
    ids = torch.tensor([[2, 40, 50, 60, 3]])
    wide = torch.cat([ids, torch.zeros(1, 4, dtype=torch.long)], 1)
    mask = torch.tensor([[1] * 5 + [0] * 4])
    with torch.inference_mode():
        torch.testing.assert_close(graph(ids, torch.ones_like(ids)), graph(wide, mask))


def test_static_backbone(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    backbone = tmp_path / "model" / BACKBONE
    write_tokenizer(backbone)
    random = np.random.default_rng(0)
    table = random.normal(size=(320, 16)).astype(np.float32)
    save_file({"embedding.weight": table}, str(backbone / "model.safetensors"))
    words = np.arange(100, 120)
    vectors = table[words] / np.linalg.norm(table[words], axis=1, keepdims=True)
    from encoders.prior import PriorSettings

    settings = PriorSettings("static", average_length=5.0, max_tokens=32, top_k=None)
    tensors = {
        "content": np.ones(320, np.float32),
        "idf": np.ones(320, np.float32),
        "query_gain": np.zeros(320, np.float32),
        "asked": np.ones(320, np.float32),
        "words": words,
        "word_vectors": vectors,
        "thresholds": np.full(20, 2.0, np.float32),
        "projection.weight": np.eye(16, dtype=np.float32),
        "projection.bias": np.zeros(16, np.float32),
        "gamma": np.full(1, 0.5, np.float32),
        "own": np.full(320, np.log(2), np.float32),
    }
    head = PriorHead(settings, tensors)
    write_prior(tmp_path / "model", head, [str(n) for n in range(320)])
    graph = prior_graph(load_backbone(backbone, settings), head).eval()
    found = graph(torch.tensor([[105, 105]]), torch.ones(1, 2, dtype=torch.long))[0].detach()
    # tf 2, length 2 of 5: 2 * 2.2 / (2 + 1.2 * (.25 + .75 * .4)), doubled; cosine with itself 1.
    lexical = 2 * 4.4 / (2 + 1.2 * 0.55)
    assert float(found[105]) == pytest.approx(lexical + 0.5 * np.log1p(10 - 2), rel=1e-5)


def test_adapted_to_another_corpus_it_weighs_by_that_corpus(folder: Path) -> None:
    model = read_model(str(folder), LoadOptions(), "sparse")
    from encoders.prior_build import prior_statistics

    head = read_prior(folder)
    statistics = prior_statistics(model, ["fee fee loan", "fee"], 40)
    adapted = head.adapted(statistics)
    assert adapted.settings.average_length == pytest.approx(2.0)
    fee, loan = (model.tokenizer.token_ids([w])[0][1] for w in ("fee", "loan"))
    assert adapted.query_weights()[fee] < adapted.query_weights()[loan]


def test_a_changed_weight_changes_the_fingerprint(folder: Path, tmp_path: Path) -> None:
    idf = read_prior(folder).tensors["idf"].copy()
    idf[-1] += 0.1
    changed = _without_expansion(folder, tmp_path / "changed", idf=idf)
    plain = _without_expansion(folder, tmp_path / "plain")
    assert _load(changed).identity != _load(plain).identity


def test_words_to_expand_to_are_whole_alphabetic_words(folder: Path) -> None:
    model = read_model(str(folder), LoadOptions(), "sparse")
    vocabulary = piece_vocabulary(model, 64)
    names = model.tokenizer.tokens(list(expandable_words(vocabulary)))
    assert "currency" in names
    assert all(name.isalpha() and len(name) >= 3 for name in names)
    assert not {"the", "with"} & set(names)


def test_refusals(folder: Path, tmp_path: Path, sentence_encoder: Path) -> None:
    assert is_prior(folder)
    assert not is_prior(sentence_encoder)
    with pytest.raises(EncoderError, match="sparse model"):
        load_dense(str(folder))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(
        json.dumps({"model_type": "lexical-prior", "version": 9, "vocab_size": 3})
    )
    with pytest.raises(EncoderError, match="version 9"):
        load_sparse(str(broken))
    model = read_model(str(sentence_encoder), LoadOptions(), "dense")
    with pytest.raises(EncoderError, match="corpus is empty"):
        build_prior(model, [], tmp_path / "empty", OPTIONS)
