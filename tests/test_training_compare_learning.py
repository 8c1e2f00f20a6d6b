"""Over-fitting, seen in train loss and dev metric."""

import json
from pathlib import Path

from training.compare.learning import Learning, read_learning
from training.compare.systems import System
from training.run_folder import RunFolder


def falling(*steps: int) -> tuple[tuple[int, float], ...]:
    return tuple((step, 1.0 / step) for step in steps)


def test_a_falling_loss_with_a_falling_dev_metric_is_over_fitting() -> None:
    dev = ((0, 0.5), (10, 0.7), (20, 0.65), (30, 0.6))
    found = Learning("run", falling(*range(1, 31)), dev, kept=10).fault
    assert found is not None
    assert "over-fitting after step 10" in found
    assert "from 0.7000 to 0.6000" in found
    assert "weights of step 10 were kept" in found


def test_no_over_fitting_where_one_of_both_does_not_fall() -> None:
    loss = falling(*range(1, 31))
    rising = tuple((step, step / 30) for step in range(1, 31))
    down = ((0, 0.5), (10, 0.7), (30, 0.6))
    assert Learning("run", loss, ((0, 0.5), (10, 0.6), (30, 0.7))).fault is None
    assert Learning("run", rising, down).fault is None
    # Less than a hundredth of the best value is no fall.
    assert Learning("run", loss, ((0, 0.5), (10, 0.7), (30, 0.695))).fault is None
    assert Learning("run", (), down).fault is None
    assert Learning("run", loss, ()).fault is None


def test_worse_from_the_first_step_on() -> None:
    dev = ((0, 0.7), (10, 0.6), (20, 0.5))
    found = Learning("run", falling(*range(1, 21)), dev, kept=0).fault
    assert found is not None and "after step 0" in found


def test_curves_of_all_trainers_are_read(tmp_path: Path) -> None:
    for name, key in (("dense", "dev"), ("sparse", "metric")):
        folder = tmp_path / name
        folder.mkdir()
        entries = [{"step": 0, key: 0.4}, {"step": 1, "loss": 2.0}, {"step": 1, key: 0.5}]
        (folder / "log.jsonl").write_text("\n".join(map(json.dumps, entries)) + '\n{"step": 2, "lo')
        found = read_learning(System(name, "dense", "m", log=RunFolder(folder)))
        assert found is not None
        assert found.loss == ((1, 2.0),)
        assert found.dev == ((0, 0.4), (1, 0.5))
        assert found.best == (1, 0.5)
    assert read_learning(System("none", "dense", "m")) is None
    assert read_learning(System("none", "dense", "m", log=RunFolder(tmp_path / "gone"))) is None
