"""Ports on the loopback address."""

import socket
from contextlib import ExitStack

from opensearch.errors import EngineError
from opensearch.local.config import LOOPBACK


def choose_ports(count: int, first: int | None = None) -> list[int]:
    """Ports for clients: `first` and those after it, or any free ones.

    Raises:
        EngineError: A port that was asked for is taken, or is none.
    """
    if first is None:
        return free_ports(count)
    wanted = list(range(first, first + count))
    for port in wanted:
        refuse_taken(port)
    return wanted


def free_ports(count: int) -> list[int]:
    """That many different free ports, chosen by the system."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((LOOPBACK, 0))) for _ in range(count)]
        return [int(opened.getsockname()[1]) for opened in sockets]


def refuse_taken(port: int) -> None:
    """Raise where the port cannot be listened on.

    Raises:
        EngineError: Something else listens there, or the caller may not.
    """
    try:
        socket.create_server((LOOPBACK, port)).close()
    except (OSError, OverflowError) as error:
        msg = (
            f"Port {port} of {LOOPBACK} cannot be used: {error}. "
            "Choose another with --port, or none to have a free one chosen."
        )
        raise EngineError(msg) from error
