"""The best position of each word, with the exact gradient and without a ``[B, P, V]`` tensor.

A vocabulary head scores every position against every word and keeps the largest score. Of these
products only the best position of a (text, word) pair that the loss looks at has a gradient: ReLU
and the maximum stop all others. So the maximum is taken without gradient, text by text, its place
is kept, and only pairs with a gradient are computed again: what autograd would give, for a
fraction of memory and time.
"""

from functools import cache
from typing import Any, TypeAlias

Tensor: TypeAlias = Any  # torch.Tensor, which is imported only where it is used

# Pairs gathered at a time in the backward pass: 64 MiB of float32 at 256 components.
_PAIRS = 65_536


def max_match(states: Tensor, mask: Tensor, words: Tensor, bias: Tensor | None = None) -> Tensor:
    """``max_i (states_i · words_t + bias_t)`` over the positions of each text.

    Args:
        states: Vectors of the positions, ``[B, P, d]``.
        mask: 1 where there is a position, ``[B, P]``; every text has one.
        words: Vectors of the words, ``[V, d]``.
        bias: Added to each word's score, ``[V]``.

    Returns:
        ``[B, V]``, differentiable in ``states``, ``words`` and ``bias``.
    """
    found: Tensor = _function().apply(states, mask, words, bias)
    return found


def full_match(states: Tensor, mask: Tensor, words: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same by plain autograd: what :func:`max_match` is tested and measured against."""
    scores = states @ words.T
    scores = scores.masked_fill(mask.unsqueeze(-1) == 0, float("-inf"))
    best = scores.amax(1)
    return best if bias is None else best + bias


@cache
def _function() -> Any:
    import torch

    class MaxMatch(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed by mypy
        @staticmethod
        def forward(
            ctx: Any, states: Tensor, mask: Tensor, words: Tensor, bias: Tensor | None
        ) -> Tensor:
            best, places = _best(states, mask, words)
            ctx.save_for_backward(states, words, places)
            ctx.has_bias = bias is not None
            return best if bias is None else best + bias

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
            states, words, places = ctx.saved_tensors
            wants_states, _, wants_words, _ = ctx.needs_input_grad
            to_states = torch.zeros_like(states).flatten(0, 1) if wants_states else None
            to_words = torch.zeros_like(words) if wants_words else None
            texts, columns = grad.nonzero(as_tuple=True)
            for start in range(0, len(texts), _PAIRS):
                text, column = texts[start : start + _PAIRS], columns[start : start + _PAIRS]
                weight = grad[text, column].unsqueeze(1)
                row = text * states.shape[1] + places[text, column]
                if to_states is not None:
                    to_states.index_add_(0, row, weight * words[column])
                if to_words is not None:
                    to_words.index_add_(0, column, weight * states.flatten(0, 1)[row])
            shaped = None if to_states is None else to_states.view_as(states)
            return shaped, None, to_words, grad.sum(0) if ctx.has_bias else None

    return MaxMatch


def _best(states: Tensor, mask: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Largest score of each word in each text, and its position; both ``[B, V]``."""
    import torch

    shape = (states.shape[0], words.shape[0])
    best = states.new_empty(shape)
    places = torch.empty(shape, dtype=torch.long, device=states.device)
    for number in range(len(states)):
        # Padding is not even computed.
        present = mask[number].nonzero().squeeze(1)
        scores = words @ states[number, present].T
        values, at = scores.max(1)
        best[number] = values
        places[number] = present[at]
    return best, places
