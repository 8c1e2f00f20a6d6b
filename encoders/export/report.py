"""The report of an export: what was made, how close it is, what it costs in retrieval."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from encoders.base import EncoderIdentity
from encoders.export.artefact import Artefact, Gate
from encoders.export.options import Precision, Target

REPORT = "report.json"
SUMMARY = "report.md"
_PACKAGES = ("torch", "transformers", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino")


@dataclass(frozen=True, slots=True)
class Quality:
    """Retrieval with the original and with the export, by exact search over the same documents.

    Attributes:
        name: The judged set, e.g. ``bank/dev``.
        metric: What was measured.
        before: With the PyTorch model.
        after: With the export.
        queries: Judged queries.
        documents: Documents searched.
    """

    name: str
    metric: str
    before: float
    after: float
    queries: int
    documents: int


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported.

    Attributes:
        model: Name of the source.
        target: The format.
        precision: Of the weights.
        identity: Of the encoder the export is.
        source_fingerprint: Of the original, cut at the same length.
        max_tokens: Where texts are cut.
        files: Size of each file in bytes.
        artefact: Parity, versions, and what the old runtime said.
        tolerance: Largest ``1 - cosine`` that would have been written.
        own_texts: Texts of the user's that were compared, besides the fixed ones.
        seconds: Time it took, without the judging.
        quality: Retrieval before and after, where it was asked for.
    """

    model: str
    target: Target
    precision: Precision
    identity: EncoderIdentity
    source_fingerprint: str
    max_tokens: int
    files: dict[str, int]
    artefact: Artefact
    tolerance: float
    own_texts: int
    seconds: float
    quality: Quality | None = None

    @property
    def interchangeable(self) -> bool:
        """Whether its vectors may stand in an index made with the original."""
        return self.identity.fingerprint == self.source_fingerprint

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values."""
        made = self.artefact
        return {
            "model": self.model,
            "target": self.target,
            "precision": self.precision,
            "kind": self.identity.kind,
            "dimension": self.identity.dimension,
            "max_tokens": self.max_tokens,
            "fingerprint": self.identity.fingerprint,
            "source_fingerprint": self.source_fingerprint,
            "interchangeable": self.interchangeable,
            "files": self.files,
            "bytes": sum(self.files.values()),
            "opset": made.opset,
            "ir_version": made.ir_version,
            "parity": {**asdict(made.parity), "own_texts": self.own_texts},
            "tolerance": self.tolerance,
            "gate": None if made.gate is None else asdict(made.gate),
            "quality": None if self.quality is None else asdict(self.quality),
            "seconds": round(self.seconds, 2),
        }

    def lines(self) -> list[str]:
        """The report for people, one fact a line."""
        made, parity = self.artefact, self.artefact.parity
        kind, width = self.identity.kind, self.identity.dimension
        lines = [
            f"{self.model}: {kind}, {width} wide, to {self.target} in {self.precision}",
            f"size       {_megabytes(sum(self.files.values()))} ({', '.join(self.files)})",
            f"parity     cosine at least {parity.min_cosine:.7f}, difference at most "
            f"{parity.max_difference:.1e}, over {parity.rows} rows (tolerance {self.tolerance:g})",
            f"texts      cut at {self.max_tokens} tokens",
            f"vectors    {self._vectors()}",
        ]
        if made.opset is not None:
            lines.append(f"format     operator set {made.opset}, IR {made.ir_version}")
        if made.gate is not None:
            lines.append(f"gate       {_gate(made.gate)}")
        if self.quality is not None:
            lines.append(f"retrieval  {_quality(self.quality)}")
        return lines

    def _vectors(self) -> str:
        if self.interchangeable:
            return "go with the original's: an index made with either may be searched with both"
        return "are another encoder's: index with this export what is searched with it"


def file_sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Bytes of each file, by name."""
    return {name: (folder / name).stat().st_size for name in names}


def write_report(folder: Path, report: ExportReport) -> None:
    """Write ``report.json`` and ``report.md``."""
    value = {
        **report.as_dict(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
    }
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    (folder / REPORT).write_text(text, encoding="utf-8")
    head, *facts = report.lines()
    listed = "\n".join(f"- {' '.join(fact.split())}" for fact in facts)
    (folder / SUMMARY).write_text(f"# {head}\n\n{listed}\n", encoding="utf-8")


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _gate(gate: Gate) -> str:
    if not gate.passed:
        return f"not tried with ONNX Runtime {gate.runtime}: nobody knows whether a node loads it"
    return f"loaded and run by ONNX Runtime {gate.runtime} (loading took {gate.load_seconds:.1f} s)"


def _quality(quality: Quality) -> str:
    return (
        f"{quality.metric} {quality.before:.4f} before, {quality.after:.4f} after "
        f"({quality.name}: {quality.queries} queries, {quality.documents} documents)"
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
