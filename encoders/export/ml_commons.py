"""Exports a model in the form OpenSearch's ML Commons takes, tried with the runtime it carries.

The plugin's ONNX Runtime is 1.16.3: operator set 18 and file format 8 are what both sides know.
Its Java code decides the rest: the names of the inputs, and where a pooled vector must lie. A
dense graph answers ``[B, 1, D]``, of which the ``CLS`` mode takes the only row, in every version
of the plugin; a sparse one answers ``[B, vocabulary]``.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from encoders.base import FloatMatrix
from encoders.errors import EncoderError
from encoders.export.artefact import Artefact, CallRunner, Gate, original_rows, run_all
from encoders.export.exporter import OPSET
from encoders.export.folder import GRAPH, QUERY_WEIGHTS, TOKENIZER
from encoders.export.graph_files import place_graph
from encoders.export.node_tokenizer import node_tokenizer
from encoders.export.old_runtime import RUNTIME_VERSION, run_in_old_runtime
from encoders.export.onnx_edit import adapt_graph
from encoders.export.options import DEFAULT_OPTIONS, ExportOptions
from encoders.export.parity import (
    Parity,
    compare,
    comparison_batches,
    require_parity,
    single_token_batch,
)
from encoders.export.precision import as_exported, encoder_identity
from encoders.export.writing import written_whole
from encoders.layout import read_json
from encoders.model import Model
from encoders.tokenization import Batch

IR_VERSION = 8
NODE_MAX_TOKENS = 512  # the plugin's tokenizer cuts there, whatever the model could read
DESCRIPTION = "ml-commons.json"
FORMAT_VERSION = 1
INPUTS = {
    "dense": ("input_ids", "attention_mask"),
    "sparse": ("input1.input_ids", "input1.attention_mask"),
}
_MAX_FILE_BYTES = 4 * 2**30
# For these the plugin sends a third input, which our graphs do not have.
_THREE_INPUT_TYPES = ("bert", "albert")
_OTHER_TYPE = "transformer"
# A token without an entry weighs 1 on the node, and a query may not hold a weight of 0.
_SMALLEST_WEIGHT = 1e-6
_PATHS = ("files", "query_files")


@dataclass(frozen=True, slots=True)
class MlCommonsExport:
    """A model ready for ML Commons.

    Attributes:
        folder: Where its files are.
        kind: ``dense`` or ``sparse``.
        files: What goes into the root of the zip file.
        dimension: Components of the vector, or size of the vocabulary.
        max_tokens: Where the node cuts texts.
        model_type: For the model's configuration; never ``bert`` or ``albert``.
        pooling_mode: For the model's configuration (dense).
        normalize_result: For the model's configuration (dense): the graph normalises.
        query_prompt: Put before each query.
        document_prompt: Put before each document.
        fingerprint: Of the encoder that gives the same vectors, cut at ``max_tokens``.
        parity: How close the node's runtime comes to PyTorch.
        gate: Whether ONNX Runtime 1.16.3 ran it.
        query_files: For inference-free queries: what a ``SPARSE_TOKENIZE`` model holds.
    """

    folder: Path
    kind: Literal["dense", "sparse"]
    files: tuple[Path, ...]
    dimension: int
    max_tokens: int
    model_type: str
    pooling_mode: str
    normalize_result: bool
    query_prompt: str
    document_prompt: str
    fingerprint: str
    parity: Parity
    gate: Gate
    query_files: tuple[Path, ...] = ()


def export_for_ml_commons(
    model: Model,
    folder: Path,
    *,
    trust_remote_code: bool = False,
    options: ExportOptions = DEFAULT_OPTIONS,
) -> MlCommonsExport:
    """Export a model for ML Commons and try it with ONNX Runtime 1.16.3, in another process.

    Args:
        model: A model read from its source files.
        folder: Must not exist, or be empty; it appears whole or not at all.
        trust_remote_code: Whether code that ships with the model may run.
        options: Precision, tolerance, texts to compare on, and whether to try it.

    Raises:
        GateError: The old runtime refused the graph, or it cannot be had.
        ParityError: It answers something else than PyTorch.
        EncoderError: The model cannot be exported, or is too large.
    """
    with written_whole(folder) as scratch:
        write_ml_commons(model, scratch, options, trust_remote_code=trust_remote_code)
    return read_ml_commons_export(folder)


def write_ml_commons(
    model: Model, folder: Path, options: ExportOptions, *, trust_remote_code: bool = False
) -> Artefact:
    """Write graph, tokenizer and description into an existing folder; see the function above."""
    known = as_the_node_reads(model)
    inputs = INPUTS[known.settings.graph.kind]
    batches = [
        single_token_batch(known.tokenizer),
        *comparison_batches(known.tokenizer, options.texts),
    ]
    expected = original_rows(known, batches, trust_remote_code=trust_remote_code)
    files = _write_graph(known, folder, options, trust_remote_code=trust_remote_code)
    found, gate = _run(folder / GRAPH, inputs, batches, options)
    parity = compare(expected, found)
    require_parity(parity, options.allowed_loss)
    (folder / TOKENIZER).write_text(node_tokenizer(known.tokenizer), encoding="utf-8")
    names = (*(path.name for path in files), TOKENIZER)
    queries = _write_query_table(known, folder)
    exported = as_exported(known, options.precision, parity)
    description = _description(exported, parity, gate) | {"files": names, "query_files": queries}
    _write_json(folder / DESCRIPTION, description)
    return Artefact(
        files=(*names, *queries[1:], DESCRIPTION),
        parity=parity,
        open=lambda place: open_node_graph(place / GRAPH, inputs),
        opset=OPSET,
        ir_version=IR_VERSION,
        gate=gate,
    )


def read_ml_commons_export(folder: Path) -> MlCommonsExport:
    """Read back what was exported into a folder.

    Raises:
        EncoderError: The folder holds no such export, or a broken one.
    """
    value = read_json(folder / DESCRIPTION)
    if value is None:
        msg = f"{folder} holds no export for ML Commons ({DESCRIPTION} is missing)"
        raise EncoderError(msg)
    try:
        if value.pop("format") != FORMAT_VERSION:
            raise ValueError(value)
        paths: dict[str, Any] = {
            name: tuple(folder / file for file in value.pop(name)) for name in _PATHS
        }
        parity, gate = Parity(**value.pop("parity")), Gate(**value.pop("gate"))
        found = MlCommonsExport(folder=folder, parity=parity, gate=gate, **paths, **value)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"{folder / DESCRIPTION} cannot be read: {error!r}. Export the model again."
        raise EncoderError(msg) from error
    missing = [path.name for path in (*found.files, *found.query_files) if not path.is_file()]
    if missing:
        msg = f"{folder} lacks {', '.join(missing)}. Export the model again."
        raise EncoderError(msg)
    return found


def as_the_node_reads(model: Model) -> Model:
    """The model with texts cut where the node cuts them."""
    text = model.settings.text
    shorter = replace(text, max_tokens=min(text.max_tokens, NODE_MAX_TOKENS))
    return replace(model, settings=replace(model.settings, text=shorter))


def model_type(model: Model) -> str:
    """What the model's configuration says it is; never a type with a third input."""
    if model.files is None or model.settings.graph.network == "static":
        return _OTHER_TYPE
    config = read_json(model.folder / model.files.transformer / "config.json", default={})
    found = str(config.get("model_type") or _OTHER_TYPE)
    return _OTHER_TYPE if found in _THREE_INPUT_TYPES else found


def open_node_graph(path: Path, inputs: Sequence[str]) -> CallRunner:
    """Run a graph made for the node in this process's runtime."""
    from encoders.onnx_runner import OnnxRunner

    runner = OnnxRunner.load(path, "cpu")

    def call(batch: Batch) -> Any:
        feed = dict(zip(inputs, (batch.ids, batch.mask), strict=True))
        return runner.session.run(None, feed)[0]

    return CallRunner(call, runner.description)


def _write_graph(
    model: Model, folder: Path, options: ExportOptions, *, trust_remote_code: bool
) -> list[Path]:
    kind = model.settings.graph.kind
    path = place_graph(model, folder, options.precision, trust_remote_code=trust_remote_code)
    files = adapt_graph(
        path, inputs=INPUTS[kind], token_axis=kind == "dense", declared_ir=IR_VERSION
    )
    _check_size(files)
    return files


def _run(
    path: Path, inputs: Sequence[str], batches: Sequence[Batch], options: ExportOptions
) -> tuple[list[FloatMatrix], Gate]:
    if not options.gate:
        gate = Gate(RUNTIME_VERSION, passed=False)
        return run_all(open_node_graph(path, inputs), batches), gate
    answer = run_in_old_runtime(path, inputs, batches)
    rows = [found.reshape(found.shape[0], -1) for found in answer.rows]
    return rows, Gate(RUNTIME_VERSION, passed=True, load_seconds=answer.load_seconds)


def _check_size(files: Sequence[Path]) -> None:
    size = sum(path.stat().st_size for path in files)
    if size >= _MAX_FILE_BYTES:
        msg = (
            f"The graph takes {size / 2**30:.1f} GiB; ML Commons takes less than 4. Export it with "
            "--precision fp16 or int8, or run it in an encoder server (tandem serve)."
        )
        raise EncoderError(msg)


def _write_query_table(model: Model, scratch: Path) -> list[str]:
    """``idf.json`` for a ``SPARSE_TOKENIZE`` model; none for a model that encodes its queries."""
    if model.query_weights is None:
        return []
    special = set(model.tokenizer.special_ids())
    width = min(model.settings.graph.width, model.tokenizer.vocabulary_size)
    ids = [number for number in range(width) if number not in special]
    weights = model.query_weights[ids].clip(min=_SMALLEST_WEIGHT).tolist()
    table = dict(zip(model.tokenizer.tokens(ids), weights, strict=True))
    (scratch / QUERY_WEIGHTS).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
    return [TOKENIZER, QUERY_WEIGHTS]


def _description(model: Model, parity: Parity, gate: Gate) -> dict[str, Any]:
    settings = model.settings
    return {
        "format": FORMAT_VERSION,
        "kind": settings.graph.kind,
        "dimension": settings.graph.width,
        "max_tokens": settings.text.max_tokens,
        "model_type": model_type(model),
        "pooling_mode": "CLS",
        "normalize_result": False,
        "query_prompt": settings.text.query_prompt,
        "document_prompt": settings.text.document_prompt,
        "fingerprint": encoder_identity(model).fingerprint,
        "parity": asdict(parity),
        "gate": asdict(gate),
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
