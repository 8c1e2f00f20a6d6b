"""The client library's exceptions become ours, each with its cure."""

import pytest
from opensearchpy import exceptions as theirs

from opensearch.errors import (
    ClusterUnreachableError,
    ForbiddenError,
    IndexNotFoundError,
    SearchBackendError,
)
from opensearch.translation import reason, translated

NO_BULK = (
    "no permissions for [indices:data/write/bulk] and User [name=reader, backend_roles=[], "
    "requestedTenant=null]"
)
NO_INDEX = {"error": {"type": "index_not_found_exception", "index": "docs", "root_cause": []}}
NESTED = {
    "error": {
        "reason": "all shards failed",
        "caused_by": {"reason": "outer", "caused_by": {"reason": "Field 'v' is not knn_vector"}},
    }
}


@pytest.mark.parametrize(
    ("error", "ours", "words"),
    [
        pytest.param(
            theirs.ConnectionError("N/A", "refused", OSError()),
            ClusterUnreachableError,
            ["refused", "tandem engine status", "http or https"],
            id="nothing listens",
        ),
        pytest.param(
            theirs.SSLError("N/A", "certificate verify failed", OSError()),
            ClusterUnreachableError,
            ["certificate verify failed", "TANDEM_OPENSEARCH_CA_FILE"],
            id="tls",
        ),
        pytest.param(
            theirs.ConnectionTimeout("TIMEOUT", "timed out", OSError()),
            ClusterUnreachableError,
            ["in time", "TANDEM_OPENSEARCH_TIMEOUT_S"],
            id="timeout",
        ),
        pytest.param(
            theirs.AuthenticationException(401, "Unauthorized", "Unauthorized"),
            ClusterUnreachableError,
            ["401", "TANDEM_OPENSEARCH_USER", "TANDEM_OPENSEARCH_PASSWORD"],
            id="401",
        ),
        pytest.param(
            theirs.AuthorizationException(
                403, "security_exception", {"error": {"reason": "no permissions for [bulk]"}}
            ),
            ForbiddenError,
            ["403", "the user lacks the permission bulk", "role", "docs/security.md"],
            id="403",
        ),
        pytest.param(
            theirs.AuthorizationException(
                403, "security_exception", {"error": {"reason": NO_BULK}}
            ),
            ForbiddenError,
            ["the user reader lacks the permission indices:data/write/bulk"],
            id="403 with the user",
        ),
        pytest.param(
            theirs.AuthorizationException(403, "", None),
            ForbiddenError,
            ["403", "the server did not name"],
            id="403 to a HEAD request",
        ),
        pytest.param(
            theirs.SSLError("N/A", "[SSL: WRONG_VERSION_NUMBER] wrong version number", OSError()),
            ClusterUnreachableError,
            ["speaks no TLS", "http://"],
            id="https to plain http",
        ),
        pytest.param(
            theirs.SSLError("N/A", "hostname 'a' doesn't match 'b'", OSError()),
            ClusterUnreachableError,
            ["an address that the certificate names"],
            id="a certificate for another name",
        ),
        pytest.param(
            theirs.ConnectionError("N/A", "RemoteDisconnected('Remote end closed')", OSError()),
            ClusterUnreachableError,
            ["hung up", "begins with https://"],
            id="plain http to TLS",
        ),
        pytest.param(
            theirs.NotFoundError(404, "index_not_found_exception", NO_INDEX),
            IndexNotFoundError,
            ["'docs'", "tandem index SOURCE --index docs"],
            id="no such index",
        ),
        pytest.param(
            theirs.NotFoundError(404, "resource_not_found", {"error": {"reason": "no pipeline"}}),
            SearchBackendError,
            ["404", "no pipeline"],
            id="something else is missing",
        ),
        pytest.param(
            theirs.RequestError(400, "search_phase_execution_exception", NESTED),
            SearchBackendError,
            ["400", "Field 'v' is not knn_vector"],
            id="400 with the innermost reason",
        ),
        pytest.param(
            theirs.TransportError(503, "OpenSearch Security not initialized.", None),
            ClusterUnreachableError,
            ["starting", "Try again", "TANDEM_OPENSEARCH_STARTUP_WAIT_S"],
            id="security plugin starting",
        ),
        pytest.param(
            theirs.TransportError(503, "cluster_block_exception", {"error": {"reason": "blocked"}}),
            SearchBackendError,
            ["503", "blocked"],
            id="503",
        ),
        pytest.param(
            theirs.TransportError(502, "<html>Bad Gateway</html>", "<html>Bad Gateway</html>"),
            SearchBackendError,
            ["502", "Bad Gateway"],
            id="a proxy answers",
        ),
        pytest.param(
            theirs.SerializationError("Unknown mimetype: text/html"),
            SearchBackendError,
            ["client failed", "text/html"],
            id="not json",
        ),
    ],
)
def test_every_failure_has_a_class_and_a_cure(error, ours, words) -> None:
    with pytest.raises(SearchBackendError) as raised, translated("counting docs"):
        raise error
    assert type(raised.value) is ours
    assert raised.value.__cause__ is error
    for word in words:
        assert word in str(raised.value)


def test_the_action_is_named() -> None:
    with (
        pytest.raises(SearchBackendError, match="while counting docs"),
        translated("counting docs"),
    ):
        raise theirs.TransportError(500, "boom", {})


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()], ids=repr)
def test_other_exceptions_pass(error) -> None:
    with pytest.raises(type(error)), translated("counting docs"):
        raise error


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"error": {"reason": "direct"}}, "direct"),
        ({"error": {"root_cause": [{"reason": "root"}]}}, "root"),
        (
            {"error": {"reason": "all shards failed", "root_cause": [{"reason": "not a number"}]}},
            "not a number",
        ),
        ({"error": "plain text"}, "plain text"),
        (NESTED, "Field 'v' is not knn_vector"),
        ({}, "boom"),
        (None, "boom"),
        ("body", "boom"),
    ],
)
def test_reason(info, text) -> None:
    assert text in reason(theirs.TransportError(500, "boom", info))
