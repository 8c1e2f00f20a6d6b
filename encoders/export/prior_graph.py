"""The graph of a vocabulary head with a lexical prior (see :mod:`encoders.prior`).

The same module is trained and exported; training replaces ``match`` by a function that keeps only
the maximum of all positions.
"""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from encoders.errors import EncoderError
from encoders.export.backbone import load_transformer
from encoders.export.graphs import POOLERS
from encoders.prior import PriorHead, PriorSettings, read_prior
from encoders.settings import ModelLayout

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used
Module: TypeAlias = Any  # torch.nn.Module
Match: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]


def load_prior_graph(folder: Path, layout: ModelLayout, silent_ids: Sequence[int]) -> Module:
    """A model folder as one module: ``[B, L]`` ids and mask to ``[B, vocabulary]``.

    Raises:
        EncoderError: The folder cannot be loaded.
    """
    head = read_prior(folder)
    backbone = load_backbone(folder / layout.files.transformer, head.settings)
    graph = prior_graph(backbone, head)
    graph.content[list(silent_ids)] = 0.0
    graph.top_k = layout.settings.graph.top_k
    return graph.eval()


def load_backbone(folder: Path, settings: PriorSettings) -> Module:
    """The sentence encoder a head stands on: a transformer, or a table of token vectors.

    Raises:
        EncoderError: The folder cannot be loaded.
    """
    if settings.backbone == "static":
        return _load_table(folder)
    backbone = load_transformer(folder, "dense")
    if hasattr(backbone.config, "use_cache"):
        backbone.config.use_cache = False
    return backbone


def prior_graph(backbone: Module, head: PriorHead) -> Module:
    """The trainable module: parameters from ``head``, in training mode."""
    return _prior_class()(backbone, head)


def best_match(states: Tensor, mask: Tensor, words: Tensor) -> Tensor:
    """Largest product of each word with any position, at least 0.

    Args:
        states: Unit vectors of the positions, ``[B, P, d]``.
        mask: 1 where there is a position, ``[B, P]``.
        words: Unit vectors of the words, ``[E, d]``.

    Returns:
        ``[B, E]``.
    """
    present = states * mask.unsqueeze(-1).to(states.dtype)
    return (present @ words.T).amax(1).relu()


def _load_table(folder: Path) -> Module:
    import torch

    from encoders.export.backbone import weights_in

    weights = weights_in(folder)
    names = [name for name in ("embedding.weight", "embeddings") if name in weights]
    if not names:
        msg = f"{folder} holds no table of token vectors (embedding.weight)"
        raise EncoderError(msg)
    table = weights[names[0]]
    return torch.nn.Embedding.from_pretrained(table.float(), freeze=False)


@cache
def _prior_class() -> Any:
    import torch
    from torch.nn.functional import normalize

    class PriorGraph(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
        """Parameters and buffers are named like the tensors of :class:`PriorHead`."""

        def __init__(self, backbone: Module, head: PriorHead) -> None:
            super().__init__()
            tensors = {k: torch.from_numpy(v.copy()) for k, v in head.tensors.items()}
            self.backbone = backbone
            self.settings = head.settings
            self.top_k = head.settings.top_k
            self.average_length = head.settings.average_length
            self.match: Match = best_match
            for name in ("word_vectors", "thresholds", "gamma", "query_gain", "gain", "own"):
                if name in tensors:
                    self.register_parameter(name, torch.nn.Parameter(tensors[name].float()))
            width = tensors["projection.weight"].shape[0]
            self.projection = torch.nn.Linear(width, width)
            with torch.no_grad():
                self.projection.weight.copy_(tensors["projection.weight"])
                self.projection.bias.copy_(tensors["projection.bias"])
            for name in ("content", "idf", "asked"):
                self.register_buffer(name, tensors[name].float())
            self.register_buffer("words", tensors["words"].long())
            self.register_buffer("slots", _slots(tensors["words"], head.vocabulary))

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            """Weights of documents, capped: ``[B, vocabulary]``."""
            lexical, matches = self.parts(input_ids, attention_mask)
            weights = lexical + self.spread(self.expansion(matches))
            return weights if self.top_k is None else _capped(self, weights, self.top_k)

        def parts(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
            """The lexical part ``[B, vocabulary]`` and the best matches of words ``[B, E]``."""
            look = _static if self.settings.backbone == "static" else _contextual
            positions, present, gains = look(self, input_ids, attention_mask)
            states = normalize(self.projection(positions), dim=-1)
            lexical = _saturated(self, input_ids, attention_mask, gains)
            return lexical, self.match(states, present, self.word_vectors)

        def expansion(self, matches: Tensor) -> Tensor:
            """``γ · log1p(relu(α · match − θ))`` of each word, ``[B, E]``."""
            above = (self.settings.alpha * matches - self.thresholds).relu()
            return self.gamma * above.log1p()

        def spread(self, expansions: Tensor) -> Tensor:
            """From words to the vocabulary: ``[B, E]`` to ``[B, vocabulary]``."""
            # One column of zeros behind the words, to which all other entries point.
            padded = torch.cat([expansions, torch.zeros_like(expansions[:, :1])], 1)
            return padded[:, self.slots]

        def query_weights(self) -> Tensor:
            """Weight of each piece in a query, ``[vocabulary]``."""
            return self.idf * self.query_gain.exp() * self.content

    return PriorGraph


def _contextual(graph: Module, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states and the pooled vector, which of them are there, and gains of the pieces."""
    import torch

    hidden = graph.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    pooled = POOLERS[graph.settings.pooling](hidden, mask)
    positions = torch.cat([hidden, pooled.unsqueeze(1)], 1)
    present = torch.cat([mask, torch.ones_like(mask[:, :1])], 1)
    return positions, present, hidden @ graph.gain


def _static(graph: Module, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same for a table of token vectors: its only position is the pooled vector."""
    import torch
    from torch.nn.functional import normalize

    pooled = (graph.backbone(ids) * mask.unsqueeze(-1).to(graph.idf.dtype)).sum(1, keepdim=True)
    return normalize(pooled, dim=-1), torch.ones_like(mask[:, :1]), graph.own[ids]


def _saturated(graph: Module, ids: Tensor, mask: Tensor, gains: Tensor) -> Tensor:
    """BM25's term frequency times ``exp`` of the mean gain of a piece's places."""
    settings = graph.settings
    counted = graph.content[ids] * mask.to(gains.dtype)
    zeros = counted.new_zeros((ids.shape[0], graph.content.shape[0]))
    counts = zeros.scatter_add(1, ids, counted)
    sums = zeros.scatter_add(1, ids, gains * counted)
    length = counted.sum(1, keepdim=True) / graph.average_length
    norm = settings.k1 * (1 - settings.b + settings.b * length)
    saturated = counts * (settings.k1 + 1) / (counts + norm)
    return saturated * (sums / counts.clamp(min=1.0)).exp()


def _capped(graph: Module, weights: Tensor, top_k: int) -> Tensor:
    """What is likely to add most to a score stays; what no query can ask for goes."""
    import torch

    worth = weights * graph.query_weights() * graph.asked
    least = worth.topk(min(top_k, worth.shape[1]), dim=1).values[:, -1:]
    return torch.where((worth >= least) & (worth > 0), weights, torch.zeros_like(weights))


def _slots(words: Tensor, vocabulary: int) -> Tensor:
    import torch

    slots = torch.full((vocabulary,), len(words), dtype=torch.long)
    slots[words.long()] = torch.arange(len(words))
    return slots
