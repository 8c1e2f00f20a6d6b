"""What can go wrong between us and OpenSearch."""

from collections.abc import Sequence


class SearchBackendError(Exception):
    """OpenSearch refused or failed; the message says what to do about it."""


class SettingsError(SearchBackendError):
    """A setting is unknown, malformed or missing."""


class NoAddressError(SettingsError):
    """Nothing says where OpenSearch is."""


class ClusterUnreachableError(SearchBackendError):
    """Nothing usable answers at the configured address."""


class ForbiddenError(SearchBackendError):
    """The user may not do that; the message names the permission, if the server does."""


class WritesBlockedError(SearchBackendError):
    """The index is closed to writes: another version takes its place."""


class CapabilityError(SearchBackendError):
    """The cluster lacks a plugin, a version or a native library that the request needs."""


class IndexNotFoundError(SearchBackendError):
    """No index or alias of that name."""


class EncoderMismatchError(SearchBackendError):
    """The index was built with another encoder than the one that was given."""


class BulkError(SearchBackendError):
    """Documents that OpenSearch did not take, by id, with its reasons."""

    def __init__(self, message: str, failures: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


class EngineError(SearchBackendError):
    """The local node cannot be assembled, started or stopped."""
