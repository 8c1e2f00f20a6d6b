import numpy as np
import pytest

from training.dense.config import MergeSettings
from training.dense.merging import (
    GateError,
    Weights,
    check_changed,
    check_merged,
    choose_scale,
    keeps_floor,
)

SETTINGS = MergeSettings()


def test_the_best_scale_that_keeps_the_floor_is_taken():
    dev = {0.25: 0.50, 0.5: 0.55, 1.0: 0.60}
    floor = {0.25: {"a": 0.01}, 0.5: {"a": -0.009}, 1.0: {"a": -0.02}}
    choice = choose_scale(dev, floor, SETTINGS)
    assert (choice.scale, choice.keeps_floor) == (0.5, True)
    assert choice.as_dict()["measured"][2] == {"scale": 1.0, "dev": 0.6, "floor": {"a": -0.02}}


def test_without_floor_sets_dev_decides_and_a_tie_goes_to_the_smaller_change():
    choice = choose_scale({0.5: 0.6, 0.75: 0.6, 1.0: 0.5}, {0.5: {}, 0.75: {}, 1.0: {}}, SETTINGS)
    assert choice.scale == 0.5


def test_where_nothing_keeps_the_floor_the_smallest_is_taken_and_said():
    floor = {0.5: {"a": -0.1}, 1.0: {"a": -0.2}}
    choice = choose_scale({0.5: 0.5, 1.0: 0.9}, floor, SETTINGS)
    assert (choice.scale, choice.keeps_floor) == (0.5, False)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ([], True),
        ([-0.01, -0.01], True),
        ([-0.02, 0.02], True),
        ([-0.026, 0.9], False),  # one set alone loses too much
        ([-0.02, -0.01], False),  # each is bearable, the average is not
    ],
)
def test_the_floor_bounds_the_mean_and_each(changes, kept):
    assert keeps_floor(changes, SETTINGS) is kept


def test_weights_are_interpolated_and_whole_numbers_are_not():
    import torch

    model = torch.nn.BatchNorm1d(2)  # it has a counter beside its weights
    base = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tuned = {**base, "weight": base["weight"] + 2.0}
    weights = Weights(base, tuned)
    weights.put(model, 0.25)
    assert model.weight.tolist() == [1.5, 1.5]
    weights.put(model, 0.0)
    assert model.weight.tolist() == [1.0, 1.0]
    assert weights.change() == 2.0


def test_training_that_changed_nothing_is_stopped():
    vectors = np.ones((3, 2), np.float32)
    with pytest.raises(GateError, match="changed nothing"):
        check_changed(vectors, vectors + 1e-6)
    assert check_changed(vectors, vectors + 0.1) == pytest.approx(0.1)


def test_a_merged_model_that_is_another_is_stopped():
    vectors = np.ones((3, 2), np.float32)
    with pytest.raises(GateError, match="differs from base and adapter"):
        check_merged(vectors, vectors + 1e-3)
    with pytest.raises(GateError):
        check_merged(vectors, np.full((3, 2), np.nan, np.float32))
    assert check_merged(vectors, vectors) == 0
