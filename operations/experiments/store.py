"""Experiments in the cluster: one document per index, and one per experiment that ended.

The document of an index holds its running experiment, or the last one. Whoever changes it names the
version that was read, so of two that change it at once one is refused: no index ever has two
running experiments.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from opensearch.errors import SearchBackendError
from opensearch.translation import translated
from operations.experiments.errors import ChangedMeanwhileError, NoExperimentError
from operations.experiments.experiment import Experiment, from_document

INDEX = "tandem-experiments"
_MOST = 1000
_ATTEMPTS = 5

_KEYWORD = {"type": "keyword"}
_DATE = {"type": "date"}
_NUMBER = {"type": "double"}
_WHOLE = {"type": "long"}
_ARM = {
    "properties": dict.fromkeys(("physical", "pipeline", "dense_model", "sparse_model"), _KEYWORD)
}


@dataclass(frozen=True, slots=True)
class Stored:
    """An experiment as it was read, and which version of its document that was."""

    experiment: Experiment
    seq_no: int
    primary_term: int


def index_body() -> dict[str, Any]:
    """Settings and mapping of the index; unknown fields are refused."""
    numbers = ("minimum_effect", "alpha", "power")
    plan = {
        "metric": _KEYWORD,
        **dict.fromkeys(numbers, _NUMBER),
        **dict.fromkeys(("cutoff", "planned_users"), _WHOLE),
    }
    phases = {
        "since": _DATE,
        **dict.fromkeys(("share", "alpha"), _NUMBER),
    }
    looks = {
        "at": _DATE,
        "users": _WHOLE,
        "verdict": _KEYWORD,
        **dict.fromkeys(("fraction", "information", "boundary", "z"), _NUMBER),
    }
    words = ("name", "index", "method", "salt", "status")
    return {
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1"},
        "mappings": {
            "dynamic": "strict",
            "properties": {
                **dict.fromkeys(words, _KEYWORD),
                **dict.fromkeys(("created", "ended"), _DATE),
                **dict.fromkeys(("a", "b"), _ARM),
                "outcome": {"type": "text"},
                "plan": {"properties": plan},
                "phases": {"properties": phases},
                "looks": {"properties": looks},
            },
        },
    }


class ExperimentStore:
    """Reads and writes experiments.

    Args:
        client: The client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def on_index(self, index: str) -> Stored | None:
        """The running experiment of an index, or else its last one."""
        return self._get(_slot(index))

    def running(self, index: str) -> Experiment | None:
        """The running experiment of an index."""
        found = self.on_index(index)
        return found.experiment if found and found.experiment.running else None

    def find(self, name: str) -> Stored:
        """An experiment by its name, or the one on the index of that name.

        Raises:
            NoExperimentError: Neither exists.
        """
        found = self.on_index(name) or self._named(name)
        if found is None:
            msg = (
                f"there is no experiment {name!r}, and none on an index of that name: `tandem ab "
                "list` shows them all, `tandem ab start` starts one"
            )
            raise NoExperimentError(msg)
        return found

    def all(self) -> list[Experiment]:
        """Every experiment, the latest first."""
        body = {"size": _MOST, "query": {"match_all": {}}, "sort": [{"created": "desc"}]}
        found = {one.experiment.name: one.experiment for one in self._search(body)}
        return list(found.values())

    def start(self, experiment: Experiment, before: Stored | None) -> None:
        """Put a new experiment in the place of what was read there.

        Raises:
            ChangedMeanwhileError: Something else stands there by now.
        """
        if before is not None:
            self._keep(before.experiment)
        self._put(_slot(experiment.index), experiment, before)

    def change(self, name: str, change: Callable[[Experiment], Experiment]) -> Experiment:
        """Change a running experiment, again where somebody else changed it meanwhile.

        One that has ended stays as it is.

        Args:
            name: Its name, or its index.
            change: Gives the new one; the same object where there is nothing to do.

        Raises:
            NoExperimentError: It does not exist.
            ChangedMeanwhileError: It changes all the time.
        """
        for _ in range(_ATTEMPTS):
            found = self.find(name)
            if not found.experiment.running:
                return found.experiment
            changed = change(found.experiment)
            if changed == found.experiment or self._replaces(found, changed):
                return changed
        msg = f"the experiment {name!r} changes all the time: try again"
        raise ChangedMeanwhileError(msg)

    def _replaces(self, found: Stored, changed: Experiment) -> bool:
        """Write a changed experiment; whether nobody was quicker."""
        try:
            self._put(_slot(changed.index), changed, found)
        except ChangedMeanwhileError:
            return False
        return True

    def _keep(self, experiment: Experiment) -> None:
        """An ended experiment under its own name, beside the place of its index."""
        self._write(experiment.name, experiment, {})

    def _put(self, place: str, experiment: Experiment, before: Stored | None) -> None:
        if before is None:
            condition: dict[str, Any] = {"op_type": "create"}
        else:
            condition = {"if_seq_no": before.seq_no, "if_primary_term": before.primary_term}
        self._write(place, experiment, condition)

    def _write(self, place: str, experiment: Experiment, condition: dict[str, Any]) -> None:
        from opensearchpy.exceptions import ConflictError

        self._make()
        try:
            with translated(f"writing the experiment {experiment.name}"):
                self._client.index(
                    index=INDEX,
                    id=place,
                    body=experiment.as_document(),
                    params={"refresh": "true", **condition},
                )
        except SearchBackendError as error:
            if isinstance(error.__cause__, ConflictError):
                msg = f"somebody changed the experiments on {experiment.index} meanwhile: try again"
                raise ChangedMeanwhileError(msg) from error
            raise

    def _make(self) -> None:
        with translated(f"creating {INDEX}"):
            if not self._client.indices.exists(index=INDEX):
                # 400 is what the loser of a race to create it gets.
                self._client.indices.create(index=INDEX, body=index_body(), ignore=400)

    def _get(self, place: str) -> Stored | None:
        with translated("reading an experiment"):
            answer = self._client.get(index=INDEX, id=place, ignore=HTTPStatus.NOT_FOUND.value)
        return _stored(answer) if answer.get("found") else None

    def _named(self, name: str) -> Stored | None:
        """By name; the place of an index comes before the copy of one that ended."""
        found = self._search({"query": {"term": {"name": name}}})
        return max(found, key=lambda one: one.experiment.running, default=None)

    def _search(self, body: dict[str, Any]) -> list[Stored]:
        with translated("reading the experiments"):
            answer = self._client.search(
                index=INDEX,
                body={"seq_no_primary_term": True, **body},
                params={"ignore_unavailable": "true"},
            )
        return [_stored(hit) for hit in answer["hits"]["hits"]]


def _slot(index: str) -> str:
    # No index and no experiment can have a colon in its name.
    return f"index:{index}"


def _stored(hit: dict[str, Any]) -> Stored:
    return Stored(from_document(hit["_source"]), hit["_seq_no"], hit["_primary_term"])
