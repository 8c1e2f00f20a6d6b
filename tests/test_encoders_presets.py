from pathlib import Path

import pytest

from encoders.errors import EncoderError
from encoders.options import LoadOptions
from encoders.presets import DEFAULT_DENSE, DEFAULT_SPARSE, all_presets, find_preset
from encoders.registry import load_dense, load_sparse
from encoders.source import find_source

EXPECTED = {
    "all-MiniLM-L6-v2",
    "lexical",
    "Qwen3-Embedding-0.6B",
    "Qwen3-Embedding-4B",
    "Qwen3-Embedding-8B",
    "bge-m3",
    "multilingual-e5-small",
    "multilingual-e5-base",
    "multilingual-e5-large",
    "opensearch-neural-sparse-encoding-v1",
    "opensearch-neural-sparse-encoding-v2-distill",
    "opensearch-neural-sparse-encoding-doc-v1",
    "opensearch-neural-sparse-encoding-doc-v2-distill",
    "opensearch-neural-sparse-encoding-doc-v2-mini",
    "opensearch-neural-sparse-encoding-doc-v3-distill",
    "opensearch-neural-sparse-encoding-doc-v3-gte",
    "opensearch-neural-sparse-encoding-multilingual-v1",
    "korean-neural-sparse-encoder-v1",
}


def test_every_preset_is_there_and_complete() -> None:
    presets = all_presets()
    assert set(presets) >= EXPECTED
    for preset in presets.values():
        assert preset.kind in ("dense", "sparse")
        assert preset.languages and preset.licence and preset.dimension > 0
        assert preset.hub_id or preset.name == DEFAULT_SPARSE
        assert (preset.query_side is None) == (preset.kind == "dense")


def test_third_models_have_the_double_logarithm() -> None:
    for name, preset in all_presets().items():
        if preset.kind == "sparse" and name != DEFAULT_SPARSE:
            assert (preset.activation == "log1p_log1p_relu") == ("-v3-" in name)


def test_a_preset_is_found_by_name_and_hub_id_in_any_case() -> None:
    assert find_preset("ALL-minilm-l6-V2") is find_preset("sentence-transformers/all-MiniLM-L6-v2")
    assert find_preset("no such") is None


def test_the_default_dense_model_needs_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = find_source(DEFAULT_DENSE, LoadOptions())
    assert source.name == DEFAULT_DENSE
    assert (source.folder / "model.safetensors").is_file()


def test_an_unknown_name_lists_presets_and_the_nearest() -> None:
    with pytest.raises(EncoderError, match=r"Did you mean 'bge-m3'\?.*multilingual-e5-base") as e:
        load_dense("bge-m4")
    assert "doc-v1" not in str(e.value)
    with pytest.raises(EncoderError, match="doc-v3-gte"):
        load_sparse("nonsense")


def test_a_model_of_the_other_kind_is_refused() -> None:
    with pytest.raises(EncoderError, match="is a dense model, but a sparse one is needed"):
        load_sparse(DEFAULT_DENSE)


def test_a_hub_id_without_network_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(EncoderError, match="neither in the local cache nor to be had"):
        load_dense("nobody/nothing-of-this-name")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("runtime", "tensorflow"),
        ("device", "tpu"),
        ("pooling", "max"),
        ("activation", "tanh"),
        ("max_tokens", 0),
        ("dimension", -1),
        ("top_k", 0),
        ("prune_ratio", 1.0),
    ],
)
def test_options_are_checked_at_birth(field: str, value: object) -> None:
    with pytest.raises(EncoderError, match=field):
        LoadOptions(**{field: value})  # type: ignore[arg-type]
