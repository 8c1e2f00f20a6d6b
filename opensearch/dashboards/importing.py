"""Send saved objects to a running OpenSearch Dashboards."""

import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from opensearch.errors import SearchBackendError, SettingsError

_PATH = "/api/saved_objects/_import"
_TIMEOUT_S = 60.0
_SHOWN = 200
USER_VARIABLE = "TANDEM_DASHBOARDS_USER"
PASSWORD_VARIABLE = "TANDEM_DASHBOARDS_PASSWORD"  # noqa: S105 - a variable's name


@dataclass(frozen=True, slots=True)
class Imported:
    """What Dashboards answered.

    Attributes:
        count: Objects it took.
    """

    count: int


def import_objects(url: str, ndjson: str, *, verify: bool | str = True) -> Imported:
    """Import saved objects, replacing those of the same ids.

    Login and password are read from ``TANDEM_DASHBOARDS_USER`` and ``…_PASSWORD``.

    Args:
        url: Address of Dashboards, its base path included.
        ndjson: The file's content.
        verify: Whether TLS certificates are checked, or a file with the CA.

    Raises:
        SettingsError: The address is none.
        SearchBackendError: Dashboards cannot be reached, refused, or took only a part.
    """
    import httpx

    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        msg = f"{url!r} is no address; write http://127.0.0.1:5601"
        raise SettingsError(msg)
    try:
        response = httpx.post(
            f"{url.rstrip('/')}{_PATH}",
            params={"overwrite": "true"},
            headers={"osd-xsrf": "true"},
            files={"file": ("tandem.ndjson", ndjson.encode(), "application/ndjson")},
            auth=_login(),
            timeout=_TIMEOUT_S,
            verify=verify,
        )
    except httpx.HTTPError as error:
        msg = f"OpenSearch Dashboards cannot be reached at {url}: {type(error).__name__} {error}"
        raise SearchBackendError(msg) from error
    return _outcome(url, response)


def _login() -> tuple[str, str] | None:
    user = os.environ.get(USER_VARIABLE)
    return (user, os.environ.get(PASSWORD_VARIABLE, "")) if user else None


def _outcome(url: str, response: Any) -> Imported:
    if response.status_code in (401, 403):
        msg = (
            f"OpenSearch Dashboards at {url} refused the login (HTTP {response.status_code}); set "
            f"{USER_VARIABLE} and {PASSWORD_VARIABLE} to a user who may write saved objects"
        )
        raise SearchBackendError(msg)
    try:
        answer = response.json()
        taken, complete = int(answer["successCount"]), bool(answer["success"])
    except (ValueError, KeyError, TypeError) as error:
        shown = " ".join(response.text.split())[:_SHOWN]
        msg = f"{url} did not answer like Dashboards (HTTP {response.status_code}): {shown}"
        raise SearchBackendError(msg) from error
    if not complete:
        first = (answer.get("errors") or [{}])[0]
        reason = first.get("error", {}).get("type", "no reason given")
        msg = f"Dashboards took {taken} objects, but not {first.get('id')}: {reason}"
        raise SearchBackendError(msg)
    return Imported(taken)
