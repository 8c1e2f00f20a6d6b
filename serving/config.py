"""How the server serves: address, limits, batching."""

import ipaddress
from dataclasses import dataclass, field

from serving.errors import ServingError

TOKEN_VARIABLE = "TANDEM_SERVE_TOKEN"  # noqa: S105  # the name, not the token
MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may be.

    Attributes:
        request_bytes: Longest body.
        texts: Most texts in one request.
        text_characters: Longest text.
        body_s: Seconds a body may take to arrive.
    """

    request_bytes: int = 8 * MEBIBYTE
    texts: int = 1024
    text_characters: int = 100_000
    body_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Batching:
    """How texts of different requests are put together.

    Attributes:
        wait_ms: Longest wait for company while the encoder is idle.
        max_texts: Texts in one batch; 1 switches batching off.
        queue: Texts that may wait, per encoder and side.
    """

    wait_ms: float = 2.0
    max_texts: int | None = None
    queue: int = 4096


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """Everything the server is told but its models.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        token: Bearer token that requests must carry.
        limits: What one request may be.
        batching: How texts are put together.
        timeout_s: Seconds until a request is given up with a 503.
        stop_s: Seconds a stop waits for what is still being worked on.
        in_flight: Requests worked on at once; beyond it, 503.
        open_metrics: Whether ``/metrics`` needs no token.
        matryoshka: Whether shorter dense vectors may be asked for.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str | None = field(default=None, repr=False)
    limits: Limits = field(default_factory=Limits)
    batching: Batching = field(default_factory=Batching)
    timeout_s: float = 30.0
    stop_s: float = 30.0
    in_flight: int = 512
    open_metrics: bool = False
    matryoshka: bool = False

    def __post_init__(self) -> None:
        _check_token(self.token)
        if self.token is None and not is_loopback(self.host):
            msg = (
                f"{self.host} can be reached from other machines: set the environment variable "
                f"{TOKEN_VARIABLE} to a long random string (python -c 'import secrets; "
                "print(secrets.token_urlsafe(32))'), or listen on 127.0.0.1"
            )
            raise ServingError(msg)
        if self.limits.texts > self.batching.queue:
            msg = (
                f"A request may hold {self.limits.texts} texts but only {self.batching.queue} may "
                "wait: raise --queue or lower --max-texts"
            )
            raise ServingError(msg)


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone; names are not resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_token(token: str | None) -> None:
    if token is None:
        return
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        msg = f"{TOKEN_VARIABLE} must be printable ASCII without blanks, and not empty"
        raise ServingError(msg)
