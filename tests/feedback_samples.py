"""Logs with known relevance and known position bias."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from operations.feedback.events import QueryEvent, UserEvent

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


@dataclass(frozen=True)
class MemoryLog:
    """A log in memory."""

    asked: Sequence[QueryEvent]
    done: Sequence[UserEvent] = ()

    def queries(self, since=None, until=None) -> Iterator[QueryEvent]:
        return (q for q in self.asked if _inside(q, since, until))

    def events(self, since=None, until=None) -> Iterator[UserEvent]:
        return (e for e in self.done if _inside(e, since, until))


def _inside(event, since, until):
    return (since is None or event.timestamp >= since) and (
        until is None or event.timestamp < until
    )


@dataclass(frozen=True)
class Users:
    """Users who look at rank k with probability k^-eta and click what attracts them."""

    attraction: Mapping[str, float]
    eta: float = 1.0
    swaps: float = 0.0  # how far the ranking moves from one search to the next
    seed: int = 0

    def log(self, queries: Sequence[str], searches: int) -> MemoryLog:
        """Every query asked so often, each time by another client; documents in the given order."""
        rng = np.random.default_rng(self.seed)
        asked, done = [], []
        base = np.arange(len(self.attraction), dtype=float)
        names = list(self.attraction)
        for number, (query, turn) in enumerate((q, t) for q in queries for t in range(searches)):
            order = np.argsort(base + self.swaps * rng.standard_normal(len(base)))
            shown = tuple(names[place] for place in order)
            moment = START + timedelta(minutes=number)
            asked.append(
                QueryEvent(f"s{number}", query, moment, client_id=f"user {turn}", shown=shown)
            )
            for rank, doc in enumerate(shown, 1):
                if rng.random() < rank**-self.eta * self.attraction[doc]:
                    done.append(click(asked[-1], doc))
        return MemoryLog(asked, done)


def click(query: QueryEvent, doc: str, **changes) -> UserEvent:
    """A click on something that was shown."""
    position = query.shown.index(doc) + 1 if doc in query.shown else None
    values = {
        "action_name": "click",
        "timestamp": query.timestamp + timedelta(seconds=5),
        "query_id": query.query_id,
        "client_id": query.client_id,
        "object_id": doc,
        "position": position,
    }
    return UserEvent(**(values | changes))


def corpus(folder: Path, names: Sequence[str]) -> Path:
    """A BEIR folder whose documents say their name."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"_id": n, "title": "", "text": f"The text of {n}."}) for n in names]
    (folder / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder
