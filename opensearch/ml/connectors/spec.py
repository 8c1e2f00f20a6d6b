"""What a connection to a model server is, before anything is sent."""

import re
from dataclasses import dataclass, field
from typing import Literal, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr

from opensearch.errors import SettingsError

Kind = Literal["dense", "sparse", "rerank"]
Flavour = Literal["tandem", "openai", "tei", "vllm"]
Side = Literal["both", "query", "document"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)
SIDES: tuple[Side, ...] = get_args(Side)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127}\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the nodes wait for the server, and how often they try again.

    Attributes:
        connect_s: Seconds until a connection must stand.
        read_s: Seconds until an answer must begin.
        connections: Connections a node keeps open at most.
        retries: Tries after a first one that was throttled or failed on the network.
        pause_ms: Pause before each of them.
    """

    connect_s: int = 5
    read_s: int = 60
    connections: int = 30
    retries: int = 2
    pause_ms: int = 500

    def as_client_config(self) -> dict[str, int | str]:
        """The limits as ML Commons' ``client_config``."""
        return {
            "max_connection": self.connections,
            "connection_timeout": self.connect_s,
            "read_timeout": self.read_s,
            "max_retry_times": self.retries,
            "retry_backoff_millis": self.pause_ms,
            "retry_backoff_policy": "exponential_equal_jitter",
            "retry_timeout_seconds": self.read_s,
        }


@dataclass(frozen=True, slots=True)
class Connection:
    """A model behind HTTP, to be registered with ML Commons.

    Attributes:
        url: Base address of the server, as the *nodes* reach it.
        kind: What the model makes of texts.
        flavour: Whose wire format the server speaks.
        name: Name of the model in the cluster.
        model: Name of the model on the server, where it serves several.
        dimension: Width of the vectors of a dense model; found by asking if not given.
        side: ``both``: the cluster says which side a text is from, query or document; else the
            connection always asks for the one.
        key: Sent as bearer token; ML Commons keeps it encrypted as the connector's credential.
        limits: Waiting times.
        fingerprint: Identity of the encoder it is, where it is known.
    """

    url: str
    kind: Kind
    flavour: Flavour
    name: str
    model: str | None = None
    dimension: int | None = None
    side: Side = "both"
    key: SecretStr | None = None
    limits: Limits = field(default_factory=Limits)
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        for value, allowed in ((self.kind, KINDS), (self.flavour, FLAVOURS), (self.side, SIDES)):
            if value not in allowed:
                msg = f"unknown value {value!r}; allowed: {', '.join(allowed)}"
                raise SettingsError(msg)
        _check_url(self.url)
        for name in (self.name, *([self.model] if self.model else [])):
            if not _NAME.match(name):
                msg = f"{name!r} is no name: letters, digits and _ . : / @ - only, at most 128"
                raise SettingsError(msg)


def default_name(url: str, kind: Kind) -> str:
    """A name for a model that was given none: ``dense-at-gpu1-8080``."""
    parts = urlsplit(url)
    place = "-".join(str(part) for part in (parts.hostname, parts.port) if part)
    return f"{kind}-at-{place}"


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError as error:
        msg = f"{url!r}: {error}"
        raise SettingsError(msg) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        msg = f"{url!r} is no address of a server; write http://HOST:PORT or https://HOST"
        raise SettingsError(msg)
    if parts.username or parts.query or parts.fragment:  # it is printed wherever the model is
        msg = "the address holds no user, password, query or fragment; keys come by --key-env"
        raise SettingsError(msg)
