"""Evaluate: candidate and production on the same sets, query by query."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from operations.retraining.context import Context
from operations.retraining.evaluation import Finding, LegEvaluation, Role, SetFinding
from operations.retraining.feedback import FRESH
from operations.retraining.job import Leg
from operations.retraining.machine import Done
from operations.retraining.measuring import Measured, Model, measure_model, with_options
from operations.retraining.steps.training import candidate_models
from training.config import EvaluationSet
from training.dev_sets import DevSet, load_sets
from training.evaluation.metrics import PRIMARY, Evaluated
from training.evaluation.significance import Pair, compare
from training.run_folder import write_atomically

EVALUATION = "evaluation.json"
_FEEDBACK = "fresh feedback"


def evaluate_step(context: Context, folder: Path) -> Done:
    """Measure every trained leg of the candidate, and the same legs of production.

    Raises:
        EvaluationError: A set cannot be read.
        EncoderError: A model cannot be loaded.
    """
    roles, sets = _sets(context)
    found = [
        _leg(context, leg, str(path), roles, sets)
        for leg, path in candidate_models(context).items()
    ]
    values = {"legs": [leg.as_dict() for leg in found]}
    write_atomically(folder / EVALUATION, json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    return Done(values, (EVALUATION,), "; ".join(_said(leg) for leg in found))


def evaluated_legs(context: Context) -> list[LegEvaluation]:
    """What the step found."""
    return [LegEvaluation.from_dict(values) for values in context.result("evaluate")["legs"]]


def _sets(context: Context) -> tuple[list[Role], list[DevSet]]:
    evaluate = context.job.evaluate
    frozen, guard = (load_sets(sets, evaluate.seed) for sets in (evaluate.frozen, evaluate.guard))
    fresh: list[DevSet] = []
    if context.result("collect").get("fresh_queries"):
        path = context.step_folder("collect") / FRESH
        fresh = load_sets([EvaluationSet(path=path)], evaluate.seed)
        fresh = [replace(entry, name=_FEEDBACK) for entry in fresh]
    roles: list[Role] = ["frozen"] * len(frozen)
    roles += ["guard"] * len(guard)
    roles += ["feedback"] * len(fresh)
    return roles, [*frozen, *guard, *fresh]


def _leg(
    context: Context, leg: Leg, candidate: str, roles: Sequence[Role], sets: Sequence[DevSet]
) -> LegEvaluation:
    count = context.job.evaluate.latency_queries
    context.tell(f"evaluate: {leg}, the candidate")
    after = measure_model(Model(leg, candidate, context.load), sets, count)
    before = None
    production = context.result("collect")["production"]
    if leg in production["models"]:
        name = production["models"][leg]
        context.tell(f"evaluate: {leg}, production ({name})")
        options = with_options(context.load, production["options"])
        before = measure_model(Model(leg, name, options), sets, count)
    return LegEvaluation(
        leg=leg,
        sets=tuple(_findings(roles, sets, after, before)),
        pooled=_pooled(roles, after, before),
        cost=after.cost,
        production_cost=before.cost if before else None,
    )


def _findings(
    roles: Sequence[Role], sets: Sequence[DevSet], after: Measured, before: Measured | None
) -> Iterator[SetFinding]:
    for number, (role, dev_set) in enumerate(zip(roles, sets, strict=True)):
        old = before.sets[number] if before else None
        yield SetFinding(
            name=dev_set.name,
            role=role,
            metrics=_rounded(after.sets[number]),
            production=_rounded(old) if old else {},
            finding=_finding([after.sets[number]], [old]) if old else None,
        )


def _pooled(roles: Sequence[Role], after: Measured, before: Measured | None) -> Finding | None:
    if before is None:
        return None
    frozen = [number for number, role in enumerate(roles) if role == "frozen"]
    return _finding([after.sets[n] for n in frozen], [before.sets[n] for n in frozen])


def _finding(after: Sequence[Evaluated], before: Sequence[Evaluated]) -> Finding:
    """Both models' NDCG@10 on all queries of some sets, each query counting alike."""
    new = [value for entry in after for value in entry.values(PRIMARY)]
    old = [value for entry in before for value in entry.values(PRIMARY)]
    found = compare(Pair("candidate", "production", PRIMARY, new, old))
    return Finding(
        queries=found.n,
        production=round(found.baseline_mean, 6),
        candidate=round(found.system_mean, 6),
        difference=round(found.difference, 6),
        low=round(found.ci_low, 6),
        high=round(found.ci_high, 6),
        p=found.p_randomisation,
    )


def _rounded(evaluated: Evaluated) -> dict[str, float]:
    return {name: round(value, 6) for name, value in evaluated.aggregate.items()}


def _said(leg: LegEvaluation) -> str:
    if leg.pooled is None:
        return f"{leg.leg}: nothing in production to compare with"
    change = 100 * leg.pooled.relative
    return (
        f"{leg.leg} NDCG@10 {leg.pooled.production:.4f} → {leg.pooled.candidate:.4f} "
        f"({change:+.1f} %, p = {leg.pooled.p:.4f})"
    )
