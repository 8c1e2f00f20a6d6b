"""The whole graph of a cross-encoder, in PyTorch and as an exported file.

Its mask carries the segments: 0 is padding, 1 the first and 2 the second segment. So it takes the
same two inputs as the graph of an encoder, and the same runners run it.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from encoders.cache import build_once, cache_folder
from encoders.errors import EncoderError, ParityError
from encoders.export.exporter import EXPORT_VERSION, write_graph
from encoders.export.folder import GRAPH
from encoders.onnx_runner import OnnxRunner
from encoders.reranker_model import RerankerModel, RerankerSettings
from encoders.runner import Runner
from encoders.tokenization import Batch
from encoders.torch_runner import TorchRunner

logger = logging.getLogger(__name__)

Module: TypeAlias = Any  # torch.nn.Module, which is imported only where it is used
Tensor: TypeAlias = Any

MAX_DIFFERENCE = 1e-3
_LENGTHS = (3, 9, 24)
_SEED = 29


def load_reranker_graph(model: RerankerModel, *, trust_remote_code: bool = False) -> Module:
    """Ids and segments ``[B, L]`` to scores ``[B, 1]``, activation included, on the CPU.

    Raises:
        EncoderError: The folder cannot be loaded, or lacks weights.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    try:
        network, found = AutoModelForSequenceClassification.from_pretrained(
            str(model.folder),
            dtype=torch.float32,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    except (OSError, ValueError, ImportError) as error:
        msg = f"{model.folder} cannot be loaded as a cross-encoder: {error}"
        raise EncoderError(msg) from error
    missing = [name for name in found["missing_keys"] if "position_ids" not in name]
    if missing:
        msg = f"{model.folder} lacks weights of a cross-encoder ({', '.join(missing[:3])})"
        raise EncoderError(msg)
    if hasattr(network.config, "use_cache"):
        network.config.use_cache = False
    return _scoring(network, model.settings)


def _scoring(network: Module, settings: RerankerSettings) -> Module:
    import torch

    class Graph(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            given = {"attention_mask": (attention_mask > 0).to(torch.int64)}
            if settings.segments:
                given["token_type_ids"] = (attention_mask > 1).to(torch.int64)
            logits = self.network(input_ids=input_ids, **given).logits
            return logits.sigmoid() if settings.activation == "sigmoid" else logits

    return Graph().eval()


def cached_reranker_export(model: RerankerModel, *, trust_remote_code: bool = False) -> Path:
    """The exported graph of a cross-encoder, made on the first call and kept in the cache.

    Raises:
        ParityError: The exported graph differs from the original; nothing is kept.
        EncoderError: The model cannot be loaded or exported.
    """
    target = cache_folder() / "onnx" / f"v{EXPORT_VERSION}" / f"rerank-{model.graph_fingerprint}"
    if not target.is_dir():
        logger.warning("Exporting %s to ONNX (once; kept in %s)", model.name, target)

    def build(folder: Path) -> None:
        graph = load_reranker_graph(model, trust_remote_code=trust_remote_code)
        write_graph(graph, folder / GRAPH, output="scores")
        exported = OnnxRunner.load(folder / GRAPH, "cpu")
        check_score_parity(TorchRunner.load(graph, "cpu"), exported, model)

    return build_once(target, build) / GRAPH


def check_score_parity(original: Runner, exported: Runner, model: RerankerModel) -> float:
    """Compare two runners on random pairs; return the largest difference of a score.

    Raises:
        ParityError: A score differs by more than 0.001.
    """
    differences = [
        float(np.abs(original.run(batch) - exported.run(batch)).max())
        for batch in _probes(model.tokenizer.vocabulary_size, model.settings.max_tokens)
    ]
    worst = max(differences)
    if not worst <= MAX_DIFFERENCE:
        msg = (
            f"The exported graph differs from the original: a score is off by {worst:.2e} (at most "
            f"{MAX_DIFFERENCE} is allowed). Use --runtime torch for this model."
        )
        raise ParityError(msg)
    return worst


def _probes(vocabulary: int, max_tokens: int) -> Iterator[Batch]:
    """Ragged pairs of several lengths, padded at the right."""
    random = np.random.default_rng(_SEED)
    for length in sorted({min(length, max_tokens) for length in _LENGTHS}):
        lengths = np.array([length, max(2, length // 2), 2])[:, None]
        columns = np.arange(length)[None, :]
        segments = np.where(columns >= lengths // 2, 2, 1) * (columns < lengths)
        ids = random.integers(0, vocabulary, size=segments.shape, dtype=np.int64)
        yield Batch(ids, segments.astype(np.int64))
