"""Wait for a cluster that is away for a while: a node restarts, a shard moves."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from opensearch.errors import SearchBackendError
from opensearch.translation import translated
from operations.reindexing.errors import UnreachableError

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
# Too many requests, and what a cluster answers that has lost a node or has just started.
PASSING = frozenset({429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Patience:
    """Repeats a request, with growing pauses, while the cluster is away.

    Attributes:
        limit_s: How long one request is repeated.
        sleep: Pauses; replaced in tests.
    """

    limit_s: float = 300.0
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, action: str, call: Callable[[], T]) -> T:
        """Make a request that may be made again: it must be idempotent.

        Args:
            action: What is being done, for the message: ``"copying docs"``.
            call: The request.

        Raises:
            SearchBackendError: OpenSearch refused for a reason that does not pass.
            UnreachableError: It was away for longer than the limit.
        """
        deadline = time.monotonic() + self.limit_s
        pause = FIRST_PAUSE_S
        while True:
            try:
                with translated(action):
                    return call()
            except SearchBackendError as error:
                if not passes(error):
                    raise
                if time.monotonic() + pause > deadline:
                    raise _given_up(self.limit_s, error) from error
                logger.info("%s; trying again in %.1f s", error, pause)
            self.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)


def passes(error: SearchBackendError) -> bool:
    """Whether a failure may be gone in a moment: the cluster is away, or too busy."""
    from opensearchpy import exceptions

    cause = error.__cause__
    if isinstance(cause, exceptions.SSLError):
        return False
    if isinstance(cause, exceptions.ConnectionError):
        return True
    return isinstance(cause, exceptions.TransportError) and cause.status_code in PASSING


def _given_up(limit_s: float, error: SearchBackendError) -> UnreachableError:
    return UnreachableError(
        f"{error} It stayed so for {limit_s:.0f} s. Start the same command again: it continues "
        "where it stopped."
    )
