"""Checkpoints that are known to be whole: a list of files with digests is written last."""

import hashlib
import json
from pathlib import Path

from training.errors import TrainingError
from training.run_folder import RunFolder, write_atomically

SEAL = "complete.json"


class CheckpointError(TrainingError):
    """A checkpoint that cannot be used; the message says how to go on without it."""


def seal(checkpoint: Path) -> None:
    """List the files of a checkpoint, once all of them are written."""
    digests = {
        str(path.relative_to(checkpoint)): _digest(path)
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != SEAL
    }
    write_atomically(checkpoint / SEAL, json.dumps(digests, indent=1))


def is_sealed(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end; a kill in between leaves one that was not."""
    return (checkpoint / SEAL).is_file()


def check(checkpoint: Path) -> None:
    """Compare a checkpoint's files with the list.

    Raises:
        CheckpointError: A file is missing or differs.
    """
    try:
        digests = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        bad = [name for name, digest in digests.items() if _differs(checkpoint / name, digest)]
    except (OSError, ValueError, AttributeError) as error:
        bad = [f"{SEAL} ({error})"]
    if bad:
        msg = (
            f"{checkpoint} is damaged: {', '.join(bad[:3])} is not what was written. Remove that "
            "folder; --resume then goes on from the checkpoint before it."
        )
        raise CheckpointError(msg)


def last_whole(run: RunFolder) -> Path | None:
    """The latest checkpoint that was written to its end, checked; ``None`` where there is none.

    Raises:
        CheckpointError: It is damaged.
    """
    sealed = [folder for folder in run.checkpoint_folders() if is_sealed(folder)]
    if not sealed:
        return None
    check(sealed[0])
    return sealed[0]


def step_of(checkpoint: Path) -> int:
    """The step a checkpoint was written at."""
    return int(checkpoint.name.rpartition("-")[2])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differs(path: Path, digest: str) -> bool:
    return not path.is_file() or _digest(path) != digest
