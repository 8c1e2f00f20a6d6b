"""The lexical-prior model under training (see :mod:`encoders.prior`)."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from encoders.batching import BatchPlan
from encoders.export.prior_graph import load_backbone, prior_graph
from encoders.lexical import CorpusStatistics
from encoders.model import Model
from encoders.options import LoadOptions
from encoders.prior import BACKBONE, PriorHead, read_prior, write_prior
from encoders.prior_build import prior_statistics, vocabulary_tokens
from encoders.pruning import Pruning
from encoders.registry import CPU_PLAN, GPU_PLAN, read_model
from encoders.sparse import SpladeEncoder
from encoders.tokenization import TextTokenizer
from encoders.torch_runner import TorchRunner
from training.dev_sets import read_corpus
from training.sparse.max_match import max_match
from training.sparse.representations import Documents

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used

# Tensors of the head that training leaves as they are.
_FIXED = ("words", "content", "idf", "asked")


@dataclass(frozen=True)
class PriorStudent:
    """A model folder, loaded for training.

    Attributes:
        model: Its settings and tokenizer.
        head: What it started from.
        graph: The trainable module.
        device: Where it is.
        max_tokens: Training texts are cut here.
    """

    model: Model
    head: PriorHead
    graph: Any
    device: str
    max_tokens: int
    own_loss: None = None
    _statistics: dict[Path | None, CorpusStatistics | None] = field(
        default_factory=lambda: {None: None}, repr=False
    )

    @classmethod
    def load(cls, folder: Path, *, device: str, max_tokens: int | None = None) -> "PriorStudent":
        """Load a model folder, trained or not.

        Raises:
            EncoderError: It is no such folder.
        """
        model = read_model(str(folder), LoadOptions(), "sparse")
        head = read_prior(folder)
        graph = prior_graph(load_backbone(folder / BACKBONE, head.settings), head).to(device)
        graph.match = max_match
        limit = min(max_tokens or head.settings.max_tokens, head.settings.max_tokens)
        return cls(model, head, graph, device, limit)

    def module(self) -> Any:
        """The whole graph."""
        return self.graph

    def documents(self, texts: list[str], wanted: Tensor) -> Documents:
        """Represent texts; ``wanted`` entries ``[V]`` get a gradient even at weight 0."""
        graph = self.graph
        ids, mask = self._tensors(self._tokenizer, texts)
        lexical, matches = graph.parts(ids, mask)
        expansion = graph.expansion(matches)
        scored = lexical + graph.spread(self._with_surrogate(matches, expansion, wanted))
        own = self._presence(ids, mask)
        return Documents(
            weights=lexical + graph.spread(expansion),
            scored=scored,
            regularised=expansion,
            own=own,
            lexical=lexical.detach(),
        )

    def queries(self, texts: list[str]) -> Tensor:
        """IDF of each piece that is there, times its learned gain, ``[Q, V]``."""
        ids, mask = self._tensors(self._query_tokenizer, texts)
        return self._presence(ids, mask).to(self.graph.idf.dtype) * self.graph.query_weights()

    def use_corpus(self, corpus: Path | None) -> None:
        """Weigh by the statistics of a corpus file; ``None`` for those of the model itself."""
        import torch

        if corpus not in self._statistics:
            texts = (text for _, text in read_corpus(Path(str(corpus))))
            limit = self.head.settings.max_tokens
            self._statistics[corpus] = prior_statistics(self.model, texts, limit)
        found = self._statistics[corpus]
        head = self.head if found is None else self.head.adapted(found)
        self.graph.average_length = head.settings.average_length
        self.graph.idf.copy_(torch.from_numpy(head.tensors["idf"]))

    def idf(self) -> Tensor:
        """IDF of each word a document may be expanded to."""
        return self.graph.idf[self.graph.words]

    def encoder(self) -> SpladeEncoder:
        """The encoder of this moment; the graph must be in evaluation mode."""
        weights = self.graph.query_weights().detach().cpu().numpy()
        runner = TorchRunner(_Inference(self.graph), self.device)
        return SpladeEncoder(
            replace(self.model, query_weights=weights),
            runner,
            Pruning(top_k=self.head.settings.top_k),
            self._plan(runner),
        )

    def current_head(self) -> PriorHead:
        """The head as trained so far."""
        state = self.graph.state_dict()
        tensors = {
            name: state[name].detach().float().cpu().numpy()
            for name in self.head.tensors
            if name not in _FIXED
        }
        kept = {name: self.head.tensors[name] for name in _FIXED}
        return PriorHead(self.head.settings, {**tensors, **kept})

    def save(self, folder: Path) -> None:
        """Write a model folder that :func:`encoders.registry.load_sparse` loads."""
        head = self.current_head()
        write_prior(folder, head, vocabulary_tokens(self.model, head.vocabulary))
        source = self.model.folder / BACKBONE
        if (folder / BACKBONE).resolve() != source.resolve():
            shutil.copytree(source, folder / BACKBONE, dirs_exist_ok=True)
        _save_backbone(self.graph.backbone, folder / BACKBONE, head.settings.backbone)

    def after_step(self) -> None:
        """Words stay unit vectors; thresholds and the expansion's weight stay positive."""
        import torch

        with torch.no_grad():
            vectors = self.graph.word_vectors
            if vectors.requires_grad:
                vectors /= vectors.norm(dim=1, keepdim=True).clamp(min=1e-9)
            self.graph.gamma.clamp_(min=1e-3)
            self.graph.thresholds.clamp_(min=0.0)

    def parameter_groups(self, rates: Mapping[str, float], weight_decay: float) -> list[Any]:
        """Groups for the optimiser; a part with rate 0 is frozen.

        Args:
            rates: Learning rate of ``backbone``, ``projection``, ``gain``, ``thresholds``,
                ``words`` and ``queries``.
            weight_decay: Of the backbone alone: the head starts where it should stay near.
        """
        graph = self.graph
        gains = [p for n, p in graph.named_parameters() if n in ("gain", "own")]
        parts = {
            "backbone": list(graph.backbone.parameters()),
            "projection": list(graph.projection.parameters()),
            "gain": gains,
            "thresholds": [graph.thresholds, graph.gamma],
            "words": [graph.word_vectors],
            "queries": [graph.query_gain],
        }
        groups = []
        for name, parameters in parts.items():
            for parameter in parameters:
                parameter.requires_grad_(rates[name] > 0)
            if rates[name] > 0:
                decay = weight_decay if name == "backbone" else 0.0
                groups.append({"params": parameters, "lr": rates[name], "weight_decay": decay})
        return groups

    @cached_property
    def _tokenizer(self) -> TextTokenizer:
        return replace(self.model.tokenizer, max_tokens=self.max_tokens)

    @cached_property
    def _query_tokenizer(self) -> TextTokenizer:
        return replace(self.model.tokenizer, special_tokens=False)

    def _tensors(self, tokenizer: TextTokenizer, texts: list[str]) -> tuple[Tensor, Tensor]:
        import torch

        batch = tokenizer.pad(tokenizer.token_ids(texts))
        return torch.from_numpy(batch.ids).to(self.device), torch.from_numpy(batch.mask).to(
            self.device
        )

    def _presence(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Which content pieces a text holds, ``[N, V]`` bool."""
        zeros = self.graph.content.new_zeros((len(ids), len(self.graph.content)))
        counts = zeros.scatter_add(1, ids, self.graph.content[ids] * mask.to(zeros.dtype))
        return counts > 0

    def _with_surrogate(self, matches: Tensor, expansion: Tensor, wanted: Tensor) -> Tensor:
        """The same values; below the threshold, wanted words get softplus' gradient."""
        import torch
        from torch.nn.functional import softplus

        graph = self.graph
        above = graph.settings.alpha * matches - graph.thresholds
        soft = graph.gamma * softplus(above)
        asleep = (above <= 0) & wanted[graph.words]
        return expansion + torch.where(asleep, soft - soft.detach(), torch.zeros_like(soft))

    def _plan(self, runner: TorchRunner) -> BatchPlan:
        return GPU_PLAN if runner.accelerated else CPU_PLAN


def _save_backbone(backbone: Any, folder: Path, kind: str) -> None:
    from safetensors.numpy import save_file

    if kind == "static":
        table = backbone.weight.detach().float().cpu().numpy()
        save_file(
            {"embedding.weight": np.ascontiguousarray(table)}, str(folder / "model.safetensors")
        )
        return
    for old in folder.glob("*.bin"):
        old.unlink()
    backbone.save_pretrained(str(folder))


class _Inference:
    """The graph with every position's products at once, as it is exported."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self._graph(ids, mask)

    def to(self, device: str) -> "_Inference":
        """Already there."""
        return self
