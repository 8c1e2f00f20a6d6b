"""Follow an alias and its experiment: which arms answer just now."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from encoders.errors import EncoderError
from opensearch.errors import SearchBackendError
from opensearch.index_info import read_index_info
from operations.errors import OperationsError
from operations.experiments.experiment import Arm, Experiment
from operations.experiments.opening import OpenArm
from operations.experiments.store import ExperimentStore

logger = logging.getLogger(__name__)

INTERVAL_S = 5.0
# What an arm fails with; other exceptions are faults of this program and go to the client's log.
FAILURES = (SearchBackendError, EncoderError, OperationsError, OSError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cluster says.

    Attributes:
        serving: What the alias stands for.
        experiment: The running experiment, if there is one.
    """

    serving: Arm
    experiment: Experiment | None


@dataclass(frozen=True, slots=True)
class Route:
    """What answers.

    Attributes:
        a: Arm A of the experiment; without one, what the alias serves.
        b: Arm B; ``None`` without an experiment, and where it cannot be opened.
        experiment: The running experiment.
    """

    a: OpenArm
    b: OpenArm | None = None
    experiment: Experiment | None = None


def read_wanted(client: Any, index: str) -> Wanted:
    """Ask the cluster.

    Raises:
        SearchBackendError: There is no such index, or the cluster does not answer.
    """
    experiment = ExperimentStore(client).running(index)
    return Wanted(Arm(read_index_info(client, index).physical), experiment)


class Routes:
    """The route of an index, looked up every few seconds in a thread of its own.

    New arms are opened before the first query goes to them, so no query waits for a model. As long
    as the cluster cannot be asked, the last route stands.

    Args:
        read: Asks the cluster.
        open_arm: Opens an arm.
        interval_s: Seconds between two looks.
    """

    def __init__(
        self,
        read: Callable[[], Wanted],
        open_arm: Callable[[Arm], OpenArm],
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._read = read
        self._open_arm = open_arm
        self._interval_s = interval_s
        self._open: dict[Arm, OpenArm] = {}
        self._route: Route | None = None
        self._said: str | None = None
        self._refreshing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="routes", daemon=True)

    def __enter__(self) -> "Routes":
        self.refresh()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join(self._interval_s)

    @property
    def current(self) -> Route:
        """The route; looked up at once where there is none yet."""
        if self._route is None:
            self.refresh()
        assert self._route is not None  # mypy: refresh sets it, or raises
        return self._route

    def refresh(self) -> None:
        """Look now.

        Raises:
            SearchBackendError: The index cannot be opened, and there is no earlier route.
            EncoderError: The same for its encoders.
        """
        with self._refreshing:
            try:
                self._route = self._look()
                self._say(None)
            except FAILURES as error:
                if self._route is None:
                    raise
                self._say(f"the last route stands: {error}")

    def _look(self) -> Route:
        wanted = self._read()
        experiment = wanted.experiment
        if experiment is None:
            a, b = self._opened(wanted.serving), None
        else:
            a, b = self._opened(experiment.a), self._opened_or_none(experiment.b)
        self._open = {one.arm: one for one in (a, b) if one is not None}
        return Route(a, b, experiment)

    def _opened(self, arm: Arm) -> OpenArm:
        return self._open[arm] if arm in self._open else self._open_arm(arm)

    def _opened_or_none(self, arm: Arm) -> OpenArm | None:
        try:
            return self._opened(arm)
        except FAILURES as error:
            logger.warning("arm B cannot be opened, arm A answers for it: %s", error)
            return None

    def _run(self) -> None:
        while not self._ended.wait(self._interval_s):
            self.refresh()

    def _say(self, message: str | None) -> None:
        """Log a trouble once, not every few seconds."""
        if message is not None and message != self._said:
            logger.warning("the experiment could not be looked up, %s", message)
        self._said = message
