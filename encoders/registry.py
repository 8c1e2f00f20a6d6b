"""Loads encoders by name: presets, folders, hub ids, services."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from encoders.base import DenseEncoder, Reranker, SparseEncoder
from encoders.batching import BatchPlan
from encoders.errors import EncoderError
from encoders.model import Model, read_exported_model, read_source_model
from encoders.options import LoadOptions
from encoders.presets import DEFAULT_DENSE, DEFAULT_SPARSE
from encoders.pruning import Pruning
from encoders.runner import Runner
from encoders.service_address import is_service
from encoders.source import find_source

if TYPE_CHECKING:
    from encoders.reranker_model import RerankerModel

__all__ = [
    "DEFAULT_DENSE",
    "DEFAULT_SPARSE",
    "LoadOptions",
    "load_dense",
    "load_reranker",
    "load_sparse",
]

# Measured by benchmarks/encode.py: on a CPU, larger batches leave the processor's caches and cost
# up to 40 %; a GPU wants many tokens at once.
CPU_PLAN = BatchPlan(max_tokens=1024, max_rows=64)
GPU_PLAN = BatchPlan(max_tokens=16_384, max_rows=512)
# A sparse network's logits take tokens x vocabulary x 4 bytes: this many bytes at a time.
SPARSE_LOGIT_BYTES = {False: 256 * 2**20, True: 2**31}

_DEFAULT_OPTIONS = LoadOptions()


def load_dense(model: str = DEFAULT_DENSE, options: LoadOptions = _DEFAULT_OPTIONS) -> DenseEncoder:
    """Load a dense encoder.

    Args:
        model: Preset, folder (source or export), hub id, or a service such as
            ``openai:text-embedding-3-small``, ``tei:http://127.0.0.1:8080``, ``cohere:embed-v4.0``.
        options: Runtime, device and what deviates from the model's own settings.

    Raises:
        EncoderError: The name is unknown, or the model cannot be loaded as asked.
    """
    if is_service(model):
        from encoders.services import service_dense

        return service_dense(model, options)
    from encoders.dense import TransformerDenseEncoder

    found = read_model(model, options, "dense")
    runner = _runner(found, options)
    return TransformerDenseEncoder(found, runner, options.dimension, _plan(found, runner, options))


def load_sparse(
    model: str = DEFAULT_SPARSE, options: LoadOptions = _DEFAULT_OPTIONS
) -> SparseEncoder:
    """Load a sparse encoder.

    Args:
        model: Preset, folder (source or export), hub id, ``tei:URL``, or ``lexical`` with
            ``options.statistics``.
        options: Runtime, device, pruning and what deviates from the model's own settings.

    Raises:
        EncoderError: The name is unknown, or the model cannot be loaded as asked.
    """
    if is_service(model):
        from encoders.services import service_sparse

        return service_sparse(model, options)
    if model == DEFAULT_SPARSE:
        return _load_lexical(options)
    from encoders.sparse import SpladeEncoder

    found = read_model(model, options, "sparse")
    runner = _runner(found, options)
    pruning = Pruning(options.top_k or found.settings.graph.top_k, options.prune_ratio)
    return SpladeEncoder(found, runner, pruning, _plan(found, runner, options))


def load_reranker(model: str, options: LoadOptions = _DEFAULT_OPTIONS) -> Reranker:
    """Load a cross-encoder.

    Args:
        model: Folder or hub id of a sequence classifier with one label.
        options: Runtime, device, ``max_tokens`` and ``batch_tokens``; the others have no effect.

    Raises:
        EncoderError: The name is unknown, or the model is no cross-encoder.
    """
    from encoders.reranker import CrossEncoder
    from encoders.reranker_model import read_reranker

    if is_service(model):
        msg = f"A cross-encoder is loaded from a folder or a hub id, not from a service ({model})"
        raise EncoderError(msg)
    found = read_reranker(find_source(model, options), options)
    runner = _reranker_runner(found, options)
    plan = GPU_PLAN if runner.accelerated else CPU_PLAN
    return CrossEncoder(
        found, runner, replace(plan, max_tokens=options.batch_tokens or plan.max_tokens)
    )


def read_model(model: str, options: LoadOptions, kind: Literal["dense", "sparse"]) -> Model:
    """Settings, tokenizer and fingerprint of a model, without loading its weights.

    Raises:
        EncoderError: The name is unknown, or the files are no model of this kind.
    """
    from encoders.export.folder import is_export

    folder = Path(model).expanduser()
    if is_export(folder):
        return read_exported_model(folder.resolve(), options, kind)
    return read_source_model(find_source(model, options, kind=kind), options, kind)


def _runner(model: Model, options: LoadOptions) -> Runner:
    runtime = _chosen_runtime(options, exported=model.files is None)
    if runtime == "torch":
        from encoders.torch_runner import TorchRunner

        graph = model.load_graph(trust_remote_code=options.trust_remote_code)
        return TorchRunner.load(graph, options.device, options.threads)
    from encoders.export.folder import GRAPH
    from encoders.onnx_runner import OnnxRunner

    folder = model.folder if model.files is None else _export(model, options)
    return OnnxRunner.load(folder / GRAPH, options.device, options.threads)


def _reranker_runner(model: "RerankerModel", options: LoadOptions) -> Runner:
    from encoders.export import reranker_graph

    trusted = options.trust_remote_code
    if _chosen_runtime(options, exported=False) == "torch":
        from encoders.torch_runner import TorchRunner

        graph = reranker_graph.load_reranker_graph(model, trust_remote_code=trusted)
        return TorchRunner.load(graph, options.device, options.threads)
    from encoders.onnx_runner import OnnxRunner

    path = reranker_graph.cached_reranker_export(model, trust_remote_code=trusted)
    return OnnxRunner.load(path, options.device, options.threads)


def _export(model: Model, options: LoadOptions) -> Path:
    from encoders.export.exporter import cached_export

    return cached_export(model, trust_remote_code=options.trust_remote_code)


def _chosen_runtime(options: LoadOptions, *, exported: bool) -> Literal["onnx", "torch"]:
    from encoders.onnx_runner import has_cuda_provider, onnxruntime_installed

    if options.runtime != "auto":
        return options.runtime
    if exported:
        return "onnx"
    if not onnxruntime_installed():
        return "torch"
    if options.device == "cuda" and not has_cuda_provider():
        return "torch"
    return "onnx"


def _load_lexical(options: LoadOptions) -> SparseEncoder:
    from encoders.lexical import LexicalEncoder

    if options.statistics is None:
        msg = (
            "The lexical encoder needs the statistics of a corpus: fit it with "
            "LexicalEncoder.fit(texts), or give what its state() returned as "
            "LoadOptions(statistics=...)"
        )
        raise EncoderError(msg)
    return LexicalEncoder.from_state(options.statistics, pruning=_pruning(options))


def _pruning(options: LoadOptions) -> Pruning:
    return Pruning(options.top_k, options.prune_ratio)


def _plan(model: Model, runner: Runner, options: LoadOptions) -> BatchPlan:
    plan = GPU_PLAN if runner.accelerated else CPU_PLAN
    if options.batch_tokens is not None:
        return replace(plan, max_tokens=options.batch_tokens)
    if model.settings.graph.kind == "dense":
        return plan
    logit_bytes = SPARSE_LOGIT_BYTES[runner.accelerated]
    fitting = logit_bytes // (4 * model.settings.graph.width)
    return replace(plan, max_tokens=max(1, min(plan.max_tokens, fitting)))
