"""What every step of a run is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from encoders.options import LoadOptions
from operations.retraining.job import RetrainingJob
from operations.retraining.state import RunState


@dataclass
class Context:
    """A run under way.

    Attributes:
        job: What is to be done.
        folder: The run's folder.
        state: What is done.
        tell: Told a line for people.
        url: The cluster; by default the one that the environment names, else the local engine.
    """

    job: RetrainingJob
    folder: Path
    state: RunState
    tell: Callable[[str], None] = field(default=lambda _: None)
    url: str | None = None

    def step_folder(self, step: str) -> Path:
        """Where a step keeps its files."""
        return self.folder / step

    def result(self, step: str) -> Mapping[str, Any]:
        """What an earlier step found."""
        return self.state.result(step)

    @property
    def load(self) -> LoadOptions:
        """How encoders are loaded."""
        return LoadOptions(runtime=self.job.runtime)

    @cached_property
    def client(self) -> Any:
        """The cluster.

        Raises:
            SearchBackendError: It cannot be reached.
        """
        from opensearch.workflows.connection import open_cluster

        return open_cluster(self.url)

    @cached_property
    def registry(self) -> Any:
        """The registry.

        Raises:
            OperationsError: It cannot be opened.
        """
        from operations.registry.registry import Registry

        return Registry.open(self.job.registry)
