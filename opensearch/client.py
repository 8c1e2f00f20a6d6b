"""The one place that builds an OpenSearch client."""

import logging
import time
from functools import cache
from typing import Any

from opensearch.settings import ClusterSettings
from opensearch.translation import is_starting

logger = logging.getLogger(__name__)

_PAUSE_S = 0.5


def connect(settings: ClusterSettings) -> Any:
    """Build a client; it connects at the first request, not here.

    With several addresses it goes on where one of them fails: a request that a node did not answer
    is sent to the next (at most ``max_retries`` times), and that node is left alone for a while.

    Returns:
        An ``opensearchpy.OpenSearch``. Its exceptions are translated by
        ``opensearch.translation.translated``.
    """
    from opensearchpy import OpenSearch

    options: dict[str, Any] = {
        "hosts": settings.urls,
        "transport_class": _patient_transport(),
        "startup_wait_s": settings.startup_wait_s,
        "timeout": settings.timeout_s,
        "max_retries": settings.max_retries,
        "retry_on_timeout": False,  # a bulk that timed out may still be running
        "http_compress": True,
        "pool_maxsize": 8,  # connections kept open per node: reading and writing go on side by side
        "verify_certs": settings.verify_certs,
        "ssl_show_warn": settings.verify_certs,
    }
    if settings.ca_file is not None:
        options["ca_certs"] = str(settings.ca_file)
    if settings.user is not None:
        secret = settings.password.get_secret_value() if settings.password else ""
        options["http_auth"] = (settings.user, secret)
    return OpenSearch(**options)


@cache
def _patient_transport() -> type[Any]:
    """The client library's transport, waiting for a security plugin that is starting."""
    from opensearchpy import Transport
    from opensearchpy.exceptions import TransportError

    class PatientTransport(Transport):  # type: ignore[misc]  # the library is untyped
        """Takes one more option than its parent: ``startup_wait_s``."""

        def __init__(self, hosts: Any, *, startup_wait_s: float, **options: Any) -> None:
            super().__init__(hosts, **options)
            self._startup_wait_s = startup_wait_s

        def perform_request(self, method: str, url: str, *args: Any, **options: Any) -> Any:
            deadline = time.monotonic() + self._startup_wait_s
            while True:
                try:
                    return super().perform_request(method, url, *args, **options)
                except TransportError as error:
                    if not is_starting(error) or time.monotonic() + _PAUSE_S > deadline:
                        raise
                logger.debug("the security plugin is starting; asking again in %.1f s", _PAUSE_S)
                time.sleep(_PAUSE_S)

    return PatientTransport
