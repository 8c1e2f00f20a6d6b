"""Whole graphs: token ids and mask in, finished vectors out; the same for PyTorch and ONNX.

Pooling inside the graph is what makes ONNX Runtime pay: returning the logits of a sparse model
instead costs three times the time.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from encoders.settings import GraphSettings, Projection

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used
Module: TypeAlias = Any  # torch.nn.Module


def dense_graph(backbone: Module, settings: GraphSettings, projections: Sequence[Module]) -> Module:
    """Network, pooling, linear layers and normalisation: ``[B, L]`` twice to ``[B, width]``."""
    from torch.nn.functional import normalize

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        hidden = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = POOLERS[settings.pooling](hidden, mask)
        for projection in projections:
            pooled = projection(pooled)
        return normalize(pooled, p=2.0, dim=1)

    return _as_module(forward, [backbone, *projections])


def sparse_graph(backbone: Module, settings: GraphSettings, silent_ids: Sequence[int]) -> Module:
    """Network, pooling over the length and activation: ``[B, L]`` twice to ``[B, vocabulary]``.

    Args:
        backbone: Masked language model.
        settings: Pooling and activation.
        silent_ids: Ids that get no weight: special tokens, and rows beyond the vocabulary.
    """
    import torch

    keep = torch.ones(settings.width)
    keep[torch.tensor(list(silent_ids), dtype=torch.long)] = 0.0
    activate = ACTIVATE[settings.activation]

    def forward(ids: Tensor, mask: Tensor) -> Tensor:
        logits = backbone(input_ids=ids, attention_mask=mask).logits
        # A network of float16 weights ends here; what follows is computed in float32.
        masked = logits * mask.unsqueeze(-1).to(logits.dtype)
        if settings.splade_pooling == "sum":
            return activate(masked.float()).sum(1) * module.keep
        # The activation never decreases: the maximum may be taken first, so it works on [B, V].
        return activate(masked.amax(1).float()) * module.keep

    module = _as_module(forward, [backbone])
    module.register_buffer("keep", keep)
    return module


def linear_layer(projection: Projection) -> Module:
    """The untrained linear layer a projection describes, and its activation."""
    import torch

    linear = torch.nn.Linear(projection.inputs, projection.outputs, bias=projection.bias)
    return torch.nn.Sequential(linear, getattr(torch.nn, projection.activation)())


def _as_module(forward: Callable[[Tensor, Tensor], Tensor], parts: Sequence[Module]) -> Module:
    import torch

    class Graph(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(parts)

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            return forward(input_ids, attention_mask)

    return Graph().eval()


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def _first(hidden: Tensor, mask: Tensor) -> Tensor:
    """The first token that is not padding, whichever side is padded."""
    length = hidden.shape[1]
    return _at(hidden, length - (mask * (length - _positions(hidden))).amax(1))


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    """The last token that is not padding, whichever side is padded."""
    # Not argmax: ONNX Runtime 1.16, which OpenSearch's ML Commons carries, has none for int64.
    return _at(hidden, (mask * _positions(hidden)).amax(1))


def _positions(hidden: Tensor) -> Tensor:
    import torch

    return torch.arange(hidden.shape[1], device=hidden.device)


def _at(hidden: Tensor, index: Tensor) -> Tensor:
    import torch

    return hidden[torch.arange(hidden.shape[0], device=hidden.device), index]


def _log1p_relu(logits: Tensor) -> Tensor:
    return logits.relu().log1p()


def _log1p_log1p_relu(logits: Tensor) -> Tensor:
    """The double logarithm of OpenSearch's third models (arXiv 2504.14839)."""
    return logits.relu().log1p().log1p()


POOLERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": _mean,
    "cls": _first,
    "lasttoken": _last,
}
ACTIVATE: dict[str, Callable[[Tensor], Tensor]] = {
    "log1p_relu": _log1p_relu,
    "log1p_log1p_relu": _log1p_log1p_relu,
}
