"""What can go wrong with an experiment."""

from operations.errors import OperationsError


class ExperimentError(OperationsError):
    """An experiment cannot be started, read or ended as asked."""


class NoExperimentError(ExperimentError):
    """There is no experiment of that name, and none on an index of that name."""


class RunningExperimentError(ExperimentError):
    """Another experiment runs on the same index."""


class ChangedMeanwhileError(ExperimentError):
    """Somebody else changed the experiment between reading and writing it."""
