"""The gate: graphs are tried by the runtime of ML Commons, in a process of their own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.errors import GateError
from encoders.export import old_runtime
from encoders.export.old_runtime import INTERPRETER_VARIABLE, old_interpreter, run_in_old_runtime
from encoders.export.onnx_edit import add_missing_biases, finish_graph
from encoders.onnx_runner import INPUTS
from encoders.tokenization import Batch

BATCH = Batch(np.asarray([[1, 2, 3]]), np.asarray([[1, 1, 0]]))
WIDTH = 16


def graph_of_two_layers(*, opset: int = 18, ir_version: int = 8, scale: int = 2) -> Any:
    """Two tables of vectors, added and normalised by a layer without a bias."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(3)
    tables = [random.normal(size=(5, WIDTH)).astype(np.float32) for _ in range(2)]
    tensors = {"first": tables[0], "second": tables[1], "scale": np.full(WIDTH, scale, np.float32)}
    nodes = [
        helper.make_node("Gather", ["first", "input_ids"], ["a"]),
        helper.make_node("Gather", ["second", "input_ids"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("LayerNormalization", ["sum", "scale"], ["normal"], doc_string="maker.py"),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["mask"], ["count"], keepdims=0),
        helper.make_node("Mul", ["normal", "count"], ["rows"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in INPUTS
    ]
    output = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", "length", WIDTH])
    initializers = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "tried", inputs, [output], initializers)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    import onnx

    path = tmp_path / "model.onnx"
    onnx.save(graph_of_two_layers(), str(path))
    return path


def test_the_old_runtime_answers_what_todays_answers(graph_file: Path) -> None:
    assert finish_graph(graph_file) == [graph_file]
    answer = run_in_old_runtime(graph_file, INPUTS, [BATCH, BATCH])
    assert [rows.shape for rows in answer.rows] == [(1, 3, WIDTH)] * 2
    assert answer.load_seconds > 0
    from encoders.onnx_runner import OnnxRunner

    today = OnnxRunner.load(graph_file, "cpu").run(BATCH)
    np.testing.assert_allclose(answer.rows[0], today, atol=1e-6)


def test_a_graph_of_today_is_refused_with_its_reason(tmp_path: Path) -> None:
    import onnx

    path = tmp_path / "model.onnx"
    onnx.save(graph_of_two_layers(opset=20, ir_version=10), str(path))
    with pytest.raises(
        GateError, match=r"1\.16\.3 refuses model\.onnx\. Nothing was written.*version"
    ):
        run_in_old_runtime(path, INPUTS, [BATCH])


def test_only_missing_biases_are_added() -> None:
    model = graph_of_two_layers()
    assert add_missing_biases(model) == 1
    assert add_missing_biases(model) == 0
    bias = next(t for t in model.graph.initializer if t.name == "scale_zero_bias")
    assert np.frombuffer(bias.raw_data, np.float32).tolist() == [0.0] * WIDTH


def test_traces_of_the_maker_are_removed(graph_file: Path) -> None:
    assert b"maker.py" in graph_file.read_bytes()
    finish_graph(graph_file)
    assert b"maker.py" not in graph_file.read_bytes()


def test_an_interpreter_named_by_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    python = old_interpreter()
    monkeypatch.setenv(INTERPRETER_VARIABLE, str(python))
    assert old_interpreter() == python


def test_a_named_interpreter_without_the_runtime_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(INTERPRETER_VARIABLE, str(tmp_path / "python"))
    with pytest.raises(GateError, match=r"should have onnxruntime 1\.16\.3 .*but it does not"):
        old_interpreter()


def test_without_an_old_python_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(INTERPRETER_VARIABLE, raising=False)
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(old_runtime, "_candidates", lambda: iter([program(tmp_path, "echo 3 12")]))
    with pytest.raises(GateError, match=r"No Python 3.8 to 3.11 .*--without-gate"):
        old_interpreter()


def test_a_failed_installation_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = 'case "$2" in -c) echo 3 11;; *) echo no space left >&2; exit 1;; esac'
    monkeypatch.delenv(INTERPRETER_VARIABLE, raising=False)
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(old_runtime, "_candidates", lambda: iter([program(tmp_path, script)]))
    with pytest.raises(GateError, match="could not be installed: no space left"):
        old_interpreter()
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] in ([], [".lock"])


def program(folder: Path, script: str) -> str:
    """A program that stands in for a Python."""
    path = folder / "python-stand-in"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
