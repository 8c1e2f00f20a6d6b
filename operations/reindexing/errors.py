"""What can go wrong while an index is built anew or swapped."""

from operations.errors import OperationsError


class ReindexError(OperationsError):
    """A build, swap or rollback cannot start or go on; the message says how to mend it."""


class BusyError(ReindexError):
    """Another job works on the same index."""


class UnreachableError(ReindexError):
    """OpenSearch stayed away for longer than the job was told to wait."""


class VerificationError(ReindexError):
    """The new index is not what it must be; nothing was swapped."""


class CheckRefusedError(ReindexError):
    """The job's own check said no; nothing was swapped."""
