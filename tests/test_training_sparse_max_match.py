"""The exact gradient of the maximum over positions, against plain autograd."""

import pytest
import torch

from training.sparse.max_match import full_match, max_match


def _inputs(dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(0)
    states = torch.randn(4, 9, 8, dtype=dtype, requires_grad=True)
    words = torch.randn(50, 8, dtype=dtype, requires_grad=True)
    bias = torch.randn(50, dtype=dtype, requires_grad=True)
    return [states, words, bias]


MASK = torch.tensor([[1] * 9, [1] * 4 + [0] * 5, [0] * 3 + [1] * 6, [0] * 8 + [1]])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_values_and_gradients_equal_those_of_autograd(
    dtype: torch.dtype, tolerance: float, with_bias: bool
) -> None:
    found = []
    for match in (full_match, max_match):
        states, words, bias = _inputs(dtype)
        best = match(states, MASK, words, bias if with_bias else None)
        # What a SPLADE loss does: scores of pairs, and FLOPS over everything active.
        weights = best.relu().log1p()
        loss = (weights[0] @ weights[1:].T).sum() + weights.mean(0).square().sum()
        loss.backward()
        grads = [states.grad, words.grad] + ([bias.grad] if with_bias else [])
        found.append((best.detach(), *grads))
    for full, exact in zip(*found, strict=True):
        torch.testing.assert_close(exact, full, rtol=tolerance, atol=tolerance)


def test_numeric_gradient() -> None:
    states, words, bias = _inputs(torch.float64)
    assert torch.autograd.gradcheck(lambda s, w, b: max_match(s, MASK, w, b), (states, words, bias))


def test_padding_is_never_chosen_and_gets_no_gradient() -> None:
    states, words, _ = _inputs(torch.float64)
    with torch.no_grad():
        states[1, 4:] = 100.0
    best = max_match(states, MASK, words)
    best.sum().backward()
    assert float(best[1].detach().max()) < 100
    assert states.grad is not None
    assert not states.grad[1, 4:].any()


def test_frozen_words_get_no_gradient() -> None:
    states, words, _ = _inputs(torch.float32)
    max_match(states, MASK, words.detach()).sum().backward()
    assert words.grad is None
    assert states.grad is not None
