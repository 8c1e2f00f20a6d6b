import errno
from pathlib import Path

import pytest

from training.whole_files import remove_leftovers, whole_file, whole_folder


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_takes_its_name_only_once_it_is_complete(tmp_path):
    path = tmp_path / "new" / "file"
    with whole_file(path) as part:
        part.write_text("one")
        assert not path.exists()
    with pytest.raises(ValueError, match="half"), whole_file(path) as part:
        part.write_text("two")
        raise ValueError("half done")
    assert path.read_text() == "one"
    assert names(path.parent) == ["file"]


def test_a_folder_goes_back_where_another_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "model"
    with whole_folder(target) as new:
        (new / "weights").write_text("1")
    moves = []
    replace = Path.replace

    def second_fails(self, place):
        moves.append(place)
        if len(moves) == 2:
            raise OSError(errno.EIO, "broken")
        return replace(self, place)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises(OSError, match="broken"), whole_folder(target) as new:
        (new / "weights").write_text("2")
    assert (target / "weights").read_text() == "1"
    assert names(tmp_path) == ["model"]


def test_what_a_kill_left_is_removed(tmp_path):
    (tmp_path / "sub" / ".unfinished-folder").mkdir(parents=True)
    (tmp_path / "sub" / ".unfinished-folder" / "part").write_text("")
    (tmp_path / ".unfinished-file").write_text("")
    (tmp_path / "kept").write_text("")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["kept", "sub"]
    assert not names(tmp_path / "sub")
