"""What production and candidate were measured to be: values that pass from step to step."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from operations.retraining.job import Leg

Role = Literal["frozen", "guard", "feedback"]


@dataclass(frozen=True)
class Finding:
    """A paired comparison of NDCG@10 of candidate and production.

    Attributes:
        queries: Judged queries.
        production: Mean of production.
        candidate: Mean of the candidate.
        difference: Candidate minus production.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end.
        p: Of the paired randomisation test.
    """

    queries: int
    production: float
    candidate: float
    difference: float
    low: float
    high: float
    p: float

    @property
    def relative(self) -> float:
        """The difference as a share of production's mean; of 1 where that is 0."""
        return self.difference / (self.production or 1.0)


@dataclass(frozen=True)
class SetFinding:
    """One set.

    Attributes:
        name: Folder and split.
        role: What it is for.
        metrics: Metric -> the candidate's mean.
        production: The same of production; empty where it has no such leg.
        finding: The comparison; ``None`` where production has no such leg.
    """

    name: str
    role: Role
    metrics: Mapping[str, float]
    production: Mapping[str, float]
    finding: Finding | None


@dataclass(frozen=True)
class Cost:
    """What an encoder costs.

    Attributes:
        query_ms: Median time for encoding one query alone.
        entries: Entries of a document's vector, on average (sparse).
        passage_bytes: Bytes of a passage's vector.
    """

    query_ms: float
    entries: float | None
    passage_bytes: float


@dataclass(frozen=True)
class LegEvaluation:
    """One leg, both models.

    Attributes:
        leg: Which.
        sets: Every set.
        pooled: All queries of the frozen sets together.
        cost: Of the candidate.
        production_cost: Of production; ``None`` where it has no such leg.
    """

    leg: Leg
    sets: Sequence[SetFinding]
    pooled: Finding | None
    cost: Cost
    production_cost: Cost | None

    def as_dict(self) -> dict[str, Any]:
        """The evaluation as JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LegEvaluation":
        """What ``as_dict`` gave."""
        return cls(
            leg=values["leg"],
            sets=tuple(_set(entry) for entry in values["sets"]),
            pooled=_finding(values["pooled"]),
            cost=Cost(**values["cost"]),
            production_cost=Cost(**values["production_cost"])
            if values["production_cost"]
            else None,
        )


def _set(values: Mapping[str, Any]) -> SetFinding:
    known = {field.name: values[field.name] for field in fields(SetFinding)}
    return SetFinding(**{**known, "finding": _finding(values["finding"])})


def _finding(values: Mapping[str, Any] | None) -> Finding | None:
    return Finding(**values) if values else None
