"""Writes queries for all passages that have none yet, in files that can be resumed."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.data.progress_log import ProgressLog
from training.data.records import TrainingRecord
from training.data.synthesis.answers import AnswerFault, Written
from training.data.synthesis.chunks import Passage
from training.data.synthesis.offline import TITLE
from training.data.synthesis.round_trip import Check
from training.data.synthesis.writers import Writer

NOT_FOUND = "round trip: the query does not find its passage"


@dataclass(frozen=True)
class Synthesised:
    """What a run did.

    Attributes:
        passages: Passages written for in this run.
        skipped: Passages an earlier run had done.
        sources: Who wrote it -> queries kept in this run.
        set_aside: Reason -> how many in this run.
    """

    passages: int = 0
    skipped: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    set_aside: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON-ready values."""
        return {
            "passages": self.passages,
            "skipped": self.skipped,
            "queries": self.sources.total(),
            "sources": dict(self.sources),
            "set_aside": dict(self.set_aside),
        }


@dataclass(frozen=True)
class Logs:
    """The files of a run.

    Attributes:
        records: One record for each query.
        set_aside: Passages and queries that came to nothing, with the reason.
    """

    records: ProgressLog
    set_aside: ProgressLog

    def done(self) -> set[str]:
        """Ids of the passages that need no more work."""
        found = {line["pos_ids"][0] for line in self.records.lines()}
        return found | {line["passage"] for line in self.set_aside.lines()}


def synthesise(
    passages: Iterable[Passage],
    writer: Writer,
    logs: Logs,
    *,
    check: Check | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Synthesised:
    """Write, check and append.

    Args:
        passages: All passages; those that are done are passed over.
        writer: Writes the queries.
        logs: Where they go.
        check: Queries that fail it are set aside.
        progress: Told how many passages are done.

    Raises:
        EncoderServiceError: The LLM failed for too long; what is done is kept.
    """
    done = logs.done()
    sources: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    seen = skipped = 0
    with logs.records, logs.set_aside:
        for seen, passage in enumerate(passages, start=1):
            if passage.id in done:
                skipped += 1
                continue
            kept, dropped = _one(passage, writer, check)
            logs.records.write([_line(passage, n, w) for n, w in enumerate(kept, start=1)])
            logs.set_aside.write(dropped)
            sources.update(w.source for w in kept)
            aside.update(entry["kind"] for entry in dropped)
            progress(seen)
    return Synthesised(seen - skipped, skipped, sources, aside)


def _one(
    passage: Passage, writer: Writer, check: Check | None
) -> tuple[list[Written], list[dict[str, Any]]]:
    try:
        written = writer.write(passage)
    except AnswerFault as fault:
        return [], [{"passage": passage.id, "kind": "no usable answer", "reason": str(fault)}]
    if check is None:
        return written, []
    found = check.found([w.query for w in written], passage.id)
    kept = [w for w, ok in zip(written, found, strict=True) if ok]
    dropped = [
        {"passage": passage.id, "kind": NOT_FOUND, "reason": NOT_FOUND, "query": w.query}
        for w, ok in zip(written, found, strict=True)
        if not ok
    ]
    return kept, dropped


def _line(passage: Passage, number: int, written: Written) -> dict[str, Any]:
    """A record; readers of training data pass over the additional key ``source``.

    A title as query would find itself in the text, so there the text goes without it.
    """
    record = TrainingRecord(
        query=written.query,
        pos=(passage.text if written.source == TITLE else passage.whole,),
        query_id=f"{passage.id}/{number}",
        pos_ids=(passage.id,),
    )
    return {**record.as_dict(), "source": written.source}


def count_left(passages: Iterable[Passage], done: Sequence[str] | set[str]) -> int:
    """How many passages are not done."""
    return sum(passage.id not in done for passage in passages)
