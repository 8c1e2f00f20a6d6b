"""What can go wrong in a shadow check."""

from operations.errors import OperationsError


class ShadowError(OperationsError):
    """A shadow check cannot run; the message says how to mend it."""
