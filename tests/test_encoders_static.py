"""Static models: the same vectors as in sentence-transformers, in PyTorch and in ONNX Runtime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoder_models import ENGLISH, KOREAN, WIDTH, write_tokenizer

from encoders.errors import EncoderError
from encoders.export.folder import read_description
from encoders.options import LoadOptions, Runtime
from encoders.registry import load_dense, load_sparse

TEXTS = [*ENGLISH, *KOREAN, "fee", "fee " * 50]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path_factory.getbasetemp() / "static-cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def static_model(folder: Path, *further: Any, prompts: dict[str, str] | None = None) -> Any:
    """A model of sentence-transformers on a random table, saved into ``folder``."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    write_tokenizer(folder / "made", [*ENGLISH, *KOREAN])
    tokenizer = Tokenizer.from_file(str(folder / "made" / "tokenizer.json"))
    tokenizer.no_truncation()
    torch.manual_seed(5)
    table = StaticEmbedding(tokenizer, embedding_dim=WIDTH)
    model = SentenceTransformer(modules=[table, *further], device="cpu", prompts=prompts)
    model.save(str(folder / "model"))
    return model


def normalize() -> Any:
    from sentence_transformers.base.modules import Normalize

    return Normalize()


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_the_same_vectors_as_there(runtime: Runtime, tmp_path: Path) -> None:
    theirs = static_model(tmp_path, normalize())
    ours = load_dense(str(tmp_path / "model"), LoadOptions(runtime=runtime))
    np.testing.assert_allclose(ours.encode_documents(TEXTS), theirs.encode(TEXTS), atol=1e-6)
    assert ours.identity.dimension == WIDTH


def test_prompts_and_a_layer_behind_the_mean(tmp_path: Path) -> None:
    from sentence_transformers.base.modules import Dense

    prompts = {"query": "fee ", "document": ""}
    theirs = static_model(tmp_path, Dense(WIDTH, 16), normalize(), prompts=prompts)
    ours = load_dense(str(tmp_path / "model"), LoadOptions(runtime="torch"))
    np.testing.assert_allclose(ours.encode_queries(TEXTS), theirs.encode_query(TEXTS), atol=1e-6)
    assert ours.identity.dimension == 16


def test_no_special_tokens_are_added(tmp_path: Path) -> None:
    static_model(tmp_path)
    ours = load_dense(str(tmp_path / "model"), LoadOptions(runtime="torch"))
    once, twice, nothing = ours.count_tokens(["fee", "fee fee", ""])
    assert (twice, nothing) == (2 * once, 0)


def test_a_text_of_nothing_has_a_vector(tmp_path: Path) -> None:
    static_model(tmp_path, normalize())
    ours = load_dense(str(tmp_path / "model"), LoadOptions(runtime="torch"))
    assert np.linalg.norm(ours.encode_documents([""])) == pytest.approx(1)


def test_what_the_tokenizer_cuts_off_is_cut_off(tmp_path: Path) -> None:
    static_model(tmp_path, normalize())
    path = tmp_path / "model" / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    cut = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps({**tokenizer, "truncation": cut}), encoding="utf-8")
    ours = load_dense(str(tmp_path / "model"), LoadOptions(runtime="torch"))
    whole, begun = ours.encode_documents([ENGLISH[0], " ".join(ENGLISH[0].split()[:3])])
    assert ours.max_tokens == 3
    np.testing.assert_allclose(whole, begun, atol=1e-6)


def test_the_languages_of_its_vocabulary_are_known(tmp_path: Path) -> None:
    static_model(tmp_path)
    ours = load_dense(str(tmp_path / "model"), LoadOptions(runtime="torch"))
    assert ours.knows([KOREAN[0], ENGLISH[0], "кредитная карта"]) == [True, True, False]


def test_the_tokenizer_of_an_export_adds_nothing_either(tmp_path: Path) -> None:
    static_model(tmp_path, normalize())
    from encoders.export.exporter import export_model
    from encoders.registry import read_model

    folder = tmp_path / "export"
    folder.mkdir()
    export_model(read_model(str(tmp_path / "model"), LoadOptions(), "dense"), folder)
    assert not read_description(folder).settings.text.special_tokens
    serialized = (folder / "tokenizer.json").read_text(encoding="utf-8")
    assert json.loads(serialized)["post_processor"] is None
    exported, source = load_dense(str(folder)), load_dense(str(tmp_path / "model"))
    expected = source.encode_queries(TEXTS)
    np.testing.assert_allclose(exported.encode_queries(TEXTS), expected, atol=1e-6)
    assert exported.identity.fingerprint == source.identity.fingerprint


def test_the_table_of_model2vec(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    static_model(tmp_path, normalize())
    path = tmp_path / "model" / "model.safetensors"
    table = load_file(path)["embedding.weight"]
    reference = load_dense(str(tmp_path / "model"), LoadOptions(runtime="torch"))
    expected = reference.encode_documents(TEXTS)
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(1))
    rows = torch.empty_like(table)
    rows[order] = table / 2
    weights = {"embeddings": rows, "mapping": order, "weights": torch.full((len(table),), 2.0)}
    save_file(weights, path)
    found = load_dense(str(tmp_path / "model"), LoadOptions(runtime="torch"))
    np.testing.assert_allclose(found.encode_documents(TEXTS), expected, atol=1e-6)


def test_it_is_no_sparse_model_and_needs_its_table(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    static_model(tmp_path)
    with pytest.raises(EncoderError, match="module StaticEmbedding"):
        load_sparse(str(tmp_path / "model"))
    save_file({}, tmp_path / "model" / "model.safetensors")
    with pytest.raises(EncoderError, match="no table of token vectors"):
        load_dense(str(tmp_path / "model"))
