"""Copy documents into another index, encoding the legs whose encoder changed."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ingest.background import background
from ingest.pipeline import Encoders, encode_chunks
from ingest.records import Chunk, EncodedChunk
from opensearch.index_info import IndexInfo
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD, TOKENS_FIELD
from opensearch.writer import seismic_document
from operations.reindexing.bulk import Action, as_of, send
from operations.reindexing.fields import FieldSync
from operations.reindexing.legs import LegName, Legs
from operations.reindexing.patience import Patience
from operations.reindexing.shards import Reader, Stored

PAGE = 256
_FIELDS: Mapping[LegName, str] = {"dense": DENSE_FIELD, "sparse": SPARSE_FIELD}


@dataclass(frozen=True, slots=True)
class Remade:
    """A document as it is to stand in the new index.

    Attributes:
        stored: The old document.
        body: Source for the main index.
        companion: Source for the SEISMIC companion; ``None`` where it has no token weights.
        encoded: Whether an encoder read it.
        long: Whether an encoder did not read its end.
    """

    stored: Stored
    body: Mapping[str, Any]
    companion: Mapping[str, Any] | None
    encoded: bool
    long: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What was written at a time.

    Attributes:
        shard: Shard of the source.
        upto: Sequence number up to which that shard is copied now.
        copied: Passages written.
        encoded: Passages of them that an encoder read.
        long: Passages of which an encoder did not read the end.
    """

    shard: int
    upto: int
    copied: int
    encoded: int
    long: int


class Copier:
    """Copies from one physical index to another."""

    def __init__(
        self, client: Any, source: IndexInfo, target: IndexInfo, legs: Legs, patience: Patience
    ) -> None:
        self._client = client
        self._source = source
        self._target = target
        self._legs = legs
        self._patience = patience
        self._companion = (
            Reader(client, source.seismic, patience) if source.seismic is not None else None
        )
        self.reader = Reader(client, source.physical, patience)
        self.fields = FieldSync(client, source, target, patience)

    @property
    def wanted(self) -> dict[str, list[str]]:
        """What is read of a document: vectors that are made anew are not."""
        return {"excludes": [f for leg, f in _FIELDS.items() if not self._legs.kept(leg)]}

    def copy(
        self,
        done: Sequence[int],
        upto: Sequence[int],
        pace: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Batch]:
        """Copy everything whose last write lies between the marks, shard by shard.

        Args:
            done: Per shard, what was copied before.
            upto: Per shard, how far to go.
            pace: Called with the number of passages of a batch; may wait.

        Yields:
            What was written, once the server has it.
        """
        with closing(background(self._read(done, upto))) as pages:
            for shard, page in pages:
                self.fields(page)
                remade = self.remake(page)
                send(self._client, self._patience, self.actions(remade))
                yield Batch(
                    shard,
                    page[-1].seq,
                    copied=len(page),
                    encoded=sum(r.encoded for r in remade),
                    long=sum(r.long for r in remade),
                )
                pace(len(page))

    def _read(self, done: Sequence[int], upto: Sequence[int]) -> Iterator[tuple[int, list[Stored]]]:
        for shard, span in enumerate(zip(done, upto, strict=True)):
            for page in self.reader.pages(shard, span, size=PAGE, source=self.wanted):
                yield shard, page

    def remake(self, page: Sequence[Stored]) -> list[Remade]:
        """Documents with their new legs: pure but for the encoders and the companion's weights.

        A document whose stamp is not the old index's was written by another client, with vectors
        of whatever model: all of its legs are encoded.
        """
        before = self._legs.stamp_before
        ours = [s for s in page if s.source.get("encoder", "") == before]
        others = [s for s in page if s.source.get("encoder", "") != before]
        weights = self._weights(ours)
        remade = self._remake(ours, self._legs.new, weights)
        if others:
            remade |= self._remake(others, self._legs.all, {})
        return [remade[stored.id, stored.seq] for stored in page]

    def _weights(self, page: Sequence[Stored]) -> Mapping[str, Stored]:
        """Token weights that the companion keeps, where they are copied."""
        if self._companion is None or not self._legs.kept("sparse"):
            return {}
        return self._companion.get(page, source=True)

    def _remake(
        self, page: Sequence[Stored], encoders: Encoders, weights: Mapping[str, Stored]
    ) -> dict[tuple[str, int], Remade]:
        if encoders.dense is None and encoders.sparse is None:
            return {(s.id, s.seq): self._copied(s, weights) for s in page}
        chunks = [as_chunk(s) for s in page]
        encoded = encode_chunks(chunks, encoders)
        long = too_long(chunks, encoders)
        return {
            (s.id, s.seq): self._encoded(s, e, encoders, (weights, cut))
            for s, e, cut in zip(page, encoded, long, strict=True)
        }

    def _copied(self, stored: Stored, weights: Mapping[str, Stored]) -> Remade:
        found = weights.get(stored.id)
        body = self._kept(stored, Encoders())
        return Remade(stored, body, found.source if found else None, encoded=False)

    def _kept(self, stored: Stored, encoders: Encoders) -> dict[str, Any]:
        """What is taken over of a source: all but the legs that are encoded, or are no more."""
        gone = {
            field
            for leg, field in _FIELDS.items()
            if getattr(encoders, leg) is not None or not self._legs.kept(leg)
        }
        body = {name: value for name, value in stored.source.items() if name not in gone}
        return {**body, "encoder": self._legs.stamp}

    def _encoded(
        self,
        stored: Stored,
        encoded: EncodedChunk,
        encoders: Encoders,
        known: tuple[Mapping[str, Stored], bool],
    ) -> Remade:
        weights, long = known
        body = self._kept(stored, encoders)
        if encoded.dense is not None:
            body[DENSE_FIELD] = encoded.dense
        seismic = self._target.seismic is not None
        if encoded.sparse_named and not seismic:
            body[SPARSE_FIELD] = dict(encoded.sparse_named)
        companion: Mapping[str, Any] | None = None
        if seismic and encoders.sparse is None:
            found = weights.get(stored.id)
            companion = found.source if found else None
        elif seismic and encoded.sparse is not None and len(encoded.sparse):
            names = ("doc_id", "level", "metadata")
            own = {name: stored.source[name] for name in names if name in stored.source}
            companion = {**own, TOKENS_FIELD: seismic_document(encoded)[TOKENS_FIELD]}
        return Remade(stored, body, companion, encoded=True, long=long)

    def actions(self, remade: Sequence[Remade]) -> Iterator[Action]:
        """The writes, the companion's first: a passage counts as stored once the main index has it.

        A document carries its number in the old index as its version, so that a job that was
        thought dead cannot overwrite what another one copied later.
        """
        if self._target.seismic is not None:
            for r in remade:
                yield _action(self._target.seismic, r.stored, r.companion)
        for r in remade:
            yield _action(self._target.physical, r.stored, r.body)


def _action(index: str, stored: Stored, body: Mapping[str, Any] | None) -> Action:
    kind = "index" if body is not None else "delete"
    return Action(kind, index, stored.id, body, stored.routing, as_of(stored.seq))  # type: ignore[arg-type]


def as_chunk(stored: Stored) -> Chunk:
    """A stored document as the passage that encoders read."""
    source = stored.source
    text = _text(source.get("text"))
    return Chunk(
        doc_id=str(source.get("doc_id", stored.id)),
        ordinal=int(source.get("ordinal") or 0),
        text=text,
        start=0,
        end=len(text),
        title=_text(source.get("title")),
        metadata=source.get("metadata") or {},
        level="coarse" if source.get("level") == "coarse" else "fine",
    )


def _text(value: Any) -> str:
    """A text field's value: another client may have written several."""
    if value is None:
        return ""
    return value if isinstance(value, str) else "\n".join(map(_text, value))


def too_long(chunks: Sequence[Chunk], encoders: Encoders) -> list[bool]:
    """For each passage, whether an encoder does not read its end."""
    passages = [chunk.passage for chunk in chunks]
    result = [False] * len(passages)
    for encoder in (encoders.dense, encoders.sparse):
        if encoder is not None and passages:
            counts = encoder.count_tokens(passages)
            result = [r or n > encoder.max_tokens for r, n in zip(result, counts, strict=True)]
    return result


class Pace:
    """Holds a job to a number of passages per second."""

    def __init__(
        self,
        rate: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()

    def __call__(self, passages: int) -> None:
        """Wait until so many passages more are within the rate."""
        if self._rate is None:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now - 1.0) + passages / self._rate
        if self._free_at > now:
            self._sleep(self._free_at - now)
