"""Processes that outlive the command that started them, and are recognised later."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from opensearch.errors import EngineError
from opensearch.local.account import Account

# A start time is counted in clock ticks from the boot time, which is itself rounded.
_CLOCK_TOLERANCE_S = 2.0
# A `Popen` that is collected while its process runs warns; these are meant to run on.
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class ProcessId:
    """A process, told from a later one that got the same number.

    Attributes:
        pid: Its number.
        created: When it began, in seconds since 1970.
    """

    pid: int
    created: float


@dataclass(frozen=True)
class LaunchRequest:
    """A process to start.

    Attributes:
        command: Program and arguments.
        environment: All of its environment.
        folder: Its working folder.
        output: File that gets what it prints; begun anew.
        account: Who it runs as.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    output: Path
    account: Account


def launch(request: LaunchRequest) -> ProcessId:
    """Start a process in a session of its own, so that it stays when the terminal goes.

    Raises:
        EngineError: It cannot be started.
    """
    switched = request.account.switch
    try:
        with request.output.open("wb") as output:
            child = subprocess.Popen(  # noqa: S603 - our own command line
                list(request.command),
                env=dict(request.environment),
                cwd=request.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=request.account.uid if switched else None,
                group=request.account.gid if switched else None,
                extra_groups=[] if switched else None,
            )
    except OSError as error:
        msg = f"Cannot start {request.command[0]} as user {request.account.name}: {error}"
        raise EngineError(msg) from error
    _children.append(child)
    return ProcessId(child.pid, psutil.Process(child.pid).create_time())


def is_alive(process: ProcessId) -> bool:
    """Whether this very process still runs."""
    return _find(process) is not None


def stop_process(process: ProcessId, timeout_s: float) -> bool:
    """Ask a process to end (SIGTERM), wait, and kill it after the deadline.

    Returns:
        True when it ended by itself (or had before), false when it had to be killed.

    Raises:
        EngineError: The caller may not end it.
    """
    found = _find(process)
    if found is None:
        return True
    try:
        found.terminate()
        try:
            found.wait(timeout_s)
        except psutil.TimeoutExpired:
            found.kill()
            found.wait(10)
            return False
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied as error:
        msg = (
            f"Process {process.pid} belongs to {found.username()}: only that user, or root, "
            "can stop it."
        )
        raise EngineError(msg) from error
    return True


def _find(process: ProcessId) -> psutil.Process | None:
    try:
        found = psutil.Process(process.pid)
        same = abs(found.create_time() - process.created) <= _CLOCK_TOLERANCE_S
        return found if same and found.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None
