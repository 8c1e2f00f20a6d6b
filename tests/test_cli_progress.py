"""Progress of a build as plain lines."""

import pytest

from ingest.pipeline import Progress
from opensearch.cli import progress as module
from opensearch.cli.progress import PlainProgress, progress_line


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (0, 200, 3.0, "0 of 200 documents, 0 docs/s"),
        (50, 200, 5.0, "50 of 200 documents, 10 docs/s, 15 s left"),
        (1500, None, 10.0, "1,500 documents, 150 docs/s"),
        (0, None, 0.0, "0 documents, 0 docs/s"),
    ],
)
def test_a_line_says_what_is_known(done: int, total: int | None, seconds: float, line: str) -> None:
    assert progress_line(Progress(documents=done), total, seconds) == line


def test_rejects_are_counted() -> None:
    assert progress_line(Progress(documents=5, rejected=2), 5, 1.0).endswith("2 rejected")


def test_lines_come_now_and_then(monkeypatch, capsys) -> None:
    clock = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    shown = PlainProgress()
    for documents in (10, 60, 70, 120):
        shown.update(Progress(documents=documents), 240)
    assert capsys.readouterr().err.splitlines() == [
        "60 of 240 documents, 10 docs/s, 18 s left",
        "120 of 240 documents, 10 docs/s, 12 s left",
    ]
