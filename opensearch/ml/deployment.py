"""Deploy, undeploy and delete models."""

import logging
import time
from typing import Any

from opensearch.errors import SearchBackendError
from opensearch.ml.catalogue import DEPLOYED, ModelInfo, list_models
from opensearch.ml.errors import ModelDeadlineError, ModelError
from opensearch.ml.faults import PASSING
from opensearch.ml.groups import delete_group
from opensearch.ml.rest import Request, send
from opensearch.ml.tasks import TaskResult, wait_for_task

logger = logging.getLogger(__name__)

DEFAULT_DEADLINE_S = 300.0
_PAUSE_S = 0.2
_GROUP_S = 3.0
_HEAP_PATIENCE_S = 60.0
_HEAP_PAUSE_S = 2.0
_STILL_DEPLOYED = "in deploying or deployed state"


def deploy(
    client: Any, model: ModelInfo, *, deadline_s: float = DEFAULT_DEADLINE_S
) -> TaskResult | None:
    """Load a model into the nodes' memory and wait until it answers.

    Returns:
        The task, or ``None`` where the model was deployed already.

    Raises:
        ModelError: It is half-uploaded.
        ModelTaskFailedError: The nodes could not load it.
        ModelDeadlineError: It takes longer than ``deadline_s``.
    """
    if model.incomplete:
        # ML Commons accepts this, and then fails without saying why.
        msg = f"{model.label} is only partly uploaded. Push it again: the upload goes on."
        raise ModelError(msg)
    if model.state in ("DEPLOYED", "LOADED"):
        return None
    return _patiently(client, model, deadline_s)


def _patiently(client: Any, model: ModelInfo, deadline_s: float) -> TaskResult:
    """Deploy, again and again while the nodes' heap is full."""
    end = time.monotonic() + deadline_s
    patience = min(end, time.monotonic() + _HEAP_PATIENCE_S)
    while True:
        try:
            return _deploy_once(client, model, end - time.monotonic())
        except ModelError as error:
            if PASSING not in str(error) or time.monotonic() > patience:
                raise
            logger.info("%s; trying again", error)
            time.sleep(_HEAP_PAUSE_S)


def _deploy_once(client: Any, model: ModelInfo, deadline_s: float) -> TaskResult:
    action = f"deploying {model.label}"
    answer = send(client, Request("POST", f"/models/{model.id}/_deploy"), action)
    return wait_for_task(client, str(answer["task_id"]), deadline_s=deadline_s)


def undeploy(client: Any, model: ModelInfo, *, deadline_s: float = 60.0) -> None:
    """Free the memory of a model; it stays registered.

    Raises:
        ModelDeadlineError: The nodes still hold it after ``deadline_s``.
    """
    body = {"model_ids": [model.id]}
    send(client, Request("POST", "/models/_undeploy", body), f"undeploying {model.label}")
    end = time.monotonic() + deadline_s
    while model_state(client, model.id) in DEPLOYED:
        if time.monotonic() > end:
            msg = f"{model.label} is still deployed after {deadline_s:.0f} s. Try again."
            raise ModelDeadlineError(msg)
        time.sleep(_PAUSE_S)


def delete(client: Any, model: ModelInfo) -> None:
    """Undeploy and delete a model with its chunks, and its group where that is now empty.

    Whether something uses it is for the caller to ask: :func:`opensearch.ml.usage.read_usage`.
    """
    # Asked anew: lists lag behind, by a second and more in 2.19.
    if model_state(client, model.id) not in ("REGISTERING", "REGISTERED", "UNDEPLOYED"):
        undeploy(client, model)
    try:
        _delete_once(client, model)
    except SearchBackendError as error:
        # A remote model is deployed by the first query that reaches it, at any moment.
        if _STILL_DEPLOYED not in str(error):
            raise
        undeploy(client, model)
        _delete_once(client, model)
    if model.group_id and not _group_has_models(client, model):
        _delete_group(client, model)


def _delete_once(client: Any, model: ModelInfo) -> None:
    send(client, Request("DELETE", f"/models/{model.id}"), f"deleting {model.label}")


def _delete_group(client: Any, model: ModelInfo) -> None:
    """Delete a group that became empty: ML Commons sees that after a second."""
    end = time.monotonic() + _GROUP_S
    while True:
        try:
            delete_group(client, model.group_id)
        except SearchBackendError as error:  # the model is gone; an empty group harms nobody
            if time.monotonic() > end:
                logger.info("The model group %s stays: %s", model.group, error)
                return
            time.sleep(_PAUSE_S)
        else:
            return


def model_state(client: Any, model_id: str) -> str:
    """State of a model right now."""
    answer = send(client, Request("GET", f"/models/{model_id}"), f"asking for model {model_id}")
    return str(answer.get("model_state", ""))


def _group_has_models(client: Any, deleted: ModelInfo) -> bool:
    return any(
        other.group_id == deleted.group_id and other.id != deleted.id
        for other in list_models(client)
    )
