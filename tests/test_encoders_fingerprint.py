import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from encoders.fingerprint import graph_fingerprint
from encoders.settings import GraphSettings, ModelFiles

GRAPH = GraphSettings(kind="dense", width=4)
SIZE = 9_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(os.urandom(SIZE))
    return tmp_path


def _print(folder: Path, graph: GraphSettings = GRAPH, tokenizer: str = "t") -> str:
    return graph_fingerprint(folder, ModelFiles(), graph, tokenizer)


def test_the_same_files_give_the_same_fingerprint_anywhere(folder: Path, tmp_path: Path) -> None:
    import shutil

    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(folder / name, other / name)
    assert _print(folder) == _print(other)


@pytest.mark.parametrize("place", [10, SIZE // 2, SIZE - 10])
def test_changed_weights_change_it(folder: Path, place: int) -> None:
    before = _print(folder)
    with (folder / "model.safetensors").open("r+b") as file:
        # A tuned layer changes megabytes, not one byte.
        start = max(0, min(place, SIZE - 600_000))
        file.seek(start)
        file.write(os.urandom(600_000))
    assert _print(folder) != before


def test_settings_configuration_and_code_change_it(folder: Path) -> None:
    prints = {_print(folder), _print(folder, replace(GRAPH, pooling="cls"))}
    (folder / "config.json").write_text('{"hidden_act": "relu"}')
    prints.add(_print(folder))
    (folder / "modeling_own.py").write_text("x = 1")
    prints.add(_print(folder))
    assert len(prints) == 4


@pytest.mark.parametrize("name", ["README.md", "pytorch_model.bin", "training_args.bin"])
def test_what_is_not_loaded_does_not_change_it(folder: Path, name: str) -> None:
    before = _print(folder)
    (folder / name).write_text("text")
    assert _print(folder) == before


def test_the_tokenizer_matters_to_a_sparse_graph_only(folder: Path) -> None:
    sparse = replace(GRAPH, kind="sparse")
    assert _print(folder, GRAPH, "a") == _print(folder, GRAPH, "b")
    assert _print(folder, sparse, "a") != _print(folder, sparse, "b")


def test_gigabytes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(4_000_000_000)  # sparse: takes no room
    start = time.process_time()
    _print(tmp_path)
    assert time.process_time() - start < 0.5
