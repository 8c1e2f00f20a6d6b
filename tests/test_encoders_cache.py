import threading
import time
from pathlib import Path

import pytest

from encoders.cache import build_once, cache_folder


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("TANDEM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "tandem"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tandem"


def test_of_several_one_builds_and_the_others_wait(tmp_path: Path) -> None:
    built: list[str] = []

    def build(folder: Path) -> None:
        built.append(folder.name)
        time.sleep(0.2)
        (folder / "model").write_text("whole")

    found: list[str] = []

    def work() -> None:
        found.append((build_once(tmp_path / "a", build) / "model").read_text())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    assert found == ["whole"] * 4


def test_a_failed_build_leaves_nothing_and_the_next_may_succeed(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        build_once(tmp_path / "a", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]
    build_once(tmp_path / "a", lambda folder: None)
    assert (tmp_path / "a").is_dir()


def test_a_damaged_folder_is_built_anew(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "model").write_text("whole")

    def is_whole(folder: Path) -> bool:
        return folder.is_dir() and (folder / "model").read_text() == "whole"

    folder = build_once(tmp_path / "a", build, is_whole)
    (folder / "model").write_text("damaged")
    (folder / "stray").write_text("")
    build_once(folder, build, is_whole)
    assert [path.name for path in folder.iterdir()] == ["model"]
    assert (folder / "model").read_text() == "whole"
