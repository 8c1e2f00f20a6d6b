"""Gate: may the candidate go on?"""

import json
from pathlib import Path

from operations.retraining.context import Context
from operations.retraining.gate import judge
from operations.retraining.machine import Done
from operations.retraining.steps.evaluating import evaluated_legs
from training.run_folder import write_atomically

VERDICT = "verdict.json"


def gate_step(context: Context, folder: Path) -> Done:
    """Hold the candidate against every rule of the job."""
    verdict = judge(evaluated_legs(context), context.job.gate)
    values = verdict.as_dict()
    write_atomically(folder / VERDICT, json.dumps(values, ensure_ascii=False, indent=2) + "\n")
    for rule in verdict.rules:
        context.tell(f"gate: {rule.result}: {rule.text}")
    summary = f"{len(verdict.rules)} rules, " + ("passed" if verdict.passed else "refused")
    return Done(values, (VERDICT,), summary, refused=verdict.reason or None)
