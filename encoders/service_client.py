"""HTTP calls to embedding services: bounded retries, keys from the environment only."""

import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from encoders.errors import EncoderServiceError

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

RETRIED_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_SHOWN_CHARACTERS = 200
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a service is asked again.

    Attributes:
        attempts: Calls in all before giving up.
        first_wait: Seconds before the second call; doubled each time, with up to a quarter added.
        max_wait: Longest wait in seconds; a service that asks for more is given up.
        timeout: Seconds of one call.
    """

    attempts: int = 5
    first_wait: float = 0.5
    max_wait: float = 60.0
    timeout: float = 60.0


@dataclass(frozen=True)
class ServiceClient:
    """Talks JSON to one service.

    Attributes:
        url: Base address, without a trailing slash.
        key_variable: Environment variable of the key, read at each call and stored nowhere.
        policy: How long a service is asked again.
        sleep: Waits; replaced in tests.
    """

    url: str
    key_variable: str
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str) -> Any:
        """The JSON a GET returns.

        Raises:
            EncoderServiceError: The service refused, failed for too long, or sent no JSON.
        """
        return self._call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON a POST returns; asking twice is harmless, since embedding changes nothing.

        Raises:
            EncoderServiceError: The service refused, failed for too long, or sent no JSON.
        """
        return self._call("POST", path, body)

    @cached_property
    def _http(self) -> "httpx.Client":
        import httpx

        self._warn_of_open_key()
        return httpx.Client(base_url=self.url, timeout=self.policy.timeout)

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        failure = ""
        for attempt in range(1, self.policy.attempts + 1):
            response, failure = self._attempt(method, path, body)
            if response is not None and response.status_code < 400:
                return self._json(response)
            if response is not None and response.status_code not in RETRIED_STATUS:
                msg = f"{self.url}{path} refused the call: {failure}"
                raise EncoderServiceError(msg)
            if attempt < self.policy.attempts:
                self._wait(attempt, response, failure)
        msg = f"{self.url}{path} failed {self.policy.attempts} times, last: {failure}"
        raise EncoderServiceError(msg)

    def _attempt(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> "tuple[httpx.Response | None, str]":
        import httpx

        try:
            response = self._http.request(method, path, json=body, headers=self._headers())
        except httpx.TransportError as error:
            return None, type(error).__name__
        if response.status_code < 400:
            return response, ""
        return response, f"HTTP {response.status_code} {self._shown(response.text)}"

    def _wait(self, attempt: int, response: "httpx.Response | None", failure: str) -> None:
        wait = self.policy.first_wait * 2 ** (attempt - 1)
        wait = min(wait * (1 + random.random() / 4), self.policy.max_wait)  # noqa: S311
        asked = None if response is None else retry_after(response.headers.get("retry-after"))
        if asked is not None and asked > self.policy.max_wait:
            msg = (
                f"{self.url} asks to wait {asked:.0f} s, longer than {self.policy.max_wait:.0f} s "
                f"({failure}). Try again later, or send less."
            )
            raise EncoderServiceError(msg)
        wait = max(wait, asked or 0.0)
        logger.info("%s: %s; asking again in %.1f s", self.url, failure, wait)
        self.sleep(wait)

    def _json(self, response: "httpx.Response") -> Any:
        try:
            return response.json()
        except ValueError as error:
            shown = self._shown(response.text)
            msg = f"{self.url} did not answer with JSON: {shown!r}"
            raise EncoderServiceError(msg) from error

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.key_variable, "")
        return {"authorization": f"Bearer {key}"} if key else {}

    def _shown(self, text: str) -> str:
        """The beginning of an answer, without the key, should the service repeat it."""
        key = os.environ.get(self.key_variable, "")
        hidden = text.replace(key, "***") if key else text
        return " ".join(hidden.split())[:_SHOWN_CHARACTERS]

    def _warn_of_open_key(self) -> None:
        address = urlsplit(self.url)
        if address.scheme == "http" and address.hostname not in _LOOPBACK and self._headers():
            logger.warning("%s is sent unencrypted to %s", self.key_variable, address.hostname)


def retry_after(value: str | None) -> float | None:
    """Seconds a ``Retry-After`` header asks for: a number, or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
