"""The folder of a training run: what is where, written so that a kill leaves nothing half done."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.whole_files import remove_leftovers, whole_file, whole_folder


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the parts of a run are.

    Attributes:
        root: The folder named as ``output``.
    """

    root: Path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.root / "config.toml"

    @property
    def log(self) -> Path:
        """One JSON line for each logged step and each evaluation."""
        return self.root / "log.jsonl"

    @property
    def curves(self) -> Path:
        """Loss, learning rate and dev metric as a picture."""
        return self.root / "curves.png"

    @property
    def checkpoints(self) -> Path:
        """Folders ``checkpoint-<step>``."""
        return self.root / "checkpoints"

    @property
    def model(self) -> Path:
        """The finished model."""
        return self.root / "model"

    @property
    def adapter(self) -> Path:
        """The adapter alone, where one was trained."""
        return self.root / "adapter"

    @property
    def card(self) -> Path:
        """What the model is, for people."""
        return self.root / "README.md"

    @property
    def result(self) -> Path:
        """What was measured, for programs; there once the run is complete."""
        return self.root / "result.json"

    def prepare(self, *, resume: bool) -> None:
        """Make the folder, or check that a run in it can go on.

        Raises:
            TrainingError: It holds another run and ``resume`` is off, or the disk refuses.
        """
        # A run that ended before its first step left nothing worth keeping.
        begun = self.log.exists() or self.result.exists() or bool(self.checkpoint_folders())
        if self.config.exists() and begun and not resume:
            msg = (
                f"{self.root} holds a run already. Go on with it by --resume, or choose another "
                "output."
            )
            raise TrainingError(msg)
        with disk_faults(self.root):
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.root)

    def append_log(self, entry: Mapping[str, Any]) -> None:
        """Add one line to the log.

        Raises:
            TrainingError: The disk refuses.
        """
        with disk_faults(self.log), self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """The log's entries; a last line that a kill cut off is left out."""
        if not self.log.is_file():
            return []
        entries = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return entries

    def cut_log(self, step: int) -> None:
        """Drop what was logged after ``step``: a resumed run logs it again."""
        kept = [entry for entry in self.read_log() if entry.get("step", 0) <= step]
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in kept)
        write_atomically(self.log, lines)

    def checkpoint_folders(self) -> list[Path]:
        """Checkpoints, the latest first."""
        found = {
            int(path.name.removeprefix("checkpoint-")): path
            for path in self.checkpoints.glob("checkpoint-*")
            if path.is_dir() and path.name.removeprefix("checkpoint-").isdigit()
        }
        return [found[step] for step in sorted(found, reverse=True)]

    def write_result(self, values: Mapping[str, Any]) -> None:
        """Write ``result.json``.

        Raises:
            TrainingError: The disk refuses.
        """
        write_atomically(self.result, json.dumps(values, ensure_ascii=False, indent=2) + "\n")

    def read_result(self) -> dict[str, Any]:
        """Read ``result.json``.

        Raises:
            TrainingError: The run is not complete, or the file is broken.
        """
        try:
            values: dict[str, Any] = json.loads(self.result.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            msg = f"{self.root} holds no result.json: the run is not complete. Resume it first."
            raise TrainingError(msg) from error
        except (OSError, ValueError) as error:
            msg = f"{self.result} cannot be read: {error}"
            raise TrainingError(msg) from error
        return values


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that it is either the old or the new one, never a part.

    Raises:
        TrainingError: The disk refuses; the old file is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    with disk_faults(path), whole_file(path) as part:
        part.write_bytes(data)


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """An empty folder that takes the place of ``target`` once the block ends without a fault.

    Raises:
        TrainingError: The disk refuses; ``target`` is as it was.
    """
    with disk_faults(target), whole_folder(target) as folder:
        yield folder


@contextmanager
def disk_faults(path: Path) -> Iterator[None]:
    """Turn what a disk reports into a message that says which file, and what still stands."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        msg = (
            f"{path} cannot be written: {reason}. Make room or choose another output; checkpoints "
            "written before are whole, so --resume goes on from the last one."
        )
        raise TrainingError(msg) from error
