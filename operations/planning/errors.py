"""What can go wrong in planning."""

from operations.errors import OperationsError


class PlanningError(OperationsError):
    """A plan cannot be made; the message says how to go on."""
