import errno
from pathlib import Path

import pytest

from training.checkpoints import CheckpointError, check, last_whole, seal
from training.errors import TrainingError
from training.run_folder import RunFolder, disk_faults, replacing_folder, write_atomically


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.prepare(resume=False)
    run.config.write_text("x = 1\n")
    run.prepare(resume=False)  # nothing was trained yet
    run.append_log({"step": 1})
    with pytest.raises(TrainingError, match="--resume"):
        run.prepare(resume=False)
    run.prepare(resume=True)


def test_the_log_survives_a_line_that_was_cut_off(tmp_path):
    run = RunFolder(tmp_path)
    for step in range(1, 5):
        run.append_log({"step": step, "loss": 1 / step})
    with run.log.open("a") as file:
        file.write('{"step": 5, "lo')
    assert [entry["step"] for entry in run.read_log()] == [1, 2, 3, 4]
    run.cut_log(2)
    assert [entry["step"] for entry in run.read_log()] == [1, 2]


def test_a_result_that_is_not_there_says_so(tmp_path):
    run = RunFolder(tmp_path)
    with pytest.raises(TrainingError, match="not complete"):
        run.read_result()
    run.write_result({"kind": "dense"})
    assert run.read_result() == {"kind": "dense"}


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(TrainingError, match=r"No space left on device.*--resume"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "model"
    with replacing_folder(target) as new:
        (new / "weights").write_text("1")
    with pytest.raises(ValueError, match="half"), replacing_folder(target) as new:
        (new / "weights").write_text("2")
        raise ValueError("half done")
    assert (target / "weights").read_text() == "1"
    with replacing_folder(target) as new:
        (new / "other").write_text("3")
    assert [entry.name for entry in target.iterdir()] == ["other"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_other_faults_pass(tmp_path):
    with pytest.raises(KeyError), disk_faults(tmp_path):
        raise KeyError("not of the disk")


def checkpoint(run: RunFolder, step: int) -> Path:
    folder = run.checkpoints / f"checkpoint-{step}"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "weights").write_bytes(b"weights" * step)
    return folder


def test_the_last_whole_checkpoint_is_found(tmp_path):
    run = RunFolder(tmp_path)
    assert last_whole(run) is None
    for step in (9, 100):
        seal(checkpoint(run, step))
    checkpoint(run, 200)  # a kill while it was written: no seal
    assert last_whole(run) == run.checkpoints / "checkpoint-100"


@pytest.mark.parametrize("damage", ["other", "shorter", "gone", "seal"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage):
    run = RunFolder(tmp_path)
    good, bad = checkpoint(run, 1), checkpoint(run, 2)
    seal(good)
    seal(bad)
    weights = bad / "sub" / "weights"
    if damage == "other":
        weights.write_bytes(b"Weights" * 2)
    elif damage == "shorter":
        weights.write_bytes(b"")
    elif damage == "gone":
        weights.unlink()
    else:
        (bad / "complete.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"checkpoint-2 is damaged.*Remove that folder"):
        last_whole(run)
    check(good)
