"""The mathematics around the network, on numbers small enough to do by hand."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from encoders.export.graphs import ACTIVATE, POOLERS, dense_graph, sparse_graph
from encoders.settings import GraphSettings

HIDDEN = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]], [[9.0, 9.0], [2.0, 2.0], [4.0, 0.0]]])
MASK = torch.tensor([[1, 1, 0], [0, 1, 1]])  # padded right, padded left


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [[2.0, 2.0], [3.0, 1.0]]),
        ("cls", [[1.0, 0.0], [2.0, 2.0]]),
        ("lasttoken", [[3.0, 4.0], [4.0, 0.0]]),
    ],
)
def test_pooling_ignores_padding_on_either_side(pooling: str, expected: list[list[float]]) -> None:
    assert POOLERS[pooling](HIDDEN, MASK).tolist() == expected


def test_activations() -> None:
    logits = torch.tensor([-2.0, 0.0, 3.0])
    once = [0.0, 0.0, math.log1p(3.0)]
    np.testing.assert_allclose(ACTIVATE["log1p_relu"](logits), once, rtol=1e-6)
    twice = [0.0, 0.0, math.log1p(math.log1p(3.0))]
    np.testing.assert_allclose(ACTIVATE["log1p_log1p_relu"](logits), twice, rtol=1e-6)


class _Fixed(torch.nn.Module):
    """A network that answers what it was given."""

    def __init__(self, **output: Any) -> None:
        super().__init__()
        self.output = SimpleNamespace(**output)

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return self.output


def test_dense_graph_normalises() -> None:
    graph = dense_graph(_Fixed(last_hidden_state=HIDDEN), GraphSettings("dense", 2), [])
    found = graph(MASK, MASK)
    np.testing.assert_allclose(found.norm(dim=1), 1.0, rtol=1e-6)
    np.testing.assert_allclose(found[0], [math.sqrt(0.5)] * 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("pooling", "row"),
    [("max", [math.log1p(3.0), 0.0, 0.0]), ("sum", [2 * math.log1p(3.0), 0.0, 0.0])],
)
def test_sparse_graph_pools_what_is_not_padding_and_silences(
    pooling: Any, row: list[float]
) -> None:
    logits = torch.tensor([[[3.0, -1.0, 5.0], [3.0, -1.0, 5.0], [9.0, 9.0, 9.0]]])
    settings = GraphSettings("sparse", 3, splade_pooling=pooling)
    graph = sparse_graph(_Fixed(logits=logits), settings, [2])
    mask = torch.tensor([[1, 1, 0]])
    np.testing.assert_allclose(graph(mask, mask)[0], row, rtol=1e-6)
