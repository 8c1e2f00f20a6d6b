"""After a rollback: take over what was written meanwhile, without overwriting what came later.

The version that was left is frozen: what is to be carried is a fixed set. The version people search
again is written to by others at the same time, so every write here has a condition that holds only
while nobody else has touched the document since the swap.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from opensearch.index_info import IndexInfo
from opensearch.mappings import DENSE_FIELD, SPARSE_FIELD
from operations.reindexing.bulk import Action, send
from operations.reindexing.copying import PAGE, Copier, Remade
from operations.reindexing.legs import Legs
from operations.reindexing.patience import Patience
from operations.reindexing.shards import NOTHING, Reader, Stored
from operations.reindexing.sweeping import absent

_MADE = (DENSE_FIELD, SPARSE_FIELD, "encoder")
# Holds for a document that never existed, and for none that was deleted a moment ago: the server
# remembers the version of what was deleted (see `keep_tombstones`).
_NEVER_SEEN = {"version": 1, "version_type": "external"}


@dataclass(frozen=True, slots=True)
class Carry:
    """What a rollback has still to do; a note in the ``_meta`` of the version people search.

    Attributes:
        source: The physical index that was left.
        since: Per shard of it, up to where it has nothing new; ``None``: all is compared.
        frozen: Per shard of the version people search, its last write before the swap.
        companion: The same for its companion.
        done: Per shard of the source, what is carried over.
        carried: Passages written.
        removed: Passages deleted.
        newer: Passages left alone, because somebody wrote or deleted them since.
    """

    source: str
    since: tuple[int, ...] | None
    frozen: tuple[int, ...]
    companion: tuple[int, ...] = ()
    done: tuple[int, ...] | None = None
    carried: int = 0
    removed: int = 0
    newer: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The note as JSON-ready values."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Carry":
        """Read the note back."""
        names = ("since", "frozen", "companion", "done")
        marks = {name: stored[name] and tuple(stored[name]) for name in names}
        return cls(**{**stored, **marks, "companion": tuple(stored["companion"])})


class Carrier:
    """Carries documents from the version that was left to the one people search."""

    def __init__(
        self, client: Any, source: IndexInfo, target: IndexInfo, legs: Legs, patience: Patience
    ) -> None:
        self._client = client
        self._patience = patience
        self._info = target
        self._copier = Copier(client, source, target, legs, patience)
        self._source = self._copier.reader
        self._target = Reader(client, target.physical, patience)
        seismic = target.seismic
        self._companion = Reader(client, seismic, patience) if seismic else None

    def carry(self, state: Carry, note: Callable[[Carry], None]) -> Carry:
        """Carry everything; a run that was killed goes on from what was noted.

        Args:
            state: What is to be done, and how far it is.
            note: Called now and then with the state.
        """
        upto = self._source.checkpoints()
        if state.since == upto:
            return state
        for step in (self._written, self._deleted):
            for latest in step(state, upto):
                state = latest
                note(state)
        return state

    def _written(self, state: Carry, upto: Sequence[int]) -> Iterator[Carry]:
        done = list(state.done or state.since or (NOTHING,) * len(upto))
        for shard, mark in enumerate(upto):
            span = (done[shard], mark)
            pages = self._source.pages(shard, span, size=PAGE, source=self._copier.wanted)
            for page in pages:
                carried, newer = self._page(page, state)
                done[shard] = page[-1].seq
                state = replace(
                    state,
                    done=tuple(done),
                    carried=state.carried + carried,
                    newer=state.newer + newer,
                )
                yield state

    def _page(self, page: Sequence[Stored], state: Carry) -> tuple[int, int]:
        """Carry one page; how many were written, and how many left alone."""
        # In this order: what is written after the first look fails its condition, what was written
        # before is among the newer ones.
        have = self._target.get(page, source={"excludes": [DENSE_FIELD, SPARSE_FIELD]})
        tokens = self._companion.get(page) if self._companion else {}
        newer = self._target.newer(page, state.frozen)
        wanted = [s for s in page if s.id not in newer and not same_content(s, have.get(s.id))]
        self._copier.fields(wanted)
        remade = self._copier.remake(wanted)
        if self._companion is not None:
            self._carry_tokens(remade, tokens, state)
        late = send(self._client, self._patience, _actions(self._info.physical, remade, have))
        return len(remade) - len(late), len(newer) + len(late)

    def _carry_tokens(
        self, remade: Sequence[Remade], tokens: Mapping[str, Stored], state: Carry
    ) -> None:
        """Write token weights that nobody has written since the swap.

        Others write them before the passage: newer ones are of a passage that is about to come,
        and then takes the place of what is carried here. Or a run that was killed wrote them.
        """
        if self._companion is None:
            return
        newer = self._companion.newer([r.stored for r in remade], state.companion)
        ours = [r for r in remade if r.stored.id not in newer]
        actions = _tokens_actions(self._companion.physical, ours, tokens)
        send(self._client, self._patience, actions)

    def _deleted(self, state: Carry, _: Sequence[int]) -> Iterator[Carry]:
        """Delete what was deleted from the version that was left, unless somebody wrote it anew."""
        for gone in absent(self._target, self._source, state.frozen):
            tokens = self._companion.get(gone) if self._companion else {}
            physical = self._info.physical
            deletions = [
                Action("delete", physical, s.id, routing=s.routing, condition=_unchanged(s))
                for s in gone
            ]
            late = {i for _, i in send(self._client, self._patience, deletions)}
            if self._info.seismic is not None:
                send(
                    self._client,
                    self._patience,
                    [
                        Action("delete", self._info.seismic, s.id, condition=_unchanged(s))
                        for s in tokens.values()
                        if s.id not in late
                    ],
                )
            yield (
                state := replace(
                    state,
                    removed=state.removed + len(gone) - len(late),
                    newer=state.newer + len(late),
                )
            )


def same_content(one: Stored, two: Stored | None) -> bool:
    """Whether two documents say the same, whatever their encoders made of it."""
    if two is None:
        return False
    plain = [
        {name: value for name, value in stored.source.items() if name not in _MADE}
        for stored in (one, two)
    ]
    return plain[0] == plain[1]


def _unchanged(stored: Stored) -> dict[str, Any]:
    return {"if_seq_no": stored.seq, "if_primary_term": stored.term}


def _actions(index: str, remade: Sequence[Remade], have: Mapping[str, Stored]) -> Iterator[Action]:
    for r in remade:
        known = have.get(r.stored.id)
        condition = _unchanged(known) if known else _NEVER_SEEN
        yield Action("index", index, r.stored.id, r.body, r.stored.routing, condition)


def _tokens_actions(
    index: str, remade: Sequence[Remade], have: Mapping[str, Stored]
) -> Iterator[Action]:
    for r in remade:
        known = have.get(r.stored.id)
        condition = _unchanged(known) if known else _NEVER_SEEN
        if r.companion is not None:
            yield Action("index", index, r.stored.id, r.companion, r.stored.routing, condition)
        elif known is not None:
            yield Action("delete", index, r.stored.id, None, r.stored.routing, condition)
