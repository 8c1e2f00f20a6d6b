"""Documents of one shard in the order in which they were written.

Every write to a shard takes the next sequence number, and a document carries that of its last
write. Whoever has read up to a number, and continues behind it, has seen every document that stood
still, and sees again every one that was written since. Nothing has to be kept open on the server.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from operations.reindexing.patience import Patience

NOTHING = -1


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as a shard holds it.

    Attributes:
        id: Its id.
        seq: Sequence number of its last write.
        term: Primary term of that write.
        routing: Its routing, if whoever wrote it gave one.
        source: What was asked for of its source.
    """

    id: str
    seq: int
    term: int
    routing: str | None
    source: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the shards of one physical index.

    Attributes:
        client: The client.
        physical: The index.
        patience: How long a cluster that is away is waited for.
    """

    client: Any
    physical: str
    patience: Patience

    def checkpoints(self) -> tuple[int, ...]:
        """Per shard, up to where every write is complete, on all copies, and searchable.

        A write may become visible before one of a lower number; what lies above the checkpoint is
        left to the next pass.
        """
        found = self.patience(f"asking how far {self.physical} was written", self._checkpoints)
        self.refresh()
        return found

    def refresh(self) -> None:
        """Make everything written so far visible to searches."""
        self.patience(
            f"refreshing {self.physical}",
            lambda: self.client.indices.refresh(index=self.physical),
        )

    def count(self) -> int:
        """Documents that searches see."""
        answer = self.patience(
            f"counting {self.physical}", lambda: self.client.count(index=self.physical)
        )
        return int(answer["count"])

    def settled(self) -> tuple[int, ...]:
        """The checkpoints of an index nobody may write to: of its last writes."""
        return self.patience(
            f"waiting for the last writes to {self.physical}",
            lambda: self._checkpoints(settled=True),
        )

    def _checkpoints(self, *, settled: bool = False) -> tuple[int, ...]:
        from opensearchpy.exceptions import TransportError

        answer = self.client.indices.stats(
            index=self.physical, metric="docs", params={"level": "shards"}
        )
        copies = answer["indices"].get(self.physical, {}).get("shards", {})
        numbers = _primaries(copies)
        wanted = self._shard_count()
        behind = [n for n in numbers.values() if settled and n["global"] < n["max"]]
        if set(numbers) != set(range(wanted)) or behind:
            reason = f"{len(numbers)} of {wanted} primary shards answer, {len(behind)} lag behind"
            raise TransportError(503, "shards_not_ready", {"error": {"reason": reason}})
        return tuple(numbers[shard]["global"] for shard in range(wanted))

    def _shard_count(self) -> int:
        answer = self.client.indices.get_settings(index=self.physical)
        return int(answer[self.physical]["settings"]["index"]["number_of_shards"])

    def pages(
        self,
        shard: int,
        span: tuple[int, int],
        *,
        size: int,
        source: bool | Sequence[str] | Mapping[str, Any] = True,
        where: Sequence[Mapping[str, Any]] = (),
    ) -> Iterator[list[Stored]]:
        """The documents of a shard whose last write lies in ``(after, upto]``, oldest first.

        Args:
            shard: The shard.
            span: ``(after, upto)``.
            size: Documents per page.
            source: What is asked for of their source.
            where: Further clauses that they must satisfy.
        """
        after, upto = span
        body = {
            "size": size,
            "sort": [{"_seq_no": "asc"}],
            "seq_no_primary_term": True,
            "track_total_hits": False,
            "_source": source,
        }
        while after < upto:
            numbers = {"range": {"_seq_no": {"gt": after, "lte": upto}}}
            query = {"bool": {"filter": [numbers, *where]}}
            page = self.search({**body, "query": query}, shard)
            if page:
                yield page
            if len(page) < size:
                return
            after = page[-1].seq

    def search(self, body: Mapping[str, Any], shard: int | None = None) -> list[Stored]:
        """The documents that a search finds, on the primary copies, all shards or none."""
        return [_stored(hit) for hit in self.ask(body, shard)["hits"]["hits"]]

    def ask(self, body: Mapping[str, Any], shard: int | None = None) -> Any:
        """The whole answer to a search, on the primary copies, all shards or none."""
        where = "_primary" if shard is None else f"_shards:{shard}|_primary"
        params = {"preference": where, "allow_partial_search_results": "false"}
        return self.patience(
            f"reading {self.physical}",
            lambda: self.client.search(
                # Around the index's own pipeline, which may change what is found.
                index=self.physical,
                body={"search_pipeline": "_none", **body},
                params=params,
            ),
        )

    def get(
        self,
        wanted: Sequence[Stored],
        source: bool | Sequence[str] | Mapping[str, Any] = False,
    ) -> dict[str, Stored]:
        """Documents by id (and routing) as they are at this moment; absent ones are left out."""
        if not wanted:
            return {}
        docs = [
            {"_id": w.id, "_source": source, **({"routing": w.routing} if w.routing else {})}
            for w in wanted
        ]
        answer = self.patience(
            f"looking up documents of {self.physical}",
            lambda: _whole(self.client.mget(index=self.physical, body={"docs": docs})),
        )
        return {d["_id"]: _stored(d) for d in answer["docs"] if d.get("found")}

    def newer(self, wanted: Sequence[Stored], marks: Sequence[int]) -> set[str]:
        """Which of some documents were written behind the marks (per shard of this index)."""
        if not wanted:
            return set()
        self.refresh()
        ids = {"ids": {"values": [w.id for w in wanted]}}
        found: set[str] = set()
        for shard, mark in enumerate(marks):
            later = {"range": {"_seq_no": {"gt": mark}}}
            body = {
                "size": len(wanted),
                "query": {"bool": {"filter": [ids, later]}},
                "_source": False,
            }
            found |= {stored.id for stored in self.search(body, shard)}
        return found


def _whole(answer: Any) -> Any:
    """An answer to ``_mget``, all of it: a shard that is away fails its documents one by one."""
    from opensearchpy.exceptions import TransportError

    errors = [d["error"] for d in answer["docs"] if "error" in d]
    if errors:
        raise TransportError(503, errors[0].get("type", "failed"), {"error": errors[0]})
    return answer


def _stored(hit: Mapping[str, Any]) -> Stored:
    return Stored(
        id=hit["_id"],
        seq=hit.get("_seq_no", NOTHING),
        term=hit.get("_primary_term", 0),
        routing=hit.get("_routing"),
        source=hit.get("_source", {}),
    )


def _primaries(copies: Mapping[str, Any]) -> dict[int, dict[str, int]]:
    found = {}
    for shard, rows in copies.items():
        for row in rows:
            if row["routing"]["primary"] and "seq_no" in row:
                numbers = row["seq_no"]
                found[int(shard)] = {
                    "global": numbers["global_checkpoint"],
                    "max": numbers["max_seq_no"],
                }
    return found
