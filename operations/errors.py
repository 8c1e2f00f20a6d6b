"""What can go wrong in operations."""


class OperationsError(Exception):
    """A job cannot start or go on; the message says how to mend it."""
