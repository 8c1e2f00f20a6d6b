"""Wait until a node answers."""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from opensearch.errors import EngineError
from opensearch.local.config import SERVER_LOG
from opensearch.local.process import is_alive
from opensearch.local.state import EngineState, NodeState

if TYPE_CHECKING:
    import httpx

CONSOLE_LOG = "console.log"
_POLL_S = 0.5
_TAIL_LINES = 25


def wait_until_ready(state: EngineState, timeout_s: float) -> None:
    """Return when every node answers and the cluster has its shards (or is past helping).

    Raises:
        EngineError: A node ended, or the time is over; the message shows its last log lines.
    """
    deadline = time.monotonic() + timeout_s
    with _client(state) as client:
        for node in state.nodes:
            _poll(lambda node=node: _answers(client, node.url), node, deadline)  # type: ignore[misc]
        # A red index of an earlier, killed run stays red: search works, so do not insist.
        settled = min(deadline, time.monotonic() + 30)
        while time.monotonic() < settled and not _has_shards(client, state):
            time.sleep(_POLL_S)


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a text file; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)]


def _poll(ready: Callable[[], bool], node: NodeState, deadline: float) -> None:
    while not ready():
        if not is_alive(node.process):
            msg = f"Node {node.name} ended while starting. Its last words:\n{_tail(node)}"
            raise EngineError(msg)
        if time.monotonic() > deadline:
            msg = (
                f"Node {node.name} does not answer at {node.url} in time (--timeout). "
                f"Its last words:\n{_tail(node)}"
            )
            raise EngineError(msg)
        time.sleep(_POLL_S)


def _client(state: EngineState) -> httpx.Client:
    import httpx

    if state.login is None:
        return httpx.Client(timeout=10.0, trust_env=False)
    trusted = ssl.create_default_context(cafile=state.login.ca_file)
    login = (state.login.user, state.login.password)
    return httpx.Client(timeout=10.0, trust_env=False, verify=trusted, auth=login)


def _answers(client: httpx.Client, url: str) -> bool:
    """Whether the node serves: a secured one answers 503 until its users are read."""
    import httpx

    try:
        status = client.get(url).status_code
    except httpx.TransportError:
        return False
    if status == HTTPStatus.UNAUTHORIZED:
        msg = (
            f"{url} refuses the administrator's password: it was changed, or its file is not the "
            "one of the engine's first start. Put the password into that file."
        )
        raise EngineError(msg)
    return status == HTTPStatus.OK


def _has_shards(client: httpx.Client, state: EngineState) -> bool:
    import httpx

    try:
        answer = client.get(f"{state.url}/_cluster/health", params={"timeout": "5s"})
        health = answer.json()
    except (httpx.TransportError, ValueError):
        return False
    complete = health.get("number_of_nodes") == len(state.nodes)
    return complete and health.get("status") in ("yellow", "green")


def _tail(node: NodeState) -> str:
    logs = (node.logs / SERVER_LOG, node.logs / CONSOLE_LOG)
    lines = [line for log in logs for line in last_lines(log, 10 * _TAIL_LINES)]
    # Stack frames push the reason out of sight.
    telling = [line for line in lines if line.strip() and not line.lstrip().startswith("at ")]
    shown = "\n".join(f"  {line}" for line in telling[-_TAIL_LINES:]) or "  (nothing)"
    return f"{shown}\nAll of its logs: {node.logs}"
