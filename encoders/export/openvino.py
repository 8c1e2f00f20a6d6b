"""Exports a model to OpenVINO's own format, from the graph ONNX Runtime runs."""

import tempfile
from pathlib import Path
from typing import Any

from encoders.errors import EncoderError, MissingExtraError
from encoders.export.artefact import Artefact, CallRunner, original_rows
from encoders.export.folder import TOKENIZER
from encoders.export.graph_files import place_graph
from encoders.export.options import ExportOptions, Precision
from encoders.export.parity import compare, comparison_batches, require_parity
from encoders.model import Model
from encoders.onnx_runner import INPUTS
from encoders.tokenization import Batch

NETWORK = "model.xml"
WEIGHTS = "model.bin"


def write_openvino(
    model: Model, folder: Path, options: ExportOptions, *, trust_remote_code: bool = False
) -> Artefact:
    """Write ``model.xml``, ``model.bin`` and ``tokenizer.json`` into an existing folder.

    With fp16 the weights are stored in half and computed with as the device likes.

    Raises:
        ParityError: The converted graph differs from the original.
        EncoderError: The model cannot be converted.
        MissingExtraError: OpenVINO is not installed.
    """
    runtime = _openvino()
    batches = comparison_batches(model.tokenizer, options.texts)
    expected = original_rows(model, batches, trust_remote_code=trust_remote_code)
    stored: Precision = "int8" if options.precision == "int8" else "fp32"
    with tempfile.TemporaryDirectory(prefix=".onnx-", dir=folder) as scratch:
        path = place_graph(model, Path(scratch), stored, trust_remote_code=trust_remote_code)
        _convert(runtime, path, folder / NETWORK, compress=options.precision == "fp16")
    parity = compare(expected, map(open_network(folder / NETWORK).run, batches))
    require_parity(parity, options.allowed_loss)
    (folder / TOKENIZER).write_text(model.tokenizer.portable(), encoding="utf-8")
    return Artefact(
        files=(NETWORK, WEIGHTS, TOKENIZER),
        parity=parity,
        open=lambda place: open_network(place / NETWORK),
    )


def open_network(path: Path) -> CallRunner:
    """Run a converted graph on the CPU, in float32 whatever else the processor offers."""
    runtime = _openvino()
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = runtime.Core().compile_model(str(path), "CPU", hints)

    def call(batch: Batch) -> Any:
        feed = dict(zip(INPUTS, (batch.ids, batch.mask), strict=True))
        return compiled(feed)[0]

    return CallRunner(call, "openvino on CPU")


def _convert(runtime: Any, source: Path, target: Path, *, compress: bool) -> None:
    try:
        network = runtime.convert_model(str(source))
        runtime.save_model(network, str(target), compress_to_fp16=compress)
    except (RuntimeError, runtime.frontend.OpConversionFailure) as error:
        msg = f"OpenVINO cannot convert this model: {error}"
        raise EncoderError(msg) from error


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        package = "openvino"
        raise MissingExtraError(package, "openvino") from error
    return openvino
