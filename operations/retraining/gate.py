"""The gate: every rule with its figure, its limit, and what came of it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from operations.retraining.evaluation import LegEvaluation, Role, SetFinding
from operations.retraining.job import GateSettings

Result = Literal["kept", "broken", "not judged"]


@dataclass(frozen=True)
class Rule:
    """A rule and what came of it.

    Attributes:
        name: The setting it comes from.
        about: Leg, and set where it is about one.
        figure: What was measured.
        limit: What is allowed.
        result: Whether it was kept; ``not judged`` where there is nothing to judge it by.
        text: The same as a sentence.
    """

    name: str
    about: str
    figure: float | None
    limit: float
    result: Result
    text: str

    def as_dict(self) -> dict[str, Any]:
        """The rule as JSON-ready values."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        rules: All rules.
    """

    rules: Sequence[Rule]

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not any(rule.result == "broken" for rule in self.rules)

    @property
    def reason(self) -> str:
        """The broken rules, one sentence each."""
        return "; ".join(rule.text for rule in self.rules if rule.result == "broken")

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON-ready values."""
        return {
            "passed": self.passed,
            "reason": self.reason or None,
            "rules": [rule.as_dict() for rule in self.rules],
        }


def judge(legs: Iterable[LegEvaluation], gate: GateSettings) -> Verdict:
    """Hold every leg against every rule."""
    return Verdict(tuple(rule for leg in legs for rule in _rules(leg, gate)))


def parity_rule(about: str, loss: float, limit: float) -> Rule:
    """Whether an export gives what its model gives."""
    return _ceiling("max_parity_loss", about, loss, limit, "1 - cosine to the model")


def _rules(leg: LegEvaluation, gate: GateSettings) -> Iterator[Rule]:
    yield from _gain(leg, gate)
    yield from _losses(leg, "frozen", "max_set_loss", gate.max_set_loss)
    yield from _losses(leg, "guard", "max_guard_loss", gate.max_guard_loss)
    yield from _feedback(leg, gate)
    yield from _costs(leg, gate)


def _gain(leg: LegEvaluation, gate: GateSettings) -> Iterator[Rule]:
    found = leg.pooled
    if found is None:
        text = f"{leg.leg}: production has no such encoder to gain over"
        yield Rule("min_gain", leg.leg, None, gate.min_gain, "not judged", text)
        return
    enough = found.relative >= gate.min_gain
    text = (
        f"{leg.leg}: NDCG@10 {found.production:.4f} → {found.candidate:.4f} "
        f"({_percent(found.relative)}) over the frozen sets, {_percent(gate.min_gain)} is asked for"
    )
    yield Rule("min_gain", leg.leg, found.relative, gate.min_gain, _kept(enough), text)
    if gate.p < 1:
        sure = found.p < gate.p
        text = f"{leg.leg}: the gain has p = {found.p:.4f}, below {gate.p:g} is asked for"
        yield Rule("p", leg.leg, found.p, gate.p, _kept(sure), text)


def _losses(leg: LegEvaluation, role: Role, name: str, limit: float) -> Iterator[Rule]:
    for entry in leg.sets:
        if entry.role == role and entry.finding is not None:
            yield _loss(leg, entry, name, limit)


def _feedback(leg: LegEvaluation, gate: GateSettings) -> Iterator[Rule]:
    name, limit = "max_feedback_loss", gate.max_feedback_loss
    for entry in leg.sets:
        if entry.role != "feedback" or entry.finding is None:
            continue
        queries = entry.finding.queries
        if queries >= gate.min_feedback_queries:
            yield _loss(leg, entry, name, limit)
            continue
        text = (
            f"{leg.leg}: {queries} judged queries of fresh feedback are fewer than "
            f"{gate.min_feedback_queries}: they decide nothing"
        )
        yield Rule(name, f"{leg.leg}, {entry.name}", None, limit, "not judged", text)


def _loss(leg: LegEvaluation, entry: SetFinding, name: str, limit: float) -> Rule:
    if entry.finding is None:
        raise ValueError(entry)
    loss = max(0.0, -entry.finding.relative)
    text = (
        f"{leg.leg}: NDCG@10 {entry.finding.production:.4f} → {entry.finding.candidate:.4f} "
        f"({_percent(entry.finding.relative)}) on {entry.name}, a loss of at most "
        f"{100 * limit:.1f} % is allowed"
    )
    return Rule(name, f"{leg.leg}, {entry.name}", loss, limit, _kept(loss <= limit), text)


def _costs(leg: LegEvaluation, gate: GateSettings) -> Iterator[Rule]:
    cost, before, about = leg.cost, leg.production_cost, leg.leg
    if gate.max_query_ms is not None:
        yield _ceiling("max_query_ms", about, cost.query_ms, gate.max_query_ms, "ms for a query")
    if gate.max_query_slowdown is not None and before is not None:
        times = cost.query_ms / max(before.query_ms, 1e-6)
        what = "times production's time for a query"
        yield _ceiling("max_query_slowdown", about, times, gate.max_query_slowdown, what)
    if gate.max_entries is not None and cost.entries is not None:
        what = "entries of a document"
        yield _ceiling("max_entries", about, cost.entries, gate.max_entries, what)
    if gate.max_passage_bytes is not None:
        what = "bytes of a passage's vector"
        yield _ceiling("max_passage_bytes", about, cost.passage_bytes, gate.max_passage_bytes, what)


def _ceiling(name: str, about: str, figure: float, limit: float, what: str) -> Rule:
    text = f"{about}: {figure:.4g} {what}, at most {limit:g} allowed"
    # Turned round so that a figure that is no number is refused, too.
    return Rule(name, about, figure, limit, _kept(figure <= limit), text)


def _kept(yes: bool) -> Result:
    return "kept" if yes else "broken"


def _percent(share: float) -> str:
    return f"{100 * share:+.1f} %".replace("-", "−")
