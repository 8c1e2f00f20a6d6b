"""One model, any target: exported whole or not at all, with a report of what was made."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from encoders.errors import EncoderError
from encoders.export.artefact import Artefact, original_rows
from encoders.export.exporter import OPSET, describe_export
from encoders.export.folder import DESCRIPTION, GRAPH, QUERY_WEIGHTS, TOKENIZER
from encoders.export.graph_files import place_graph
from encoders.export.ml_commons import as_the_node_reads, write_ml_commons
from encoders.export.onnx_edit import ir_version
from encoders.export.openvino import write_openvino
from encoders.export.options import DEFAULT_OPTIONS, TARGETS, ExportOptions, Target
from encoders.export.parity import compare, comparison_batches, require_parity
from encoders.export.precision import as_exported, encoder_identity
from encoders.export.report import ExportReport, Quality, file_sizes, write_report
from encoders.export.torchscript import write_torchscript
from encoders.export.writing import written_whole
from encoders.model import Model
from encoders.onnx_runner import OnnxRunner
from encoders.runner import Runner

# A node cuts texts earlier than many a model.
_NODE_TARGETS = ("ml-commons", "torchscript")

Judge: TypeAlias = Callable[[Model, Runner], Quality]


class Exporter(Protocol):
    """Writes one target into an existing folder."""

    def __call__(
        self, model: Model, folder: Path, options: ExportOptions, *, trust_remote_code: bool
    ) -> Artefact:
        """Export; nothing but an exception tells of a failure."""
        ...


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to make.

    Attributes:
        target: The format.
        options: Precision, tolerance, texts to compare on, and the old runtime's check.
        trust_remote_code: Whether code that ships with the model may run.
    """

    target: Target = "runtime"
    options: ExportOptions = DEFAULT_OPTIONS
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            msg = f"target must be one of {', '.join(TARGETS)}, not {self.target!r}"
            raise EncoderError(msg)


def export_to(
    model: Model, folder: Path, request: ExportRequest, *, judge: Judge | None = None
) -> ExportReport:
    """Export a model into a new folder, with ``report.json`` and ``report.md``.

    Args:
        model: A model read from its source files.
        folder: Must not exist, or be empty; it appears whole or not at all.
        request: What to make.
        judge: Measures retrieval with the export, before it is called done.

    Raises:
        ParityError: The export differs from PyTorch by more than the tolerance.
        GateError: The runtime of ML Commons refused it, or it cannot be had.
        EncoderError: The model cannot be exported like this.
    """
    if model.files is None:
        msg = f"{model.folder} is an export. Start from the model it was made from."
        raise EncoderError(msg)
    known = as_the_node_reads(model) if request.target in _NODE_TARGETS else model
    started = time.perf_counter()
    with written_whole(folder) as scratch:
        write = EXPORTERS[request.target]
        made = write(known, scratch, request.options, trust_remote_code=request.trust_remote_code)
        seconds = time.perf_counter() - started
        exported = as_exported(known, request.options.precision, made.parity)
        report = ExportReport(
            model=model.name,
            target=request.target,
            precision=request.options.precision,
            identity=encoder_identity(exported),
            source_fingerprint=encoder_identity(known).fingerprint,
            max_tokens=known.settings.text.max_tokens,
            files=file_sizes(scratch, made.files),
            artefact=made,
            tolerance=request.options.allowed_loss,
            own_texts=len(request.options.texts),
            seconds=seconds,
            quality=judge(known, made.open(scratch)) if judge else None,
        )
        write_report(scratch, report)
    return report


def write_runtime(
    model: Model, folder: Path, options: ExportOptions, *, trust_remote_code: bool
) -> Artefact:
    """The form :func:`encoders.registry.load_dense` and ``load_sparse`` take."""
    batches = comparison_batches(model.tokenizer, options.texts)
    expected = original_rows(model, batches, trust_remote_code=trust_remote_code)
    path = place_graph(model, folder, options.precision, trust_remote_code=trust_remote_code)
    parity = compare(expected, map(OnnxRunner.load(path, "cpu").run, batches))
    require_parity(parity, options.allowed_loss)
    describe_export(model, folder, parity, options.precision)
    beside = tuple(sorted(file.name for file in folder.glob(f"{GRAPH}_*")))
    table = () if model.query_weights is None else (QUERY_WEIGHTS,)
    return Artefact(
        files=(GRAPH, *beside, TOKENIZER, *table, DESCRIPTION),
        parity=parity,
        open=lambda place: OnnxRunner.load(place / GRAPH, "cpu"),
        opset=OPSET,
        ir_version=ir_version(folder / GRAPH),
    )


EXPORTERS: dict[Target, Exporter] = {
    "runtime": write_runtime,
    "ml-commons": write_ml_commons,
    "torchscript": write_torchscript,
    "openvino": write_openvino,
}
