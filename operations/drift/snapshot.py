"""A time to compare with, as numbers: what the queries of the evaluated model looked like."""

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from operations.drift.observed import ObservedQuery
from operations.drift.query_features import NEW_WORDS, WordCheck, features, word_hashes
from operations.feedback.errors import FeedbackError
from operations.feedback.whole_files import whole_file
from training.data.normalising import text_key

VERSION = 1
# Enough for a two-sample test to see what matters, and a file of at most a few megabytes.
MAX_VALUES = 20_000
_SALT_BYTES = 16


@dataclass(frozen=True)
class Snapshot:
    """Queries of a time, as distributions. It holds no query and no word that could be read.

    Attributes:
        source: Where they came from.
        queries: How many.
        distinct: Whether each stands for itself however often it was asked.
        numbers: Values of each numeric feature.
        scripts: Queries by script.
        nothing_found: Queries with zero results, and queries of which that is known.
        vocabulary: Digests of the words of half of the queries.
        salt: Key of the digests.
        created: When the snapshot was made.
    """

    source: str
    queries: int
    distinct: bool
    numbers: Mapping[str, tuple[float, ...]]
    scripts: Mapping[str, int]
    nothing_found: tuple[int, int]
    vocabulary: frozenset[str] = frozenset()
    salt: str = ""
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "version": VERSION,
            "created": self.created,
            "source": self.source,
            "queries": self.queries,
            "distinct": self.distinct,
            "numbers": {name: list(values) for name, values in self.numbers.items()},
            "scripts": dict(self.scripts),
            "nothing_found": list(self.nothing_found),
            "salt": self.salt,
            "vocabulary": sorted(self.vocabulary),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Snapshot":
        """What :meth:`as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: It did not give that.
        """
        if values["version"] != VERSION:
            msg = f"version {values['version']} instead of {VERSION}"
            raise ValueError(msg)
        none, known = values["nothing_found"]
        return cls(
            source=str(values["source"]),
            queries=int(values["queries"]),
            distinct=bool(values["distinct"]),
            numbers={k: tuple(map(float, v)) for k, v in values["numbers"].items()},
            scripts={k: int(v) for k, v in values["scripts"].items()},
            nothing_found=(int(none), int(known)),
            vocabulary=frozenset(values["vocabulary"]),
            salt=str(values["salt"]),
            created=str(values["created"]),
        )


def take_reference(
    queries: Iterable[ObservedQuery],
    *,
    source: str,
    distinct: bool = False,
    in_index: WordCheck | None = None,
    salt: str | None = None,
) -> Snapshot:
    """The snapshot of a time that others will be compared with.

    Half of the queries gives the vocabulary, the rest says how many words are new to it: a later
    time without drift meets about as many. A log is cut in the middle, so that what is new is what
    a log brings with time; of distinct queries, whose order means nothing, every other is taken.

    Args:
        queries: The queries.
        source: Where they come from, in words.
        distinct: Count each query once.
        in_index: Says which share of a text's words the index does not hold.
        salt: Key of the vocabulary's digests; random without it.

    Raises:
        FeedbackError: There are no queries.
    """
    salt = salt or secrets.token_hex(_SALT_BYTES)
    gathered = _Gathered()
    words = [
        word_hashes(gathered.add(query, in_index), salt) for query in _counted(queries, distinct)
    ]
    middle = len(words) // 2
    known, rest = (words[::2], words[1::2]) if distinct else (words[:middle], words[middle:])
    vocabulary = frozenset(word for found in known for word in found)
    gathered.numbers[NEW_WORDS] = _new_shares(rest, vocabulary)
    return gathered.snapshot(source, distinct, vocabulary, salt)


def take_window(
    queries: Iterable[ObservedQuery],
    reference: Snapshot,
    *,
    source: str,
    in_index: WordCheck | None = None,
) -> Snapshot:
    """The snapshot of a time that is compared with a reference.

    Args:
        queries: The queries.
        reference: Whose vocabulary and way of counting is used.
        source: Where they come from, in words.
        in_index: As for the reference.

    Raises:
        FeedbackError: There are no queries.
    """
    gathered = _Gathered()
    words = [
        word_hashes(gathered.add(query, in_index), reference.salt)
        for query in _counted(queries, reference.distinct)
    ]
    gathered.numbers[NEW_WORDS] = _new_shares(words, reference.vocabulary)
    return gathered.snapshot(source, reference.distinct, frozenset(), "")


def write_snapshot(snapshot: Snapshot, path: Path) -> None:
    """Write a snapshot; the file appears whole or not at all.

    Raises:
        FeedbackError: It cannot be written.
    """
    with whole_file(path) as file:
        json.dump(snapshot.as_dict(), file, ensure_ascii=False)


def read_snapshot(path: Path) -> Snapshot:
    """Read a snapshot.

    Raises:
        FeedbackError: The file is none.
    """
    try:
        return Snapshot.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is no snapshot of `tandem drift snapshot`: {error}"
        raise FeedbackError(msg) from error


class _Gathered:
    def __init__(self) -> None:
        self.numbers: dict[str, list[float]] = {}
        self._scripts: Counter[str] = Counter()
        self._none = self._known = self._queries = 0

    def add(self, query: ObservedQuery, in_index: WordCheck | None) -> tuple[str, ...]:
        """Note a query; returns its words."""
        found = features(query, in_index)
        self._queries += 1
        for name, value in found.numbers.items():
            self.numbers.setdefault(name, []).append(value)
        self._scripts[found.script] += 1
        if found.found_nothing is not None:
            self._known += 1
            self._none += found.found_nothing
        return found.words

    def snapshot(
        self, source: str, distinct: bool, vocabulary: frozenset[str], salt: str
    ) -> Snapshot:
        if not self._queries:
            msg = f"no queries in {source}"
            raise FeedbackError(msg)
        return Snapshot(
            source=source,
            queries=self._queries,
            distinct=distinct,
            numbers={name: _thinned(values) for name, values in self.numbers.items() if values},
            scripts=dict(self._scripts),
            nothing_found=(self._none, self._known),
            vocabulary=vocabulary,
            salt=salt,
        )


def _counted(queries: Iterable[ObservedQuery], distinct: bool) -> Iterable[ObservedQuery]:
    if not distinct:
        return queries
    return {text_key(query.text): query for query in queries}.values()


def _new_shares(words: Iterable[set[str]], vocabulary: frozenset[str]) -> list[float]:
    return [len(found - vocabulary) / len(found) for found in words if found]


def _thinned(values: list[float]) -> tuple[float, ...]:
    if len(values) > MAX_VALUES:
        chosen = np.random.default_rng(len(values)).choice(values, MAX_VALUES, replace=False)
        values = [float(value) for value in chosen]
    return tuple(round(value, 6) for value in values)
