"""Find what was deleted: what a copy holds and its source does not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from opensearch.index_info import IndexInfo
from operations.reindexing.bulk import Action, send
from operations.reindexing.shards import NOTHING, Reader, Stored

IDS = 1000
# Fewer documents are looked up one and all; more are divided first.
MANY = 5000
RANGES = 50
MAX_SUSPECTS = 20

Clause = Mapping[str, Any]


def absent(
    copy: Reader,
    source: Reader,
    upto: Sequence[int] | None = None,
    where: Sequence[Clause] = (),
) -> Iterator[list[Stored]]:
    """Documents of the copy that the source does not hold, page by page.

    Args:
        copy: The index whose documents are looked up.
        source: Where they are looked up, as it is at that moment.
        upto: Per shard, leave out what was written into the copy later.
        where: Clauses that a document must satisfy to be looked up.
    """
    marks = copy.checkpoints() if upto is None else upto
    for shard, mark in enumerate(marks):
        for page in copy.pages(shard, (NOTHING, mark), size=IDS, source=False, where=where):
            known = source.get(page)
            gone = [stored for stored in page if stored.id not in known]
            if gone:
                yield gone


def sweep(copy: Reader, source: Reader, target: IndexInfo, surplus: int) -> int:
    """Delete from a copy what its source no longer holds; how many documents those were.

    Both must have been refreshed, and the copy must hold everything else of the source.

    Args:
        copy: The index to sweep.
        source: What it is a copy of.
        target: The same as ``copy``, with its companion.
        surplus: By how many documents the copy is larger: no more are looked for.
    """
    removed = 0
    for gone in _surplus(copy, source):
        for index in (target.seismic, target.physical):
            if index is not None:
                actions = (Action("delete", index, s.id, routing=s.routing) for s in gone)
                send(copy.client, copy.patience, actions)
        removed += len(gone)
        if removed >= surplus:
            break
    return removed


def _surplus(copy: Reader, source: Reader) -> Iterator[list[Stored]]:
    marks = copy.checkpoints()
    for clause in suspects(copy, source, Span(), copy.count()):
        yield from absent(copy, source, marks, [clause])


@dataclass(frozen=True, slots=True)
class Span:
    """Documents whose id lies in ``[low, high)``; without either end, all of them.

    Attributes:
        low: The first document id; ``None`` leaves this end open.
        high: The one behind the last; likewise.
        nameless: Those without a document id instead.
    """

    low: str | None = None
    high: str | None = None
    nameless: bool = False

    def clause(self) -> Clause:
        """The span as a clause of a query."""
        if self.nameless:
            return {"bool": {"must_not": [{"exists": {"field": "doc_id"}}]}}
        ends = {"gte": self.low, "lt": self.high}
        given = {end: value for end, value in ends.items() if value is not None}
        return {"range": {"doc_id": given}} if given else {"match_all": {}}

    def divide(self, borders: Sequence[str]) -> list["Span"]:
        """The span in parts, at document ids inside it; together they hold what it holds."""
        inside = sorted({b for b in borders if b != self.low})
        parts = [Span(low, high) for low, high in pairwise([self.low, *inside, self.high])]
        if self.low is None and self.high is None:
            # A range without ends would hold the nameless too.
            parts = parts if inside else [Span(low="")]
            return [*parts, Span(nameless=True)]
        return parts


def suspects(copy: Reader, source: Reader, span: Span, count: int) -> Iterator[Clause]:
    """Ranges of document ids in which the copy holds more than the source.

    As everything of the source is in the copy, a range of equal counts holds the same on both
    sides: a few deletions among millions of documents are found without looking at the rest.

    Args:
        copy: The copy.
        source: The source.
        span: Where to look.
        count: How many documents the copy holds there.
    """
    if count <= MANY or span.nameless:
        yield span.clause()
        return
    parts = span.divide(_borders(copy, span))
    mine, theirs = (_counts(reader, parts) for reader in (copy, source))
    larger = [(part, n) for part, n, m in zip(parts, mine, theirs, strict=True) if n > m]
    if len(larger) > MAX_SUSPECTS:
        yield span.clause()
        return
    for part, n in larger:
        if n == count:  # one document id for all of them: nothing to divide
            yield part.clause()
        else:
            yield from suspects(copy, source, part, n)


def _borders(copy: Reader, span: Span) -> list[str]:
    """Document ids at random: between them lie about equally many."""
    chance = {"random_score": {"seed": 3, "field": "_seq_no"}}
    inside = {"bool": {"filter": [{"exists": {"field": "doc_id"}}, span.clause()]}}
    found = copy.search(
        {
            "size": RANGES,
            "query": {"function_score": {"query": inside, **chance}},
            "_source": ["doc_id"],
        }
    )
    return [str(stored.source["doc_id"]) for stored in found]


def _counts(reader: Reader, spans: Sequence[Span]) -> list[int]:
    filters = {str(n): span.clause() for n, span in enumerate(spans)}
    aggregation = {"spans": {"filters": {"filters": filters}}}
    answer = reader.ask({"size": 0, "track_total_hits": False, "aggs": aggregation})
    buckets = answer["aggregations"]["spans"]["buckets"]
    return [buckets[name]["doc_count"] for name in filters]
