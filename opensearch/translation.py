"""The client library's exceptions, turned into ours with a cure in the message."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from opensearch.errors import (
    ClusterUnreachableError,
    ForbiddenError,
    IndexNotFoundError,
    SearchBackendError,
)

T = TypeVar("T")

# What the security plugin answers, in plain text, until it has read its users.
_STARTING = "not initialized"


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


def if_allowed(action: str, call: Callable[[], T]) -> T | None:
    """What the cluster answers; ``None`` where the user may not ask: unknown, not absent.

    Args:
        action: What is being done, for the message.
        call: Asks.

    Raises:
        SearchBackendError: It fails for another reason.
    """
    from opensearchpy.exceptions import AuthorizationException

    with translated(action):
        try:
            return call()
        except AuthorizationException:
            return None


def _translate(error: Any, action: str) -> SearchBackendError:
    from opensearchpy import exceptions

    if isinstance(error, exceptions.SSLError):
        return ClusterUnreachableError(
            f"TLS failed while {action}: {error.error}. {_tls_cure(error)}"
        )
    if isinstance(error, exceptions.ConnectionTimeout):
        msg = (
            f"OpenSearch did not answer in time while {action}. Raise TANDEM_OPENSEARCH_TIMEOUT_S."
        )
        return ClusterUnreachableError(msg)
    if isinstance(error, exceptions.ConnectionError):
        msg = (
            f"OpenSearch cannot be reached while {action}: {error.error}. {_connection_cure(error)}"
        )
        return ClusterUnreachableError(msg)
    if isinstance(error, exceptions.TransportError):
        return _BY_STATUS.get(error.status_code, _other)(error, action)
    return SearchBackendError(f"The OpenSearch client failed while {action}: {error}")


def _tls_cure(error: Any) -> str:
    text = str(error.error)
    if "WRONG_VERSION_NUMBER" in text or "record layer" in text:
        return "What listens there speaks no TLS: the address begins with http://, not https://."
    if "match" in text:  # "certificate is not valid for" a name or an address
        return "Use an address that the certificate names."
    return "Set TANDEM_OPENSEARCH_CA_FILE to the certificate of its authority."


def _connection_cure(error: Any) -> str:
    if "RemoteDisconnected" in str(error.error):
        return (
            "Something listens there, and hung up: if it speaks TLS, the address begins with "
            "https://, not http://."
        )
    return "Is it running (`tandem engine status`), and is the address right (http or https)?"


def _unauthenticated(error: Any, action: str) -> SearchBackendError:
    msg = (
        f"OpenSearch refused the credentials (401) while {action}. Set TANDEM_OPENSEARCH_USER and "
        "TANDEM_OPENSEARCH_PASSWORD."
    )
    return ClusterUnreachableError(msg)


def _forbidden(error: Any, action: str) -> SearchBackendError:
    return ForbiddenError(forbidden_message(action, reason(error)))


def _not_found(error: Any, action: str) -> SearchBackendError:
    if error.error == "index_not_found_exception":
        name = (error.info or {}).get("error", {}).get("index", "")
        msg = (
            f"There is no index or alias {name!r}. `tandem index SOURCE --index {name}` builds it."
        )
        return IndexNotFoundError(msg)
    return _other(error, action)


def is_starting(error: Any) -> bool:
    """Whether a ``TransportError`` says that the security plugin is starting.

    Nothing of the request was carried out then: anything may be sent again.
    """
    return error.status_code == HTTPStatus.SERVICE_UNAVAILABLE and _STARTING in str(error)


def _unavailable(error: Any, action: str) -> SearchBackendError:
    if is_starting(error):
        msg = (
            f"OpenSearch is starting: its security plugin was not initialised in time while "
            f"{action}. Try again soon, or raise TANDEM_OPENSEARCH_STARTUP_WAIT_S. If it stays "
            "so, the plugin has no users yet: the server's log says why."
        )
        return ClusterUnreachableError(msg)
    return _other(error, action)


def forbidden_message(action: str, why: str) -> str:
    """What to tell somebody whose role does not allow something.

    Args:
        action: What was being done.
        why: The server's reason, which names the permission; a HEAD request gets none.
    """
    found = _PERMISSION.search(why)
    if found is None:
        cure = "The user's role lacks a permission that the server did not name (docs/security.md)"
        return f"OpenSearch forbids {action} (403). {cure}."
    user = f"the user {found['user']}" if found["user"] else "the user"
    return (
        f"OpenSearch forbids {action} (403): {user} lacks the permission {found['permission']}. "
        "Add it to a role of the user (docs/security.md)."
    )


_PERMISSION = re.compile(
    r"no permissions for \[(?P<permission>[^\]]+)\](?:.*?User \[name=(?P<user>[^,\]]+))?"
)


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


def refuse_errors(parts: Iterable[Mapping[str, Any]], action: str) -> None:
    """Raise the first error among the parts of an answer to ``_mget`` or ``_msearch``.

    The answer as a whole is 200 even where the user may read nothing of it.

    Raises:
        ForbiddenError: The user may not read a part.
        SearchBackendError: A part failed otherwise.
    """
    failed = next((part["error"] for part in parts if "error" in part), None)
    if failed is None:
        return
    why = innermost_reason(failed) or "no reason given"
    if _PERMISSION.search(why):
        raise ForbiddenError(forbidden_message(action, why))
    msg = f"OpenSearch failed while {action}: {why}"
    raise SearchBackendError(msg)


def refuse_forbidden(parts: Iterable[Mapping[str, Any]], action: str) -> None:
    """Raise where a part of an answer to ``_bulk`` failed for lack of a permission.

    Raises:
        ForbiddenError: The user may not do that.
    """
    for part in parts:
        if part.get("status") == HTTPStatus.FORBIDDEN:
            raise ForbiddenError(forbidden_message(action, innermost_reason(part.get("error"))))


def reason(error: Any) -> str:
    """The innermost reason OpenSearch gave: the one that says what was wrong."""
    info = error.info if isinstance(error.info, dict) else {}
    return innermost_reason(info.get("error", info)) or str(error)


def innermost_reason(cause: Any) -> str:
    """The reason at the end of a chain of causes; empty where there is none."""
    if not isinstance(cause, dict):
        return str(cause)
    while isinstance(cause.get("caused_by"), dict):
        cause = cause["caused_by"]
    roots = cause.get("root_cause") or []
    text = cause.get("reason")
    if roots and text in (None, "", "all shards failed"):
        text = roots[0].get("reason") or text
    return str(text or "")
