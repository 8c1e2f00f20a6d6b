"""A JSONL file that grows while a job runs, and tells a restarted job what is done."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from training.data.errors import TrainingDataError


class ProgressLog:
    """Appends lines; an interrupted last line is cut off when the file is opened again.

    Beside the file stands what the job was told (``NAME.job.json``), so that a restart with other
    options does not mix two kinds of lines.
    """

    def __init__(self, path: Path, job: Mapping[str, Any], *, restart: bool = False) -> None:
        """Open or begin a file.

        Args:
            path: The file.
            job: What the job was told, as JSON-ready values.
            restart: Begin anew, whatever is there.

        Raises:
            TrainingDataError: The file is there and was made by another job.
        """
        self.path = path
        self._file: TextIO | None = None
        note = path.with_name(f"{path.name}.job.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        if restart or not path.exists():
            path.write_text("", encoding="utf-8")
        else:
            _check(path, note, job)
            _cut_torn_line(path)
        note.write_text(json.dumps(job, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")

    def __enter__(self) -> "ProgressLog":
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def lines(self) -> Iterator[dict[str, Any]]:
        """What earlier runs wrote.

        Raises:
            TrainingDataError: A line is no JSON object.
        """
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    value = json.loads(line)
                except ValueError as error:
                    fault = f"{self.path}:{number}: bad JSON; say --restart to begin anew"
                    raise TrainingDataError([fault]) from error
                yield value

    def write(self, values: Sequence[Mapping[str, Any]]) -> None:
        """Append lines that belong together, and hand them to the system at once."""
        if self._file is None:
            msg = "the log is not open"
            raise ValueError(msg)
        text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
        self._file.write(text)
        self._file.flush()


def _check(path: Path, note: Path, job: Mapping[str, Any]) -> None:
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fault = f"{path} is there but was not made by this command; name another file, or --restart"
        raise TrainingDataError([fault]) from error
    changed = [name for name in job if before.get(name) != job[name]]
    if changed:
        shown = ", ".join(f"{n} {before.get(n)!r} (now {job[n]!r})" for n in changed)
        fault = (
            f"{path} was begun with {shown}; go on with the same options, name another "
            "file, or say --restart to begin anew"
        )
        raise TrainingDataError([fault])


def _cut_torn_line(path: Path) -> None:
    with path.open("rb+") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                file.truncate(start + found + 1)
                return
            end = start
        file.truncate(0)
