"""What can go wrong with feedback."""

from operations.errors import OperationsError


class FeedbackError(OperationsError):
    """A log cannot be read or written, or says too little; the message says how to mend it."""


class NoEvidenceError(FeedbackError):
    """A log that can be read says too little of any query."""


class LineFault(Exception):
    """One line of a log cannot be used; never holds what the line said."""
