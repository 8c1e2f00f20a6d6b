"""How much of what the sparse model learned is taken: none of it is BM25 over its tokens.

What helps on questions like the training ones may cost others; the dev sets decide, as they do
for the merge scale of a dense model (Wortsman et al., "Robust fine-tuning of zero-shot models",
2022).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from training.evaluation.metrics import Evaluated
from training.static.measuring import mean_ndcg

Module: TypeAlias = Any
_SCALED = ("gamma", "own", "query_gain")


def take_best_strength(
    network: Module,
    measure: Callable[[Module], Mapping[str, Evaluated]],
    strengths: Sequence[float],
) -> float:
    """Scale what the network adds to BM25 by the strength that is best on the dev sets.

    Args:
        network: A trained sparse network; changed in place.
        measure: Metrics on the dev sets.
        strengths: Shares to measure; the larger of two that are equally good is taken.

    Returns:
        The strength.
    """
    trained = {name: getattr(network, name).detach().clone() for name in _SCALED}
    found = {}
    for strength in strengths:
        _scale(network, trained, strength)
        found[strength] = mean_ndcg(measure(network))
    best = max(found, key=lambda strength: (found[strength], strength))
    _scale(network, trained, best)
    return best


def _scale(network: Module, trained: Mapping[str, Any], strength: float) -> None:
    import torch

    with torch.no_grad():
        for name, values in trained.items():
            getattr(network, name).copy_(strength * values)
