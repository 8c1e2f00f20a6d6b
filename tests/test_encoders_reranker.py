"""Cross-encoders: against Transformers itself, in both runtimes, whatever their neighbours."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoder_models import ENGLISH, VOCABULARY_SIZE, WIDTH, write_json, write_tokenizer

from encoders.base import Reranker
from encoders.errors import EncoderError, ParityError
from encoders.export.reranker_graph import check_score_parity
from encoders.options import LoadOptions
from encoders.registry import load_reranker
from encoders.reranker import CrossEncoder
from encoders.tokenization import Batch

QUERY = "what is the annual fee of a card"
RUNTIMES = ("torch", "onnx")
KINDS = ("bert", "roberta")


def pair_tokenizer(folder: Path) -> None:
    """A tokenizer that marks the second text of a pair by token type 1."""
    from tokenizers import Tokenizer, processors

    write_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]
    write_json(folder / "tokenizer_config.json", settings)


def cross_encoder(folder: Path, kind: str = "bert", labels: int = 1) -> Path:
    """A folder as Transformers saves it, with random weights from a fixed seed."""
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    pair_tokenizer(folder)
    torch.manual_seed(5)
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "initializer_range": 0.3,
        "num_labels": labels,
        "pad_token_id": 0,
    }
    model: Any
    if kind == "bert":
        model = BertForSequenceClassification(BertConfig(max_position_embeddings=64, **sizes))
    else:
        config = RobertaConfig(max_position_embeddings=41, type_vocab_size=1, **sizes)
        model = RobertaForSequenceClassification(config)
    model.eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("cross-encoders")
    return {kind: cross_encoder(root / kind, kind) for kind in KINDS}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path_factory.getbasetemp() / "reranker-cache"))


def load(folder: Path, runtime: str = "torch", **options: Any) -> CrossEncoder:
    loaded = load_reranker(str(folder), LoadOptions(runtime=runtime, **options))
    assert isinstance(loaded, CrossEncoder)
    assert isinstance(loaded, Reranker)
    return loaded


def expected_logits(folder: Path, texts: list[str]) -> np.ndarray:
    """What Transformers itself gives, one pair at a time."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    rows = []
    for text in texts:
        given = tokenizer([[QUERY, text]], truncation=True, max_length=40, return_tensors="pt")
        if model.config.type_vocab_size < 2:
            del given["token_type_ids"]  # no published model of this kind hands them over
        with torch.inference_mode():
            rows.append(float(model(**given).logits[0, 0]))
    return np.asarray(rows, dtype=np.float32)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


@pytest.mark.parametrize(
    ("kind", "runtime"), [("bert", "torch"), ("bert", "onnx"), ("roberta", "torch")]
)
def test_scores_are_those_of_transformers(
    folders: dict[str, Path], kind: str, runtime: str
) -> None:
    texts = [*ENGLISH, "", "the loan " * 200]
    limit = {"max_tokens": 40} if kind == "bert" else {}
    found = load(folders[kind], runtime, **limit).score(QUERY, texts)
    logits = expected_logits(folders[kind], texts)
    assert np.ptp(logits) > 0.05, "the model must tell texts apart for this to mean anything"
    np.testing.assert_allclose(found, sigmoid(logits), atol=2e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_neighbours_do_not_change_a_score(folders: dict[str, Path], runtime: str) -> None:
    reranker = load(folders["bert"], runtime, batch_tokens=128)
    together = reranker.score(QUERY, ENGLISH)
    alone = [float(reranker.score(QUERY, [text])[0]) for text in ENGLISH]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    mixed = reranker.score_pairs([("fee", "a"), (QUERY, ENGLISH[1]), ("b", "x " * 60)])
    np.testing.assert_allclose(mixed[1], together[1], atol=1e-5)


def test_no_texts_give_no_scores(folders: dict[str, Path]) -> None:
    assert load(folders["bert"]).score(QUERY, []).shape == (0,)


def test_segments_reach_the_network(folders: dict[str, Path]) -> None:
    reranker = load(folders["bert"])
    ids = np.array([[2, 40, 3, 50, 3]])
    one, two = (reranker.runner.run(Batch(ids, np.array([m]))) for m in ([1] * 5, [1, 1, 1, 2, 2]))
    assert abs(float(one[0, 0] - two[0, 0])) > 1e-4


def test_tokens_of_pairs_are_counted_whole(folders: dict[str, Path]) -> None:
    reranker = load(folders["bert"])
    short, long = reranker.count_tokens([("fee", "fee"), ("fee", "fee " * 300)])
    assert short == 5
    assert long == 304 > reranker.max_tokens


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "config_sentence_transformers.json",
            {"activation_fn": "torch.nn.modules.linear.Identity"},
        ),
        ("config.json", {"sentence_transformers": {"activation_fn": "torch.nn.Identity"}}),
        ("config.json", {"sbert_ce_default_activation_function": "torch.nn.Identity"}),
    ],
    ids=["version 6", "version 4", "version 2"],
)
def test_the_models_own_activation_is_applied(
    folders: dict[str, Path], tmp_path: Path, name: str, content: dict[str, Any]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["bert"], folder)
    before = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
    write_json(folder / name, before | content)
    found = load(folder, max_tokens=40).score(QUERY, ENGLISH)
    np.testing.assert_allclose(found, expected_logits(folder, list(ENGLISH)), atol=2e-5)


def test_a_folder_of_sentence_transformers(folders: dict[str, Path], tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder as Original

    original = Original(str(folders["bert"]), device="cpu")
    original.save_pretrained(str(tmp_path / "saved"))
    expected = original.predict([(QUERY, text) for text in ENGLISH])
    found = load(tmp_path / "saved", max_tokens=64).score(QUERY, ENGLISH)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_identity_follows_what_changes_a_score(folders: dict[str, Path], tmp_path: Path) -> None:
    torch_one, onnx_one = (load(folders["bert"], runtime).identity for runtime in RUNTIMES)
    assert torch_one == onnx_one
    shorter = load(folders["bert"], max_tokens=20).identity
    other = load(folders["roberta"]).identity
    assert len({torch_one.fingerprint, shorter.fingerprint, other.fingerprint}) == 3


def test_roberta_counts_positions_behind_the_padding(folders: dict[str, Path]) -> None:
    assert load(folders["roberta"]).max_tokens == 40


def test_what_is_no_cross_encoder_is_refused(tmp_path: Path) -> None:
    from encoder_models import dense_bert

    dense_bert(tmp_path / "dense")
    with pytest.raises(EncoderError, match="no cross-encoder: it is a BertModel"):
        load(tmp_path / "dense")
    with pytest.raises(EncoderError, match="2 label"):
        load(cross_encoder(tmp_path / "two", labels=2))
    with pytest.raises(EncoderError, match="not from a service"):
        load_reranker("tei:http://127.0.0.1:1")


def test_unknown_activation_and_modules_are_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["bert"], folder)
    write_json(folder / "config_sentence_transformers.json", {"activation_fn": "mine.Cube"})
    with pytest.raises(EncoderError, match=r"applies mine\.Cube"):
        load(folder)
    (folder / "config_sentence_transformers.json").unlink()
    entries = [{"type": f"x.{name}", "path": ""} for name in ("Transformer", "LogitScore")]
    write_json(folder / "modules.json", entries)
    with pytest.raises(EncoderError, match="LogitScore"):
        load(folder)


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    from encoder_models import dense_bert

    folder = tmp_path / "headless"
    dense_bert(folder)
    for stale in ("modules.json", "sentence_bert_config.json"):
        (folder / stale).unlink()
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "score"}}
    write_json(folder / "config.json", config)
    with pytest.raises(EncoderError, match=r"lacks weights .*classifier"):
        load(folder)


def test_an_export_that_differs_is_refused(folders: dict[str, Path]) -> None:
    class Wrong:
        description = "wrong"
        accelerated = False

        def run(self, batch: Batch) -> np.ndarray:
            return right.run(batch) + np.float32(0.01)

    reranker = load(folders["bert"])
    right = reranker.runner
    assert check_score_parity(right, right, reranker.model) == 0
    with pytest.raises(ParityError, match="off by"):
        check_score_parity(right, Wrong(), reranker.model)
