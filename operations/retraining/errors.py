"""What can go wrong while a model is retrained."""

from operations.errors import OperationsError


class RetrainingError(OperationsError):
    """A retraining run cannot start or go on; the message says how to mend it."""


class RunningError(RetrainingError):
    """Another start of the same job is under way."""


class RefusedError(RetrainingError):
    """A step says no: the candidate must not go into production."""


class StepFailedError(RetrainingError):
    """A step failed; the next start begins with it."""
