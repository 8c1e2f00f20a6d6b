"""The one place that builds an OpenSearch client."""

from typing import Any

from opensearch.settings import ClusterSettings


def connect(settings: ClusterSettings) -> Any:
    """Build a client; it connects at the first request, not here.

    Returns:
        An ``opensearchpy.OpenSearch``. Its exceptions are translated by
        ``opensearch.translation.translated``.
    """
    from opensearchpy import OpenSearch

    options: dict[str, Any] = {
        "hosts": settings.urls,
        "timeout": settings.timeout_s,
        "max_retries": settings.max_retries,
        "retry_on_timeout": False,  # a bulk that timed out may still be running
        "http_compress": True,
        "verify_certs": settings.verify_certs,
        "ssl_show_warn": settings.verify_certs,
    }
    if settings.ca_file is not None:
        options["ca_certs"] = str(settings.ca_file)
    if settings.user is not None:
        secret = settings.password.get_secret_value() if settings.password else ""
        options["http_auth"] = (settings.user, secret)
    return OpenSearch(**options)
