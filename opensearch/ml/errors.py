"""What can go wrong between us and the models of a cluster."""

from opensearch.errors import SearchBackendError


class ModelError(SearchBackendError):
    """A model cannot be registered, deployed or asked; the message says what to do about it."""


class ModelNotFoundError(ModelError):
    """No model of that name or id, or several."""


class ModelInUseError(ModelError):
    """Pipelines or indices name the model, so it is not deleted."""


class ModelTaskFailedError(ModelError):
    """A task of ML Commons ended badly.

    Attributes:
        task: Its id.
        reason: What the nodes said.
    """

    def __init__(self, task: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.task = task
        self.reason = reason


class ModelDeadlineError(ModelError):
    """Something did not end in the time it was given."""


class VerificationError(ModelError):
    """The model on the node does not give what the local encoder gives."""


class PreflightError(ModelError):
    """The cluster is not set up for models on its nodes."""
