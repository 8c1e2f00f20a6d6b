"""Every target, from tiny models of true architectures, against PyTorch."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoder_models import DENSE_MODELS, ENGLISH, SPARSE_MODELS, model_folder

from encoders.errors import EncoderError, GateError, ParityError
from encoders.export.artefact import CallRunner
from encoders.export.ml_commons import (
    DESCRIPTION,
    INPUTS,
    export_for_ml_commons,
    open_node_graph,
    read_ml_commons_export,
)
from encoders.export.node_tokenizer import node_tokenizer
from encoders.export.old_runtime import INTERPRETER_VARIABLE, old_interpreter, run_in_old_runtime
from encoders.export.options import ExportOptions, Precision
from encoders.export.report import ExportReport, Quality
from encoders.export.targets import ExportRequest, export_to
from encoders.model import Model
from encoders.options import LoadOptions
from encoders.registry import load_dense, load_sparse, read_model
from encoders.runner import Runner
from encoders.tokenization import Batch

KINDS: dict[str, Any] = {
    **dict.fromkeys(DENSE_MODELS, "dense"),
    **dict.fromkeys(SPARSE_MODELS, "sparse"),
}
TEXTS = ("annual fee", "a loan with a fixed interest rate is repaid in monthly instalments", "a")
IN_TORCH = LoadOptions(runtime="torch")
BATCH = Batch(np.asarray([[2, 5, 3]]), np.ones((1, 3), np.int64))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp()


@pytest.fixture(scope="module", autouse=True)
def cache(root: Path) -> Iterator[None]:
    """Graphs are exported once per run; the old runtime is installed once per machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(INTERPRETER_VARIABLE, str(old_interpreter()))
        patch.setenv("TANDEM_CACHE", str(root / "encoder-cache"))
        yield


def read(root: Path, name: str) -> Model:
    return read_model(str(model_folder(name, root)), LoadOptions(), KINDS[name])


def original(root: Path, name: str) -> Any:
    load = load_dense if KINDS[name] == "dense" else load_sparse
    return load(str(model_folder(name, root)), IN_TORCH)


@pytest.mark.parametrize("name", KINDS)
def test_ml_commons(name: str, root: Path, tmp_path: Path) -> None:
    import onnx

    made = export_for_ml_commons(read(root, name), tmp_path / "node")
    assert made == read_ml_commons_export(tmp_path / "node")
    assert [path.name for path in made.files] == ["model.onnx", "tokenizer.json"]
    assert made.gate.passed
    assert made.parity.min_cosine > 1 - 1e-5
    assert made.model_type not in ("bert", "albert")
    assert made.fingerprint == original(root, name).identity.fingerprint
    graph = onnx.load(str(made.files[0]))
    assert graph.ir_version == 8
    assert [entry.version for entry in graph.opset_import if not entry.domain] == [18]
    assert tuple(entry.name for entry in graph.graph.input) == INPUTS[made.kind]
    assert b".py" not in made.files[0].read_bytes()
    dimensions = graph.graph.output[0].type.tensor_type.shape.dim
    width = [made.dimension]
    assert [d.dim_value for d in dimensions[1:]] == ([1, *width] if made.kind == "dense" else width)
    tokenizer = json.loads(made.files[1].read_text())
    assert tokenizer["truncation"]["max_length"] == made.max_tokens
    assert tokenizer["padding"] is None


def test_a_layer_without_bias_would_take_the_node_down(root: Path, tmp_path: Path) -> None:
    """ModernBERT's layers have none; the export gives them one, and here it is taken away."""
    import onnx

    made = export_for_ml_commons(read(root, "modernbert-cls"), tmp_path / "node")
    graph = onnx.load(str(made.files[0]))
    layers = [node for node in graph.graph.node if node.op_type == "LayerNormalization"]
    assert len(layers) > 2
    for layer in layers:
        del layer.input[2:]
    onnx.save(graph, str(tmp_path / "model.onnx"))
    with pytest.raises(GateError, match=r"(?s)ended its process \(SIGABRT\).*take the node down"):
        run_in_old_runtime(tmp_path / "model.onnx", INPUTS["dense"], [BATCH])


def test_a_node_answers_what_the_encoder_answers(root: Path, tmp_path: Path) -> None:
    encoder = original(root, "qwen3-lasttoken")
    made = export_for_ml_commons(read(root, "qwen3-lasttoken"), tmp_path / "node")
    assert made.query_prompt == "Instruct: find passages\nQuery:"
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(made.files[1]))
    rows = [tokenizer.encode(made.query_prompt + text).ids for text in TEXTS]
    batches = [encoder.model.tokenizer.pad([row]) for row in rows]
    answer = run_in_old_runtime(made.files[0], INPUTS["dense"], batches)
    found = np.stack([row[0, 0] for row in answer.rows])
    np.testing.assert_allclose(found, encoder.encode_queries(TEXTS), atol=1e-5)


def test_inference_free_queries_come_with_their_table(root: Path, tmp_path: Path) -> None:
    made = export_for_ml_commons(read(root, "bert-inference-free"), tmp_path / "node")
    assert [path.name for path in made.query_files] == ["tokenizer.json", "idf.json"]
    table = json.loads(made.query_files[1].read_text())
    encoder = original(root, "bert-inference-free")
    [vector] = encoder.encode_queries(["annual fee"])
    found = [table[token] for token in encoder.tokens(vector.ids.tolist())]
    np.testing.assert_allclose(found, vector.weights, rtol=1e-6)
    assert not {"[CLS]", "[SEP]", "[PAD]"} & set(table)
    assert min(table.values()) > 0


@pytest.mark.parametrize("name", KINDS)
def test_torchscript(name: str, root: Path, tmp_path: Path) -> None:
    report = run(root, name, tmp_path / "script", "torchscript")
    assert report.artefact.parity.min_cosine > 1 - 1e-5
    assert set(report.files) == {"model.pt", "tokenizer.json"}
    import torch

    batch = read(root, name).tokenizer.pad([[2, 7, 8, 3]])
    features = {"input_ids": torch.from_numpy(batch.ids), "attention_mask": torch.ones(1, 4)}
    features["attention_mask"] = features["attention_mask"].long()
    answer = torch.jit.load(str(tmp_path / "script" / "model.pt"))(features)
    expected = {"dense": "sentence_embedding", "sparse": "output"}[KINDS[name]]
    assert set(answer) == {expected}
    assert answer[expected].shape == (1, report.identity.dimension)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "fp32") for name in KINDS),
        ("modernbert-cls", "fp16"),
        ("bert-inference-free", "int8"),
    ],
)
def test_openvino(name: str, precision: str, root: Path, tmp_path: Path) -> None:
    report = run(root, name, tmp_path / "ov", "openvino", precision)
    assert (
        report.artefact.parity.min_cosine
        > {"fp32": 0.99999, "fp16": 0.999, "int8": 0.99}[precision]
    )
    assert set(report.files) == {"model.xml", "model.bin", "tokenizer.json"}
    assert sorted(path.name for path in (tmp_path / "ov").iterdir()) == sorted(
        [*report.files, "report.json", "report.md"]
    )


@pytest.mark.parametrize("name", KINDS)
def test_int8_is_an_encoder_of_its_own(name: str, root: Path, tmp_path: Path) -> None:
    report = run(root, name, tmp_path / "small", "runtime", "int8")
    assert report.artefact.parity.min_cosine > 0.99
    assert not report.interchangeable
    copy = load(tmp_path / "small", KINDS[name])
    assert copy.identity.fingerprint == report.identity.fingerprint
    assert copy.identity.fingerprint != original(root, name).identity.fingerprint


@pytest.mark.parametrize("name", ["qwen3-lasttoken", "modernbert-splade"])
def test_int8_runs_on_a_node(name: str, root: Path, tmp_path: Path) -> None:
    node = export_for_ml_commons(read(root, name), tmp_path / "node", options=ExportOptions("int8"))
    assert node.gate.passed
    assert node.fingerprint != original(root, name).identity.fingerprint


@pytest.mark.parametrize("name", ["qwen3-lasttoken", "bert-inference-free"])
def test_half_precision_keeps_the_identity(name: str, root: Path, tmp_path: Path) -> None:
    import onnx

    report = run(root, name, tmp_path / "half", "runtime", "fp16")
    assert report.interchangeable
    assert 1e-6 < report.artefact.parity.max_difference < 1e-2
    graph = onnx.load(str(tmp_path / "half" / "model.onnx"))
    onnx.checker.check_model(graph)
    stored = {tensor.data_type for tensor in graph.graph.initializer if len(tensor.dims) == 2}
    assert onnx.TensorProto.FLOAT16 in stored
    copy = load(tmp_path / "half", KINDS[name])
    assert copy.identity.fingerprint == original(root, name).identity.fingerprint


def test_runtime_export_loads_and_is_reported(root: Path, tmp_path: Path) -> None:
    judged: list[int] = []

    def judge(model: Model, runner: Runner) -> Quality:
        judged.append(runner.run(model.tokenizer.pad([[2, 5, 3]])).shape[1])
        return Quality("bank/dev", "NDCG@10", 0.5, 0.25, queries=2, documents=3)

    options = ExportOptions(texts=TEXTS)
    request = ExportRequest("runtime", options)
    report = export_to(read(root, "bert-mean"), tmp_path / "onnx", request, judge=judge)
    assert judged == [report.identity.dimension]
    value = json.loads((tmp_path / "onnx" / "report.json").read_text())
    assert value["quality"]["after"] == 0.25
    assert value["parity"]["own_texts"] == len(TEXTS)
    assert value["bytes"] == sum(path.stat().st_size for path in (tmp_path / "onnx").glob("[emt]*"))
    assert (value["opset"], value["gate"]) == (18, None)
    assert "torch" in value["versions"]
    summary = (tmp_path / "onnx" / "report.md").read_text()
    assert "NDCG@10 0.5000 before, 0.2500 after (bank/dev: 2 queries, 3 documents)" in summary
    copy, source = load_dense(str(tmp_path / "onnx")), original(root, "bert-mean")
    assert copy.identity.fingerprint == source.identity.fingerprint
    np.testing.assert_allclose(
        copy.encode_documents(TEXTS), source.encode_documents(TEXTS), atol=1e-5
    )


@pytest.mark.parametrize("target", ["runtime", "ml-commons", "torchscript", "openvino"])
def test_above_the_tolerance_nothing_is_left(target: Any, root: Path, tmp_path: Path) -> None:
    options = ExportOptions(tolerance=1e-12, gate=False)
    with pytest.raises(ParityError, match=r"cosine 0\.9999|cosine 1\.0"):
        export_to(read(root, "bert-mean"), tmp_path / "out", ExportRequest(target, options))
    assert not list(tmp_path.iterdir())


def test_a_judge_that_fails_leaves_nothing(root: Path, tmp_path: Path) -> None:
    def judge(model: Model, runner: Runner) -> Quality:
        raise EncoderError("cannot judge")

    with pytest.raises(EncoderError, match="cannot judge"):
        export_to(read(root, "bert-mean"), tmp_path / "out", ExportRequest(), judge=judge)
    assert not list(tmp_path.iterdir())


def test_without_the_gate_the_report_says_so(root: Path, tmp_path: Path) -> None:
    options = ExportOptions(gate=False)
    report = export_to(
        read(root, "bert-mean"), tmp_path / "node", ExportRequest("ml-commons", options)
    )
    assert "gate       not tried with ONNX Runtime 1.16.3" in "\n".join(report.lines())
    assert json.loads((tmp_path / "node" / "report.json").read_text())["gate"]["passed"] is False


def test_what_is_there_is_not_overwritten(root: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(EncoderError, match="is there already"):
        export_to(read(root, "bert-mean"), tmp_path, ExportRequest())
    assert (tmp_path / "kept").read_text() == "mine"


def test_a_static_model_adds_no_special_tokens_on_the_node(tmp_path: Path) -> None:
    from test_encoders_static import normalize, static_model
    from tokenizers import Tokenizer

    static_model(tmp_path, normalize())
    model = read_model(str(tmp_path / "model"), LoadOptions(), "dense")
    precisions: tuple[Precision, ...] = ("fp32", "int8")
    for precision in precisions:
        folder = tmp_path / precision
        made = export_for_ml_commons(model, folder, options=ExportOptions(precision))
        assert made.gate.passed
    tokenizer = Tokenizer.from_file(str(made.files[1]))
    assert tokenizer.encode("annual fee").ids == model.tokenizer.token_ids(["annual fee"])[0]
    with pytest.raises(EncoderError, match="has no transformer, and fp16 gains it nothing"):
        export_to(model, tmp_path / "h", ExportRequest("runtime", ExportOptions("fp16")))


def test_a_lexical_prior_runs_on_the_node(root: Path, tmp_path: Path) -> None:
    """Its scatter-add, and its products with vectors, which eight bits must leave alone."""
    from encoders.prior_build import PriorOptions, build_prior

    build_prior(read(root, "bert-mean"), ENGLISH, tmp_path / "prior", PriorOptions(top_k=12))
    model = read_model(str(tmp_path / "prior"), LoadOptions(), "sparse")
    exact = export_for_ml_commons(model, tmp_path / "fp32")
    assert exact.gate.passed
    assert exact.parity.min_cosine > 1 - 1e-5
    # Which twelve entries a row of random weights keeps may change with eight bits.
    rough = ExportOptions("int8", tolerance=0.5)
    assert export_for_ml_commons(model, tmp_path / "int8", options=rough).gate.passed


def test_a_node_reads_at_most_512_tokens(root: Path, tmp_path: Path) -> None:
    found = read(root, "qwen3-lasttoken")
    text = replace(found.settings.text, max_tokens=4096)
    long = replace(found, settings=replace(found.settings, text=text))
    options = ExportOptions(gate=False)
    # The tiny network knows fewer positions than the probes of 4,096 tokens would take.
    made = export_for_ml_commons(long, tmp_path / "node", options=options)
    assert made.max_tokens == 512
    assert json.loads(made.files[1].read_text())["truncation"]["max_length"] == 512


def test_a_lower_casing_model_lower_cases_on_the_node(root: Path) -> None:
    from tokenizers import Tokenizer, normalizers

    tokenizer = read(root, "bert-mean").tokenizer
    cased = Tokenizer.from_str(tokenizer.serialized)
    cased.normalizer = normalizers.BertNormalizer(lowercase=False)
    lowering = replace(tokenizer, serialized=cased.to_str(), lowercase=True)
    made = Tokenizer.from_str(node_tokenizer(lowering))
    assert made.encode("ANNUAL Fee").ids == lowering.token_ids(["ANNUAL Fee"])[0]
    assert made.encode("ANNUAL Fee").ids == made.encode("annual fee").ids


@pytest.mark.parametrize("content", ['{"format": 9}', "{}", "[1]"])
def test_a_broken_description_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / DESCRIPTION).write_text(content)
    with pytest.raises(EncoderError, match="Export the model again"):
        read_ml_commons_export(tmp_path)


def test_a_folder_without_its_graph_is_an_error(root: Path, tmp_path: Path) -> None:
    made = export_for_ml_commons(
        read(root, "bert-mean"), tmp_path / "node", options=ExportOptions(gate=False)
    )
    shutil.copytree(made.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("*.onnx"))
    with pytest.raises(EncoderError, match=r"lacks model\.onnx"):
        read_ml_commons_export(tmp_path / "copy")
    with pytest.raises(EncoderError, match="holds no export"):
        read_ml_commons_export(tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [({"precision": "fp8"}, "precision must be one of"), ({"tolerance": 0.0}, "tolerance is")],
)
def test_options_are_checked(values: dict[str, Any], said: str) -> None:
    with pytest.raises(EncoderError, match=said):
        ExportOptions(**values)


def test_a_runner_drops_the_axis_of_one_token() -> None:
    runner = CallRunner(lambda batch: np.ones((len(batch.ids), 1, 4)), "ones")
    assert runner.run(Batch(np.ones((3, 2)), np.ones((3, 2)))).shape == (3, 4)


def test_weights_beside_the_graph_survive_the_edits(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happens to a model of more than 1.5 GB, on a small one."""
    monkeypatch.setattr("encoders.export.onnx_edit.INLINE_BYTES", 1000)
    made = export_for_ml_commons(read(root, "bert-mean"), tmp_path / "node")
    assert [path.name for path in made.files] == ["model.onnx", "model.onnx_data", "tokenizer.json"]
    assert made.gate.passed
    renamed = shutil.copytree(made.folder, tmp_path / "renamed") / "bert-mean.onnx"
    (tmp_path / "renamed" / "model.onnx").rename(renamed)
    batch = read(root, "bert-mean").tokenizer.pad([[2, 5, 3]])
    rows = [open_node_graph(path, INPUTS["dense"]).run(batch) for path in (renamed, made.files[0])]
    np.testing.assert_array_equal(*rows)


def run(root: Path, name: str, folder: Path, target: Any, precision: Any = "fp32") -> ExportReport:
    request = ExportRequest(target, ExportOptions(precision, texts=TEXTS))
    return export_to(read(root, name), folder, request)


def load(folder: Path, kind: str) -> Any:
    return load_dense(str(folder)) if kind == "dense" else load_sparse(str(folder))
