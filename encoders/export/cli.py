"""The command ``tandem export``."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from encoders.export.options import PRECISIONS, TARGETS, ExportOptions, Precision, Target
from encoders.options import LoadOptions
from opensearch.cli.support import echo_json, json_option, note, reports_errors

if TYPE_CHECKING:
    from encoders.export.report import Quality
    from encoders.export.targets import Judge
    from encoders.model import Model
    from encoders.runner import Runner
    from training.dev_sets import DevSet

_KINDS = ("dense", "sparse")


@click.command()
@click.argument("model")
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    default="runtime",
    show_default=True,
    help="runtime: for tandem itself. ml-commons: for a cluster's nodes (ONNX). torchscript: for "
    "nodes, the older way. openvino: for Intel's runtime.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="fp32",
    show_default=True,
    help="fp16 halves the file, for GPUs; int8 quarters it, for CPUs (dynamic quantisation).",
)
@click.option(
    "--kind", type=click.Choice(_KINDS), default="dense", show_default=True, help="Kind of model."
)
@click.option(
    "-o",
    "--output",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="New folder; it appears whole or not at all.",
)
@click.option(
    "--texts",
    type=click.File(encoding="utf-8"),
    help="File with one text per line: the export is compared with PyTorch on these, too.",
)
@click.option(
    "--queries",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="BEIR folder: measure NDCG@10 before and after, by exact search.",
)
@click.option("--split", help="Judgements of that folder: by default test, else dev.")
@click.option(
    "--max-documents",
    type=click.IntRange(1),
    help="Search only so many of its documents, all relevant ones among them.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True),
    help="Largest 1 - cosine between an export's vector and PyTorch's. "
    "Default: 0.0001 (fp32), 0.001 (fp16), 0.15 (int8).",
)
@click.option(
    "--without-gate",
    is_flag=True,
    help="ml-commons: do not try the file with the cluster's old ONNX Runtime.",
)
@click.option("--max-tokens", type=click.IntRange(2), help="Cut texts off at so many tokens.")
@click.option("--revision", help="Branch, tag or commit of a model on the hub.")
@click.option(
    "--trust-remote-code", is_flag=True, help="Run Python code that ships with the model."
)
@json_option
@reports_errors
def export(
    model: str,
    target: Target,
    precision: Precision,
    kind: str,
    folder: Path,
    texts: Iterable[str] | None,
    queries: Path | None,
    split: str | None,
    max_documents: int | None,
    tolerance: float | None,
    without_gate: bool,
    max_tokens: int | None,
    revision: str | None,
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    """Export a model as one graph, checked against PyTorch.

    MODEL is a preset, a folder or a hub id; LoRA adapters are merged first. Nothing is written
    where an export's vectors differ from PyTorch's by more than the tolerance.

    \b
    Example:
      tandem export all-MiniLM-L6-v2 -o minilm-onnx
      tandem export all-MiniLM-L6-v2 --target ml-commons -o minilm-node
      tandem export my-model --precision int8 --queries my-set --split dev -o small
    """
    from encoders.export.targets import ExportRequest, export_to
    from encoders.registry import read_model

    own = tuple(line.rstrip("\r\n") for line in texts if line.strip()) if texts else ()
    options = ExportOptions(precision, tolerance, own, gate=not without_gate)
    request = ExportRequest(target, options, trust_remote_code)
    loading = LoadOptions(
        max_tokens=max_tokens, revision=revision, trust_remote_code=trust_remote_code
    )
    found = read_model(model, loading, "sparse" if kind == "sparse" else "dense")
    judge = _judge(queries, split, max_documents, request.trust_remote_code)
    note(f"Exporting {found.name} to {target} ({precision})")
    report = export_to(found, folder, request, judge=judge)
    if as_json:
        echo_json({**report.as_dict(), "folder": str(folder)})
        return
    click.echo("\n".join([*report.lines(), f"written    {folder}"]))


def _judge(
    folder: Path | None, split: str | None, max_documents: int | None, trust_remote_code: bool
) -> "Judge | None":
    """What measures retrieval; the set is read before the export, so that its faults come first."""
    if folder is None:
        if split is not None or max_documents is not None:
            msg = "--split and --max-documents go with --queries"
            raise click.UsageError(msg)
        return None
    from training.dev_sets import DevSet

    dev_set = DevSet.load(folder, split, max_documents=max_documents)

    def judge(model: "Model", runner: "Runner") -> "Quality":
        from encoders.export.report import Quality
        from encoders.torch_runner import TorchRunner

        note(f"Measuring {len(dev_set.query_ids)} queries, {len(dev_set.doc_ids)} documents, twice")
        original = TorchRunner.load(model.load_graph(trust_remote_code=trust_remote_code), "auto")
        return Quality(
            name=dev_set.name,
            metric="NDCG@10",
            before=_ndcg(dev_set, model, original),
            after=_ndcg(dev_set, model, runner),
            queries=len(dev_set.query_ids),
            documents=len(dev_set.doc_ids),
        )

    return judge


def _ndcg(dev_set: "DevSet", model: "Model", runner: "Runner") -> float:
    from training.dev_sets import ndcg
    from training.exact_search import dense_run, sparse_run

    documents = list(dev_set.documents())
    if model.settings.graph.kind == "dense":
        from encoders.dense import TransformerDenseEncoder

        dense = TransformerDenseEncoder(model, runner)
        vectors = dense.encode_queries(dev_set.query_texts), dense.encode_documents(documents)
        return ndcg(dense_run(dev_set.query_ids, vectors[0], dev_set.doc_ids, vectors[1]), dev_set)
    from encoders.sparse import SpladeEncoder

    sparse = SpladeEncoder(model, runner)
    queries, found = sparse.encode_queries(dev_set.query_texts), sparse.encode_documents(documents)
    width = model.settings.graph.width
    return ndcg(sparse_run(dev_set.query_ids, queries, dev_set.doc_ids, found, width), dev_set)
