"""Tasks of ML Commons: what a deployment runs as."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opensearch.ml.errors import ModelDeadlineError, ModelTaskFailedError
from opensearch.ml.faults import cure
from opensearch.ml.rest import Request, send

COMPLETED = "COMPLETED"
UNDER_WAY = frozenset({"CREATED", "RUNNING"})
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task that ended well.

    Attributes:
        id: Its id.
        type: ``DEPLOY_MODEL``, ``REGISTER_MODEL``, …
        model_id: The model it worked on.
        workers: Ids of the nodes that worked.
        seconds: How long we waited for it.
    """

    id: str
    type: str
    model_id: str | None
    workers: tuple[str, ...]
    seconds: float


def wait_for_task(client: Any, task_id: str, *, deadline_s: float) -> TaskResult:
    """Wait until a task ends.

    Args:
        client: The OpenSearch client.
        task_id: What ML Commons answered when the task began.
        deadline_s: Seconds it may take.

    Raises:
        ModelTaskFailedError: It failed, wholly or on some nodes, or was cancelled.
        ModelDeadlineError: It runs on beyond the deadline.
    """
    started = time.monotonic()
    pause = _FIRST_PAUSE_S
    while True:
        task = send(client, Request("GET", f"/tasks/{task_id}"), f"asking for task {task_id}")
        seconds = time.monotonic() - started
        if task.get("state") not in UNDER_WAY:
            return task_result(task_id, task, seconds)
        if seconds + pause > deadline_s:
            msg = (
                f"The task {task_id} ({task.get('task_type')}) still runs after {seconds:.0f} s. "
                "Wait longer (--timeout), or look at the cluster's log; the task goes on meanwhile."
            )
            raise ModelDeadlineError(msg)
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


def task_result(task_id: str, task: Mapping[str, Any], seconds: float) -> TaskResult:
    """Read a task that has ended.

    Raises:
        ModelTaskFailedError: It did not end well.
    """
    if task.get("state") != COMPLETED:
        why = failure_reason(task.get("error"))
        what = f"{task.get('task_type', 'task')} {task_id} ended as {task.get('state')}"
        known = cure(why)
        raise ModelTaskFailedError(task_id, why, f"{what}: {why}" + (f" {known}" if known else ""))
    return TaskResult(
        id=task_id,
        type=str(task.get("task_type", "")),
        model_id=task.get("model_id"),
        workers=tuple(task.get("worker_node") or ()),
        seconds=seconds,
    )


def failure_reason(error: Any) -> str:
    """What the nodes said; ML Commons writes ``{node id: reason}`` as a JSON string."""
    if not error:
        return "ML Commons gives no reason; the node's log has one"
    try:
        by_node = json.loads(error) if isinstance(error, str) else error
    except ValueError:
        return str(error)
    if not isinstance(by_node, Mapping):
        return str(error)
    return "; ".join(sorted({str(text) for text in by_node.values()}))
