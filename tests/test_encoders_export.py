import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from encoder_models import dense_bert, model_folder, write_json

from encoders.base import FloatMatrix
from encoders.errors import EncoderError, ParityError
from encoders.export.exporter import cached_export
from encoders.export.folder import read_description
from encoders.export.parity import check_parity, probe_batches, row_cosines
from encoders.onnx_runner import OnnxRunner
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse, read_model
from encoders.tokenization import Batch

TEXTS = ["annual fee", "a loan with a fixed interest rate", ""]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module")
def exported(root: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANDEM_CACHE", str(root / "encoder-cache"))
        source = str(model_folder("bert-inference-free", root))
        yield cached_export(read_model(source, LoadOptions(), "sparse"))


def test_export_holds_graph_tokenizer_description(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert names == {"model.onnx", "tokenizer.json", "encoder.json", "idf.json"}
    description = read_description(exported)
    assert description.parity["min_cosine"] >= 0.9999
    tokenizer = json.loads((exported / "tokenizer.json").read_text())
    assert tokenizer["truncation"]["max_length"] == description.settings.text.max_tokens


def test_export_has_the_identity_and_the_vectors_of_its_source(exported: Path, root: Path) -> None:
    source = model_folder("bert-inference-free", root)
    original = load_sparse(str(source), LoadOptions(runtime="torch"))
    copy = load_sparse(str(exported))
    assert copy.identity.fingerprint == original.identity.fingerprint
    assert copy.max_tokens == original.max_tokens
    for method in ("encode_queries", "encode_documents"):
        pairs = zip(getattr(copy, method)(TEXTS), getattr(original, method)(TEXTS), strict=True)
        for found, expected in pairs:
            np.testing.assert_array_equal(found.ids, expected.ids)
            np.testing.assert_allclose(found.weights, expected.weights, atol=1e-5)


def test_export_loads_without_torch(exported: Path) -> None:
    code = (
        "import sys; from encoders.registry import load_sparse; "
        f"e = load_sparse({str(exported)!r}); e.encode_documents(['fee']); "
        "e.encode_queries(['fee']); "
        "sys.exit(1 if {'torch', 'transformers'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0


def test_export_does_not_run_in_torch(exported: Path) -> None:
    with pytest.raises(EncoderError, match="runs only with --runtime onnx"):
        load_sparse(str(exported), LoadOptions(runtime="torch"))


def test_export_of_the_other_kind_is_refused(exported: Path) -> None:
    with pytest.raises(EncoderError, match="is a sparse model"):
        load_dense(str(exported))


@pytest.mark.parametrize("content", ['{"format": 99}', "{}", "[1]", "{"])
def test_a_broken_description_is_an_error(exported: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "model.onnx").write_bytes((exported / "model.onnx").read_bytes())
    (tmp_path / "encoder.json").write_text(content)
    with pytest.raises(EncoderError, match=r"encoder\.json"):
        load_sparse(str(tmp_path))


def test_a_broken_graph_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(EncoderError, match="cannot open"):
        OnnxRunner.load(tmp_path / "model.onnx", "cpu")


def test_cuda_is_refused_where_there_is_none(exported: Path, root: Path) -> None:
    import onnxruntime
    import torch

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(EncoderError, match="ONNX Runtime offers only"):
            OnnxRunner.load(exported / "model.onnx", "cuda")
    if not torch.cuda.is_available():
        source = str(model_folder("bert-inference-free", root))
        with pytest.raises(EncoderError, match="PyTorch finds none"):
            load_sparse(source, LoadOptions(runtime="torch", device="cuda"))


def test_a_silent_fall_back_to_the_cpu_is_noticed(exported: Path) -> None:
    session = OnnxRunner.load(exported / "model.onnx", "cpu").session
    with pytest.raises(EncoderError, match="A CUDA device was asked for"):
        OnnxRunner._checked(session, "cuda", wants_cuda=True)


@dataclass(frozen=True)
class _Noisy:
    """Answers ones, and a share of something else."""

    noise: float

    @property
    def description(self) -> str:
        return "noisy"

    @property
    def accelerated(self) -> bool:
        return False

    def run(self, batch: Batch) -> FloatMatrix:
        rows = np.ones((len(batch.ids), 8), dtype=np.float32)
        rows[:, 0] += self.noise
        return rows


def test_parity_refuses_above_the_tolerance() -> None:
    near = check_parity(_Noisy(0), _Noisy(1e-4), vocabulary=100, max_tokens=64)
    assert near.rows > 10
    with pytest.raises(ParityError, match="Nothing was written"):
        check_parity(_Noisy(0), _Noisy(0.5), vocabulary=100, max_tokens=64)
    with pytest.raises(ParityError):
        check_parity(_Noisy(0), _Noisy(float("nan")), vocabulary=100, max_tokens=64)


def test_a_refused_export_is_not_kept(
    exported: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_another_graph(graph: object, path: Path, **_: object) -> None:
        shutil.copy(exported / "model.onnx", path)

    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))
    monkeypatch.setattr("encoders.export.exporter.write_graph", write_another_graph)
    options = LoadOptions(runtime="onnx", activation="log1p_log1p_relu")
    with pytest.raises(ParityError, match="differs from the original: cosine 0"):
        load_sparse(str(model_folder("bert-inference-free", root)), options)
    assert not list(tmp_path.rglob("model.onnx"))
    assert not list(tmp_path.rglob("encoder.json"))


def test_probes_vary_in_length_batch_and_padding() -> None:
    batches = list(probe_batches(100, 20))
    assert max(batch.ids.shape[1] for batch in batches) == 20
    assert {len(batch.ids) for batch in batches} == {1, 3}
    assert any(not batch.mask[-1, 0] for batch in batches)
    assert any(not batch.mask[-1, -1] for batch in batches)


def test_cosine_of_rows() -> None:
    first = np.asarray([[1, 0], [0, 0], [0, 0], [1, 1]], dtype=np.float32)
    second = np.asarray([[2, 0], [0, 0], [1, 0], [1, -1]], dtype=np.float32)
    assert row_cosines(first, second).tolist() == [1, 1, 0, 0]


def test_a_dense_model_has_no_sparse_head(tmp_path: Path) -> None:
    dense_bert(tmp_path)
    (tmp_path / "modules.json").unlink()
    with pytest.raises(EncoderError, match="no masked-language-model head"):
        load_sparse(str(tmp_path), LoadOptions(runtime="torch", activation="log1p_relu"))


def test_code_of_a_model_runs_only_when_asked_for(tmp_path: Path) -> None:
    dense_bert(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    write_json(tmp_path / "config.json", config)
    (tmp_path / "own.py").write_text("raise SystemExit('the code of the model has run')")
    with pytest.raises(EncoderError, match="--trust-remote-code"):
        load_dense(str(tmp_path), LoadOptions(runtime="torch"))


def test_options_that_change_vectors_change_the_identity(root: Path) -> None:
    source = str(model_folder("bert-mean", root))
    options = [
        LoadOptions(),
        LoadOptions(max_tokens=16),
        LoadOptions(dimension=8),
        LoadOptions(query_prompt="q: "),
        LoadOptions(document_prompt="d: "),
    ]
    prints = {_dense(source, each) for each in options}
    assert len(prints) == len(options)
    assert _dense(source, LoadOptions(threads=1, batch_tokens=100)) == _dense(source, options[0])


def test_pruning_changes_the_identity_of_a_sparse_model(exported: Path) -> None:
    options = [LoadOptions(), LoadOptions(top_k=5), LoadOptions(prune_ratio=0.5)]
    encoders = [load_sparse(str(exported), each) for each in options]
    assert len({each.identity.fingerprint for each in encoders}) == 3
    whole, few, _ = (each.encode_documents(["annual fee"])[0] for each in encoders)
    assert len(few) == 5 < len(whole)
    [first], [second] = (each.encode_queries(["annual fee"]) for each in encoders[:2])
    np.testing.assert_array_equal(first.ids, second.ids)


def test_matryoshka_cuts_and_normalises(root: Path) -> None:
    source = str(model_folder("bert-mean", root))
    whole = load_dense(source, LoadOptions(runtime="torch")).encode_documents(TEXTS)
    short = load_dense(source, LoadOptions(runtime="torch", dimension=8)).encode_documents(TEXTS)
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(short, expected, atol=1e-6)
    with pytest.raises(EncoderError, match="gives 32 components; 33 cannot be kept"):
        load_dense(source, LoadOptions(runtime="torch", dimension=33))


def test_an_adapter_is_merged_into_its_base(root: Path, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    base = model_folder("bert-mean", root)
    adapter = tmp_path / "adapter"
    shutil.copytree(
        base, adapter, ignore=shutil.ignore_patterns("model.safetensors", "config.json")
    )
    shutil.copy(base / "1_Pooling" / "config.json", adapter / "1_Pooling" / "config.json")
    torch.manual_seed(5)
    config = LoraConfig(r=4, target_modules=["query", "value"], init_lora_weights=False)
    tuned = get_peft_model(AutoModel.from_pretrained(base), config).eval()
    tuned.save_pretrained(adapter)
    encoder = load_dense(str(adapter), LoadOptions(runtime="torch"))
    [found] = encoder.encode_documents(["annual fee"])
    batch = encoder.model.tokenizer.pad(encoder.model.tokenizer.token_ids(["annual fee"]))
    with torch.no_grad():
        output = tuned(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask))
    expected = torch.nn.functional.normalize(output.last_hidden_state.mean(1), dim=1)[0]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    plain = load_dense(str(base), LoadOptions(runtime="torch"))
    assert not np.allclose(found, plain.encode_documents(["annual fee"])[0], atol=1e-2)
    assert encoder.identity.fingerprint != plain.identity.fingerprint


def test_prompts_reach_the_network(root: Path) -> None:
    encoder = load_dense(str(model_folder("qwen3-lasttoken", root)), LoadOptions(runtime="torch"))
    plain = load_dense(
        str(model_folder("qwen3-lasttoken", root)), LoadOptions(runtime="torch", query_prompt="")
    )
    [asked] = encoder.encode_queries(["fee"])
    [prompted] = plain.encode_queries(["Instruct: find passages\nQuery:fee"])
    np.testing.assert_allclose(asked, prompted, atol=1e-6)
    assert not np.allclose(asked, plain.encode_queries(["fee"])[0], atol=1e-3)


def _dense(source: str, options: LoadOptions) -> str:
    from dataclasses import replace

    return load_dense(source, replace(options, runtime="torch")).identity.fingerprint
