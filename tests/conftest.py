"""Fixtures shared by the tests of all packages."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from secure_cluster import SecureCluster

    from opensearch.local.state import EngineState

# `secure`: the live tests run on OpenSearch 2.19.1 with TLS, as the user of docs/roles that may
# build and search indices and nothing else.
CLUSTER_VARIABLE = "TANDEM_TEST_CLUSTER"
SECURE = "secure"
# Name of a secured engine that runs already (below TANDEM_STATE), instead of one of this run's own.
RUNNING_VARIABLE = "TANDEM_TEST_SECURE_ENGINE"
# What names the version that has it, and the one that has not.
REFUSED = re.compile(r"[^.]* needs OpenSearch 3\.\d+ or newer; this cluster is 2\.19\.1")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers of the slower stages, and of the tests that any cluster must pass."""
    for line in (
        "live: uses the fixture node_url, and must pass on every supported cluster",
        "secure: starts OpenSearch 2.19.1 with TLS and users",
        "cluster: starts three nodes",
        "operations: jobs that may do more than the users of docs/roles",
    ):
        config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a cluster, before `-m` selects."""
    for item in items:
        if "node_url" in getattr(item, "fixturenames", ()):
            item.add_marker("live")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test of something that the older cluster lacks ends in its refusal, as it must."""
    from opensearch.errors import CapabilityError

    report = yield
    old = os.environ.get(CLUSTER_VARIABLE) == SECURE and "live" in item.keywords
    # What a command printed stands in the message of an assertion.
    kinds = (CapabilityError, AssertionError)
    if old and report.failed and call.excinfo and call.excinfo.errisinstance(kinds):
        found = REFUSED.search(str(call.excinfo.value))
        if found:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, f"refused: {found[0]}")
    return report


@pytest.fixture(scope="session")
def node_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a real OpenSearch: the one named by the environment, or one of this run's own.

    Connect with ``load_settings(node_url)``, which reads user and authority from the environment.
    """
    if given := os.environ.get("TANDEM_TEST_OPENSEARCH_URL"):
        yield given
    elif os.environ.get(CLUSTER_VARIABLE) == SECURE:
        cluster: SecureCluster = request.getfixturevalue("secure_cluster")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in cluster.environment("tandem_index").items():
                patch.setenv(name, value)
            yield cluster.engine.url
    else:
        with started(name="tests", heap="1g") as state:
            yield state.url


@pytest.fixture(scope="session")
def secure_cluster() -> Iterator["SecureCluster"]:
    """OpenSearch 2.19.1 with TLS and the users of docs/roles."""
    from secure_cluster import VERSION, StartWatch, with_users

    from opensearch.local.engine import running_engine
    from opensearch.local.ports import free_ports

    if name := os.environ.get(RUNNING_VARIABLE):
        state = running_engine(name)
        assert state is not None, f"no engine {name} runs"
        yield with_users(state)
        return
    (port,) = free_ports(1)
    options = {"name": "secure-tests", "version": VERSION, "secure": True, "port": port}
    with StartWatch(port) as watch, started(**options) as state:
        yield with_users(state, watch)


@contextmanager
def started(**options: Any) -> Iterator["EngineState"]:
    """An engine in a folder of its own, stopped and removed at the end."""
    from opensearch.local.engine import EngineOptions, start_engine, stop_engine

    with tempfile.TemporaryDirectory(prefix="tandem-tests-") as folder:
        root = Path(folder)
        root.chmod(0o755)  # the node may run as another user than the tests
        engine = EngineOptions(state_root=root, timeout_s=300, **options)
        try:
            yield start_engine(engine)
        finally:
            stop_engine(engine.name, state_root=root)
