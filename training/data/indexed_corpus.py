"""A corpus file read by place: texts stay on disk, ids and offsets are held."""

import json
from array import array
from pathlib import Path
from typing import Any, BinaryIO

from training.data.beir import passage
from training.errors import EvaluationError


class IndexedCorpus:
    """The documents of a BEIR ``corpus.jsonl``, by their place in the file."""

    def __init__(self, path: Path) -> None:
        """Read the file once, noting where each document begins.

        Raises:
            EvaluationError: The file cannot be read, or a line is no document.
        """
        self.path = path
        self.ids: list[str] = []
        self._offsets = array("q")
        try:
            self._file: BinaryIO = path.open("rb")
            self._scan()
        except OSError as error:
            msg = f"{path} cannot be read: {error.strerror or error}"
            raise EvaluationError(msg) from error
        if not self.ids:
            msg = f"{path} holds no documents"
            raise EvaluationError(msg)

    def __len__(self) -> int:
        return len(self.ids)

    def text(self, place: int) -> str:
        """Title and text of a document, as encoders read it."""
        self._file.seek(self._offsets[place])
        found = json.loads(self._file.readline().removeprefix(b"\xef\xbb\xbf"))
        return passage(found.get("title") or "", found["text"])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _scan(self) -> None:
        offset = 0
        for number, line in enumerate(self._file, start=1):
            if line.strip():
                self.ids.append(str(_document(line, f"{self.path}:{number}")["_id"]))
                self._offsets.append(offset)
            offset += len(line)


def _document(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
        if isinstance(found["text"], str) and found["_id"] is not None:
            return dict(found)
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{where}: not a JSON object with _id and text ({error!r})"
        raise EvaluationError(msg) from error
    msg = f"{where}: text is no string, or _id is missing"
    raise EvaluationError(msg)
