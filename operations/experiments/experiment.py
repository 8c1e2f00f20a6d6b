"""What an experiment is: two arms of one index, a share of the users, and a plan."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from operations.experiments.errors import ExperimentError

Method = Literal["split", "interleaving"]
Status = Literal["running", "stopped", "promoted"]
METHODS: tuple[Method, ...] = ("split", "interleaving")

PREFERENCE = "preference"
# Metrics of a split; whether a larger value is better.
HIGHER_IS_BETTER: Mapping[str, bool] = {
    "ctr": True,
    "clicks": True,
    "mrr": True,
    "abandonment": False,
    "zero_results": False,
    "latency_ms": False,
    PREFERENCE: True,
}
SPLIT_METRICS = tuple(name for name in HIGHER_IS_BETTER if name != PREFERENCE)


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to answer a query.

    Attributes:
        physical: The index behind it, pinned.
        pipeline: A search pipeline of the cluster that fuses the legs instead of the index's own.
        dense_model: A model of the cluster that encodes the dense query instead of a local one.
        sparse_model: The same for the sparse query.
    """

    physical: str
    pipeline: str | None = None
    dense_model: str | None = None
    sparse_model: str | None = None

    def label(self) -> str:
        """The arm in a few words."""
        parts = [self.physical]
        parts += [f"pipeline {self.pipeline}"] if self.pipeline else []
        parts += [f"model {name}" for name in (self.dense_model, self.sparse_model) if name]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Phase:
    """A time with one share; what the report compares is the last one.

    Attributes:
        since: Its beginning.
        share: Share of the users that see arm B, or that see both interleaved.
        alpha: Error that was left when it began.
    """

    since: datetime
    share: float
    alpha: float


@dataclass(frozen=True, slots=True)
class Look:
    """A look at the primary metric: it has used up error, so it is kept.

    Attributes:
        at: When.
        users: Users seen.
        fraction: Share of the planned users.
        information: ``1 / error²`` of the difference.
        boundary: What |Z| had to pass.
        z: The statistic; above 0 where B is ahead in the metric's value.
        verdict: What was concluded.
    """

    at: datetime
    users: int
    fraction: float
    information: float
    boundary: float
    z: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is looked for, and how long.

    Attributes:
        metric: The primary metric: the verdict is about it alone.
        cutoff: The k of CTR@k.
        minimum_effect: Smallest absolute difference that matters.
        planned_users: Users after which the test is over.
        alpha: Error of the first kind, both sides, over all looks.
        power: Probability to find the minimum effect.
    """

    metric: str = "ctr"
    cutoff: int = 10
    minimum_effect: float = 0.02
    planned_users: int = 10_000
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        if self.metric not in HIGHER_IS_BETTER:
            msg = f"unknown metric {self.metric!r}; allowed: {', '.join(HIGHER_IS_BETTER)}"
            raise ExperimentError(msg)
        if not 0 < self.alpha < 0.5 or not 0 < self.power < 1:
            msg = f"alpha must lie between 0 and 0.5, power between 0 and 1: {self}"
            raise ExperimentError(msg)
        if self.minimum_effect <= 0 or self.planned_users < 1 or self.cutoff < 1:
            msg = f"minimum effect, planned users and cutoff must be above 0: {self}"
            raise ExperimentError(msg)


@dataclass(frozen=True, slots=True)
class Experiment:
    """Two arms, compared on live users.

    Attributes:
        name: Its name; also part of what decides who sees which arm.
        index: Logical name of the index.
        method: ``split``: each user sees one arm; ``interleaving``: the results of both, mixed.
        a: What the alias served at the start.
        b: What it is compared with.
        salt: Makes the split independent of other experiments.
        created: When it began.
        plan: What is looked for.
        phases: Shares over time, the last one in force.
        looks: Looks of the last phase.
        status: Whether it runs, and how it ended.
        ended: When.
        outcome: Why, in words.
    """

    name: str
    index: str
    method: Method
    a: Arm
    b: Arm
    salt: str
    created: datetime
    plan: Plan
    phases: tuple[Phase, ...]
    looks: tuple[Look, ...] = ()
    status: Status = "running"
    ended: datetime | None = None
    outcome: str = ""

    @property
    def phase(self) -> Phase:
        """The share in force."""
        return self.phases[-1]

    @property
    def share(self) -> float:
        """Share of the users that see arm B."""
        return self.phase.share

    @property
    def running(self) -> bool:
        """Whether users are still assigned."""
        return self.status == "running"

    def ends(self, status: Status, outcome: str) -> "Experiment":
        """The same experiment, ended now."""
        return replace(self, status=status, outcome=outcome, ended=datetime.now(UTC))

    def as_document(self) -> dict[str, Any]:
        """JSON-ready values, as the cluster keeps them."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def from_document(document: Mapping[str, Any]) -> Experiment:
    """The experiment that ``as_document`` wrote."""
    values = dict(document)
    ended = values["ended"]
    return Experiment(
        **{
            **values,
            "a": Arm(**values["a"]),
            "b": Arm(**values["b"]),
            "plan": Plan(**values["plan"]),
            "created": datetime.fromisoformat(values["created"]),
            "ended": datetime.fromisoformat(ended) if ended else None,
            "phases": tuple(Phase(**_dated(phase, "since")) for phase in values["phases"]),
            "looks": tuple(Look(**_dated(look, "at")) for look in values["looks"]),
        }
    )


def _dated(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**values, name: datetime.fromisoformat(values[name])}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
