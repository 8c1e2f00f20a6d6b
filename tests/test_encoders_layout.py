import logging
from pathlib import Path

import pytest
from encoder_models import write_dense_modules, write_json, write_modules, write_sparse_modules

from encoders.errors import EncoderError
from encoders.layout import read_layout
from encoders.options import LoadOptions
from encoders.presets import find_preset
from encoders.settings import ModelSettings
from encoders.source import ModelSource

CONFIG = {
    "model_type": "bert",
    "hidden_size": 32,
    "vocab_size": 100,
    "max_position_embeddings": 512,
}


@pytest.fixture
def source(tmp_path: Path) -> ModelSource:
    write_json(tmp_path / "config.json", CONFIG)
    return ModelSource("tiny", tmp_path)


def _dense(source: ModelSource, **options: object) -> ModelSettings:
    return read_layout(source, LoadOptions(**options), "dense").settings  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "lasttoken"),
        ({"pooling_mode": "lasttoken"}, "lasttoken"),
        ({"pooling_mode": ["cls"]}, "cls"),
        ({"embedding_dimension": 32}, "mean"),
    ],
)
def test_pooling_as_declared(source: ModelSource, config: dict[str, object], pooling: str) -> None:
    write_dense_modules(source.folder, config)
    assert _dense(source).graph.pooling == pooling


@pytest.mark.parametrize(
    "config",
    [
        {"pooling_mode": "weightedmean"},
        {"pooling_mode": ["cls", "mean"]},
        {"pooling_mode": "mean", "include_prompt": False},
        {"pooling_mode_max_tokens": True},
    ],
)
def test_pooling_without_a_counterpart_is_refused(
    source: ModelSource, config: dict[str, object]
) -> None:
    write_dense_modules(source.folder, config)
    with pytest.raises(EncoderError, match="here a model pools by one of"):
        _dense(source)


def test_a_plain_folder_takes_the_mean_and_says_so(
    source: ModelSource, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert _dense(source).graph.pooling == "mean"
    assert "taking the mean" in caplog.text
    caplog.clear()
    assert _dense(source, pooling="cls").graph.pooling == "cls"
    assert caplog.text == ""


def test_a_name_is_never_evidence(source: ModelSource, caplog: pytest.LogCaptureFixture) -> None:
    named = ModelSource("Qwen3-Embedding-e5-bge-cls", source.folder)
    settings = _dense(named)
    assert settings.graph.pooling == "mean"
    assert settings.text.query_prompt == ""


@pytest.mark.parametrize(
    ("declared", "tokenizer", "config", "limit"),
    [
        ({"max_seq_length": 256}, {"model_max_length": 512}, {}, 256),
        ({}, {"model_max_length": 128}, {}, 128),
        ({}, {"model_max_length": 1e30}, {}, 512),
        ({}, {}, {"max_position_embeddings": None}, 512),
        ({}, {}, {"model_type": "xlm-roberta", "max_position_embeddings": 514}, 512),
    ],
)
def test_longest_input(
    source: ModelSource,
    declared: dict[str, object],
    tokenizer: dict[str, object],
    config: dict[str, object],
    limit: int,
) -> None:
    write_json(source.folder / "config.json", {**CONFIG, "pad_token_id": 1, **config})
    write_json(source.folder / "sentence_bert_config.json", declared)
    write_json(source.folder / "tokenizer_config.json", tokenizer)
    assert _dense(source).text.max_tokens == limit
    assert _dense(source, max_tokens=9).text.max_tokens == 9


@pytest.mark.parametrize(
    ("declared", "query", "document"),
    [
        ({"prompts": {"query": "q: ", "document": "d: "}}, "q: ", "d: "),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, "q: ", "p: "),
        ({"prompts": {"any": "a: "}, "default_prompt_name": "any"}, "a: ", "a: "),
        ({"prompts": {"query": "", "document": ""}, "default_prompt_name": None}, "", ""),
        ({}, "", ""),
    ],
)
def test_prompts_as_declared(
    source: ModelSource, declared: dict[str, object], query: str, document: str
) -> None:
    write_json(source.folder / "config_sentence_transformers.json", declared)
    text = _dense(source).text
    assert (text.query_prompt, text.document_prompt) == (query, document)
    text = _dense(source, query_prompt="", document_prompt="x").text
    assert (text.query_prompt, text.document_prompt) == ("", "x")


def test_a_preset_fills_in_what_the_files_do_not_say(source: ModelSource) -> None:
    preset = find_preset("multilingual-e5-small")
    text = _dense(ModelSource("e5", source.folder, preset)).text
    assert (text.query_prompt, text.document_prompt) == ("query: ", "passage: ")
    write_json(source.folder / "config_sentence_transformers.json", {"prompts": {"query": "own: "}})
    assert _dense(ModelSource("e5", source.folder, preset)).text.query_prompt == "own: "


@pytest.mark.parametrize(
    ("declared", "activation"), [("relu", "log1p_relu"), ("log1p_relu", "log1p_log1p_relu")]
)
def test_sparse_activation_as_declared(source: ModelSource, declared: str, activation: str) -> None:
    write_sparse_modules(source.folder, activation=declared)
    settings = read_layout(source, LoadOptions(), "sparse").settings
    assert settings.graph.activation == activation
    assert settings.graph.width == 100
    assert settings.query_side == "bi-encoder"


def test_sparse_preset_gives_activation_and_query_side(source: ModelSource) -> None:
    preset = find_preset("opensearch-neural-sparse-encoding-doc-v3-distill")
    named = ModelSource("v3", source.folder, preset)
    with pytest.raises(EncoderError, match=r"holds no idf\.json"):
        read_layout(named, LoadOptions(), "sparse")
    write_json(source.folder / "idf.json", {"a": 1.0})
    layout = read_layout(named, LoadOptions(), "sparse")
    assert layout.settings.graph.activation == "log1p_log1p_relu"
    assert layout.settings.query_side == "inference-free"
    assert layout.files.query_table == "idf.json"


def test_a_plain_sparse_folder_says_what_it_assumes(
    source: ModelSource, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        settings = read_layout(source, LoadOptions(), "sparse").settings
    assert settings.graph.activation == "log1p_relu"
    assert "taking log1p(relu)" in caplog.text


def test_a_module_without_a_counterpart_is_refused(source: ModelSource) -> None:
    write_modules(source.folder, [("Transformer", ""), ("LSTM", "1_LSTM"), ("Pooling", "2_P")])
    with pytest.raises(EncoderError, match="has a module LSTM"):
        _dense(source)


def test_a_sparse_model_is_not_loaded_as_dense(source: ModelSource) -> None:
    write_sparse_modules(source.folder, activation="relu")
    with pytest.raises(EncoderError, match="SpladePooling"):
        _dense(source)


def test_a_model_trained_for_dot_products_is_said_to_be_normalised(
    source: ModelSource, caplog: pytest.LogCaptureFixture
) -> None:
    write_json(source.folder / "config_sentence_transformers.json", {"similarity_fn_name": "dot"})
    write_modules(source.folder, [("Transformer", ""), ("Pooling", "1_Pooling")])
    with caplog.at_level(logging.WARNING):
        _dense(source)
    assert "trained for dot products" in caplog.text


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"config\.json is missing"):
        read_layout(ModelSource("none", tmp_path), LoadOptions(), "dense")


def test_broken_json_is_named(source: ModelSource) -> None:
    (source.folder / "modules.json").write_text("[{")
    with pytest.raises(EncoderError, match=r"modules\.json is not valid JSON"):
        _dense(source)


def test_settings_survive_json(source: ModelSource) -> None:
    write_dense_modules(source.folder, {"pooling_mode": "cls"}, max_tokens=77)
    write_modules(source.folder, [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "3_D")])
    dense = {"in_features": 32, "out_features": 8, "activation_function": "torch.nn.Identity"}
    write_json(source.folder / "3_D" / "config.json", dense)
    settings = _dense(source)
    assert settings.graph.width == 8
    assert ModelSettings.from_dict(settings.as_dict()) == settings
