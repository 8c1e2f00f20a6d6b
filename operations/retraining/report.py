"""The report of a run, for people and for programs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from operations.retraining.evaluation import LegEvaluation, SetFinding
from operations.retraining.job import RetrainingJob
from operations.retraining.state import RunState, stamp
from training.run_folder import write_atomically

REPORT, SUMMARY = "report.json", "report.md"


def headline(job: RetrainingJob, state: RunState) -> str:
    """What came of a run in one line."""
    if state.failed:
        return f"{job.name}: {state.failed.step} failed: {state.failed.error.splitlines()[0]}"
    if state.reason:
        return f"{job.name}: the gate says no: {state.reason}"
    version = state.result("publish").get("version")
    swap = state.steps.get("swap")
    if swap is not None and not swap.skipped:
        return f"{job.name}: version {version} is in production{_gains(state)}"
    if version:
        return f"{job.name}: version {version} is published, tagged candidate{_gains(state)}"
    done = list(state.steps)
    return f"{job.name}: done up to {done[-1]}" if done else f"{job.name}: nothing done yet"


def report_values(job: RetrainingJob, state: RunState) -> dict[str, Any]:
    """A run as JSON-ready values."""
    return {
        "run": state.run,
        "name": job.name,
        "headline": headline(job, state),
        "outcome": state.outcome,
        "reason": state.reason,
        "failed": None if state.failed is None else vars(state.failed),
        "started": state.started,
        "finished": state.finished,
        "version": state.result("publish").get("version"),
        "production": state.result("collect").get("production"),
        "inputs": dict(state.inputs),
        "steps": {
            name: {
                "seconds": record.seconds,
                "skipped": record.skipped,
                "began": record.began,
                "result": record.result,
            }
            for name, record in state.steps.items()
        },
    }


def write_report(folder: Path, job: RetrainingJob, state: RunState) -> None:
    """Write ``report.json`` and ``report.md``.

    Raises:
        TrainingError: The disk refuses.
    """
    values = report_values(job, state)
    write_atomically(folder / REPORT, json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    write_atomically(folder / SUMMARY, markdown(job, state))


def markdown(job: RetrainingJob, state: RunState) -> str:
    """The report for people."""
    parts = [
        f"# {headline(job, state)}",
        f"Run `{state.run}`, begun {state.started}, written {stamp()}.",
        *_records(state),
        *_evaluation(state),
        *_rules("Gate", state.result("gate").get("rules", ())),
        *_rules("Parity of the exports", state.result("parity").get("rules", ())),
        *_index(state),
        "## Steps\n\n" + _table(("step", "seconds", ""), _steps(state)),
        "## Read\n\n" + _table(("what", "SHA-256"), state.inputs.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _gains(state: RunState) -> str:
    legs = [LegEvaluation.from_dict(entry) for entry in state.result("evaluate").get("legs", ())]
    gains = [f"{leg.leg} NDCG@10 {100 * leg.pooled.relative:+.1f} %" for leg in legs if leg.pooled]
    return f" ({', '.join(gains)})" if gains else ""


def _records(state: RunState) -> Iterator[str]:
    collected, prepared = state.result("collect"), state.result("prepare")
    if not collected:
        return
    production = collected["production"]
    models = ", ".join(f"{leg} `{model}`" for leg, model in production["models"].items())
    version = f"version {production['version']}: " if production["version"] else ""
    yield f"Held against {version}{models or 'nothing: no model was in production'}."
    if prepared:
        yield (
            f"{collected['records']:,} records were collected, {prepared['train']:,} trained on, "
            f"{prepared['dev_queries']:,} dev queries chose the checkpoint."
        )


def _evaluation(state: RunState) -> Iterator[str]:
    for values in state.result("evaluate").get("legs", ()):
        leg = LegEvaluation.from_dict(values)
        head = ("set", "role", "queries", "production", "candidate", "change", "95 %", "p")
        rows = [_set_row(entry) for entry in leg.sets]
        yield f"## {leg.leg.capitalize()}: NDCG@10 by exact search\n\n" + _table(head, rows)
        yield _costs(leg)


def _set_row(entry: SetFinding) -> tuple[str, ...]:
    found = entry.finding
    if found is None:
        return (entry.name, entry.role, "", "", f"{entry.metrics['ndcg@10']:.4f}", "", "", "")
    return (
        entry.name,
        entry.role,
        str(found.queries),
        f"{found.production:.4f}",
        f"{found.candidate:.4f}",
        f"{100 * found.relative:+.1f} %",
        f"{found.low:+.4f} to {found.high:+.4f}",
        f"{found.p:.4f}",
    )


def _costs(leg: LegEvaluation) -> str:
    def said(cost: Any) -> str:
        entries = f", {cost.entries:.0f} entries" if cost.entries is not None else ""
        return f"{cost.query_ms:.2f} ms a query, {cost.passage_bytes:.0f} bytes a passage{entries}"

    before = f"; production {said(leg.production_cost)}" if leg.production_cost else ""
    return f"The candidate takes {said(leg.cost)}{before}."


def _rules(title: str, rules: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    rows = [(rule["result"], rule["name"], rule["text"]) for rule in rules]
    if rows:
        yield f"## {title}\n\n" + _table(("", "rule", ""), rows)


def _index(state: RunState) -> Iterator[str]:
    built, swapped = state.result("reindex"), state.result("swap")
    # A swap that a start before had made finds nothing to do, and so no figures.
    found = built if not swapped or swapped["unchanged"] else swapped
    if found:
        yield (
            f"## Index\n\n`{found['from']}` → `{found['to']}`: {found['copied']:,} passages "
            f"copied, {found['encoded']:,} of them encoded anew, {found['caught_up']:,} written "
            f"and {found['removed']:,} deleted meanwhile; writes were refused for "
            f"{found['blocked_s']:.1f} s before the swap."
        )


def _steps(state: RunState) -> Iterator[tuple[str, ...]]:
    for name, record in state.steps.items():
        skipped = f"nothing to do: {record.skipped}" if record.skipped else ""
        yield name, f"{record.seconds:.1f}", skipped
    if state.failed:
        yield state.failed.step, "", f"failed: {state.failed.error}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(head)
    lines = [names, ["---"] * len(names), *([" ".join(c.split()) for c in row] for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )
