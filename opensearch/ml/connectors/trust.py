"""What a cluster must be told before its nodes may call a server."""

import ipaddress
import json
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from opensearch.errors import SearchBackendError
from opensearch.translation import if_allowed, translated

ENDPOINTS = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE = "plugins.ml_commons.connector.private_ip_enabled"


class AdministratorNeededError(SearchBackendError):
    """Cluster settings must change, and this user may not, or did not say so."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The cluster's settings about servers.

    Attributes:
        endpoints: Regular expressions of trusted addresses.
        private: Whether addresses of private networks are allowed.
        layers: In which layer of settings each of the two is set: what must be overwritten there.
    """

    endpoints: tuple[str, ...] = ()
    private: bool = False
    layers: dict[str, str] = field(default_factory=dict)


def endpoint_regex(url: str) -> str:
    """A regular expression for exactly one scheme, host and port."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    place = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    escaped = re.sub(r"([.\[\]])", r"\\\1", place)
    return f"^{escaped}/.*$"


def is_private(url: str) -> bool:
    """Whether an address lies in a private network or on this machine, as far as one can tell."""
    host = urlsplit(url).hostname or ""
    try:
        addresses = [host] if _is_address(host) else _resolved(host)
    except OSError:
        return False
    return any(not ipaddress.ip_address(address).is_global for address in addresses)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _resolved(host: str) -> Sequence[str]:
    return [str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(host, None)]


def read_trust(client: Any) -> Trust | None:
    """The settings as they hold now; ``None`` where the user may not read them."""
    answer = if_allowed(
        "reading cluster settings",
        lambda: client.cluster.get_settings(
            params={"include_defaults": "true", "flat_settings": "true"}
        ),
    )
    return None if answer is None else trust_from(answer)


def trust_from(answer: dict[str, dict[str, Any]]) -> Trust:
    """Read the answer of ``GET _cluster/settings``: transient wins over persistent."""
    values: dict[str, Any] = {}
    layers: dict[str, str] = {}
    for layer in ("defaults", "persistent", "transient"):
        for name in (ENDPOINTS, PRIVATE):
            if name in answer.get(layer, {}):
                values[name] = answer[layer][name]
                layers[name] = layer
    endpoints = values.get(ENDPOINTS, ())
    if isinstance(endpoints, str):
        endpoints = [part for part in endpoints.split(",") if part]
    return Trust(tuple(endpoints), str(values.get(PRIVATE, "false")).lower() == "true", layers)


def missing_settings(trust: Trust, url: str) -> dict[str, dict[str, Any]]:
    """The body of ``PUT _cluster/settings`` that lets nodes call ``url``; empty: they may already.

    What is trusted stays trusted; the new expression names this scheme, host and port only.
    """
    body: dict[str, dict[str, Any]] = {}
    if not any(_matches(expression, url) for expression in trust.endpoints):
        wanted = [*trust.endpoints, endpoint_regex(url)]
        body.setdefault(_layer(trust, ENDPOINTS), {})[ENDPOINTS] = wanted
    if is_private(url) and not trust.private:
        body.setdefault(_layer(trust, PRIVATE), {})[PRIVATE] = True
    return body


def _layer(trust: Trust, name: str) -> str:
    return "transient" if trust.layers.get(name) == "transient" else "persistent"


def _matches(expression: str, url: str) -> bool:
    try:
        return re.fullmatch(expression, url) is not None
    except re.error:  # Java's dialect
        return False


def apply_settings(client: Any, body: dict[str, dict[str, Any]]) -> None:
    """Change cluster settings.

    Raises:
        AdministratorNeededError: This user may not; the message holds the call for one who may.
    """
    from opensearchpy.exceptions import AuthorizationException

    with translated("changing cluster settings"):
        try:
            client.cluster.put_settings(body=body)
        except AuthorizationException as error:
            msg = f"This user may not change cluster settings. {settings_call(body)}"
            raise AdministratorNeededError(msg) from error


def settings_call(body: dict[str, dict[str, Any]]) -> str:
    """The call that an administrator has to send, ready for Dev Tools."""
    text = json.dumps(body, indent=2, ensure_ascii=False)
    return f"An administrator sends:\n\nPUT /_cluster/settings\n{text}"
