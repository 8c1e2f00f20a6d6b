"""The client library's exceptions, turned into ours with a cure in the message."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opensearch.errors import ClusterUnreachableError, IndexNotFoundError, SearchBackendError


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Translate whatever the client raises inside the block.

    Args:
        action: What was being done, for the message: ``"searching docs"``.

    Raises:
        SearchBackendError: Or one of its subclasses, by the kind of failure.
    """
    from opensearchpy import exceptions

    try:
        yield
    except exceptions.OpenSearchException as error:
        raise _translate(error, action) from error


def _translate(error: Any, action: str) -> SearchBackendError:
    from opensearchpy import exceptions

    if isinstance(error, exceptions.SSLError):
        msg = (
            f"TLS failed while {action}: {error.error}. Set TANDEM_OPENSEARCH_CA_FILE to "
            "the certificate of its authority."
        )
        return ClusterUnreachableError(msg)
    if isinstance(error, exceptions.ConnectionTimeout):
        msg = (
            f"OpenSearch did not answer in time while {action}. Raise TANDEM_OPENSEARCH_TIMEOUT_S."
        )
        return ClusterUnreachableError(msg)
    if isinstance(error, exceptions.ConnectionError):
        msg = (
            f"OpenSearch cannot be reached while {action}: {error.error}. Is it running "
            "(`tandem engine status`), and is the address right (http or https)?"
        )
        return ClusterUnreachableError(msg)
    if isinstance(error, exceptions.TransportError):
        return _BY_STATUS.get(error.status_code, _other)(error, action)
    return SearchBackendError(f"The OpenSearch client failed while {action}: {error}")


def _unauthenticated(error: Any, action: str) -> SearchBackendError:
    msg = (
        f"OpenSearch refused the credentials (401) while {action}. Set TANDEM_OPENSEARCH_USER and "
        "TANDEM_OPENSEARCH_PASSWORD."
    )
    return ClusterUnreachableError(msg)


def _forbidden(error: Any, action: str) -> SearchBackendError:
    msg = (
        f"OpenSearch forbids {action} (403): {reason(error)}. Give the user's role that permission."
    )
    return SearchBackendError(msg)


def _not_found(error: Any, action: str) -> SearchBackendError:
    if error.error == "index_not_found_exception":
        name = (error.info or {}).get("error", {}).get("index", "")
        msg = (
            f"There is no index or alias {name!r}. `tandem index SOURCE --index {name}` builds it."
        )
        return IndexNotFoundError(msg)
    return _other(error, action)


def _unavailable(error: Any, action: str) -> SearchBackendError:
    if "not initialized" in str(error):
        msg = "OpenSearch is starting: its security plugin is not initialised yet. Try again soon."
        return ClusterUnreachableError(msg)
    return _other(error, action)


def _other(error: Any, action: str) -> SearchBackendError:
    return SearchBackendError(
        f"OpenSearch failed while {action} ({error.status_code}): {reason(error)}"
    )


_BY_STATUS: dict[Any, Callable[[Any, str], SearchBackendError]] = {
    401: _unauthenticated,
    403: _forbidden,
    404: _not_found,
    503: _unavailable,
}


def reason(error: Any) -> str:
    """The innermost reason OpenSearch gave: the one that says what was wrong."""
    info = error.info if isinstance(error.info, dict) else {}
    cause = info.get("error", info)
    if not isinstance(cause, dict):
        return str(cause) or str(error)
    while isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    roots = cause.get("root_cause") or []
    text = cause.get("reason") or (roots[0].get("reason") if roots else None)
    return str(text or error)
