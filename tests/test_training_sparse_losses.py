"""Terms of the loss on numbers small enough to do by hand; FLOPS over two processes."""

import math
import os
import socket
import subprocess
import sys
from typing import Any

import pytest
import torch

from training.sparse import losses
from training.sparse.representations import Documents, Step
from training.sparse.steering import Steering, ramp, rate_factor

WEIGHTS = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])


def _documents(weights: torch.Tensor, own: torch.Tensor | None = None) -> Documents:
    own = weights > 0 if own is None else own
    return Documents(weights, weights, weights, own, lexical=weights)


def _step(**changes: Any) -> Step:
    values: dict[str, Any] = {
        "queries": torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
        "documents": _documents(torch.tensor([[2.0, 0, 0], [0, 0, 1.0], [1.0, 0, 0]])),
        "targets": torch.tensor([0, 1]),
        "allowed": torch.ones(2, 3, dtype=torch.bool),
    }
    return Step(**{**values, **changes})


def test_info_nce_by_hand() -> None:
    # Scores: [2, 0, 1] and [0, 1, 0], at temperature 2.
    first = -math.log(math.exp(1) / (math.exp(1) + 1 + math.exp(0.5)))
    second = -math.log(math.exp(0.5) / (1 + math.exp(0.5) + 1))
    found = losses.info_nce(_step(), 2.0)
    assert float(found) == pytest.approx((first + second) / 2, rel=1e-5)


def test_another_positive_is_no_negative() -> None:
    allowed = torch.tensor([[True, True, False], [True, True, True]])
    assert losses.info_nce(_step(allowed=allowed), 2.0) < losses.info_nce(_step(), 2.0)


def test_distillation_is_zero_where_the_scores_are_the_teachers() -> None:
    step = _step(teacher=torch.tensor([[2.0, 0, 1], [0, 1, 0]]))
    assert float(losses.distillation_kl(step, 1.0)) == pytest.approx(0, abs=1e-6)
    assert float(losses.distillation_kl(step, 3.0)) > 0.01


def test_margin_mse_by_hand() -> None:
    step = _step(teacher=torch.tensor([[5.0, 0, 1], [0, 3.0, 1]]), negatives=torch.tensor([2, 2]))
    # Ours: 2 - 1 and 1 - 0; the teacher's: 4 and 2.
    assert float(losses.margin_mse(step)) == pytest.approx((9 + 1) / 2)


def test_flops_by_hand() -> None:
    assert float(losses.flops(WEIGHTS)) == pytest.approx(2**2 + 0 + 1)
    cost = torch.tensor([0.5, 1.0, 3.0])
    assert float(losses.flops(WEIGHTS, cost=cost)) == pytest.approx(0.5 * 4 + 3 * 1)
    # Only the first text has more than one active entry.
    assert float(losses.flops(WEIGHTS, threshold=1)) == pytest.approx(0.25 + 1)
    assert float(losses.l1(WEIGHTS)) == pytest.approx(3)


def test_idf_cost_charges_frequent_words_more() -> None:
    cost = losses.idf_cost(torch.tensor([1.0, 2.0, 4.0]))
    assert float(cost.mean()) == pytest.approx(1)
    assert cost[0] == 2 * cost[1] == 4 * cost[2]


def test_seed_terms_by_hand() -> None:
    anchors = _documents(torch.tensor([[4.0, 2.0, 0.0]]), torch.tensor([[True, False, True]]))
    documents = _documents(
        torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
        torch.tensor([[False, True, False], [True, False, False]]),
    )
    step = _step(
        anchors=anchors,
        documents=documents,
        targets=torch.tensor([0]),
        negatives=torch.tensor([1]),
    )
    assert float(losses.self_preservation(step)) == pytest.approx(-2)
    assert float(losses.synonym_activation(step)) == pytest.approx(-2)
    near, far = 2 / math.sqrt(20), 4 / math.sqrt(20)
    assert float(losses.cosine_margin(step)) == pytest.approx(1.5 - near + far)


def test_ensemble_brings_teachers_to_one_range() -> None:
    first, second = torch.tensor([[0.0, 10.0, 5.0]]), torch.tensor([[0.1, 0.2, 0.4]])
    found = losses.ensemble([first, second], normalise="min-max", scale=30.0)
    expected = [0, 30 * (1 + 1 / 3) / 2, 30 * (0.5 + 1) / 2]
    torch.testing.assert_close(found, torch.tensor([expected]))
    plain = losses.ensemble([first, second], normalise="none", scale=2.0)
    torch.testing.assert_close(plain, 2 * (first + second))


def test_steering_moves_towards_the_target() -> None:
    steering = Steering(target=80, speed=0.05)
    steering.update(200)
    raised = steering.factor
    assert raised == pytest.approx(math.exp(0.05))
    steering.update(40)
    assert 1 < steering.factor < raised
    fixed = Steering(target=None, speed=0.05)
    fixed.update(1000)
    assert fixed.factor == 1


def test_schedules() -> None:
    assert [ramp(step, 100, 0.5) for step in (0, 25, 50, 99)] == [0, 0.25, 1, 1]
    assert ramp(0, 100, 0.0) == 1
    rates = [rate_factor(step, 100, 0.1, "cosine") for step in range(100)]
    assert max(rates) == pytest.approx(1)
    assert rates.index(max(rates)) == 10
    assert rates[-1] < 0.01


_IN_A_PROCESS = """
import os, sys
import torch
from training.sparse import losses
from training.sparse.processes import average_gradients, process_group, rank

weights = torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
with process_group():
    scale = torch.nn.Parameter(torch.tensor(2.0))
    loss = losses.flops(weights[rank() : rank() + 1] * scale)
    loss.backward()
    average_gradients([scale])
    print(float(loss), float(scale.grad))
"""


def test_flops_and_its_gradient_do_not_depend_on_the_number_of_processes() -> None:
    scale = torch.nn.Parameter(torch.tensor(2.0))
    alone = losses.flops(WEIGHTS * scale)
    alone.backward()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _IN_A_PROCESS],
            env={**os.environ, **address, "WORLD_SIZE": "2", "RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for process in started:
        output, _ = process.communicate(timeout=120)
        found = [float(value) for value in output.split()]
        assert found == pytest.approx([float(alone.detach()), float(scale.grad)])
